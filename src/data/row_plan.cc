#include "data/row_plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/nearest.h"

namespace capstan {
namespace {

Status CheckFloat(const FeatureSpec& feature) {
  if (feature.length < 1) {
    return Error("feature '{}' has length {}, wanted 1 or more", feature.name, feature.length);
  }
  if (!feature.standardise) return OkStatus();
  const auto length = static_cast<size_t>(feature.length);
  if (feature.mean.size() != length || feature.stddev.size() != length) {
    return Error("feature '{}' is to be standardised and has {} means and {} deviations, wanted {}",
                 feature.name, feature.mean.size(), feature.stddev.size(), length);
  }
  for (size_t i = 0; i < length; ++i) {
    if (!std::isfinite(feature.mean[i]) || !(feature.stddev[i] > 0)) {
      return Error("feature '{}' has mean {} and deviation {}, wanted finite and positive",
                   feature.name, feature.mean[i], feature.stddev[i]);
    }
  }
  return OkStatus();
}

Status CheckValues(const FeatureSpec& feature) {
  if (feature.type == FeatureType::kBucket) {
    const std::vector<float>& bounds = feature.boundaries;
    if (bounds.empty()) return Error("feature '{}' has no bucket boundaries", feature.name);
    for (size_t i = 1; i < bounds.size(); ++i) {
      if (bounds[i - 1] < bounds[i]) continue;
      return Error("feature '{}' has boundary {} behind {}, wanted ascending ones", feature.name,
                   bounds[i], bounds[i - 1]);
    }
  }
  if (feature.size < 0 || feature.buckets < 0) {
    return Error("feature '{}' has size {} and {} buckets, wanted 0 or more", feature.name,
                 feature.size, feature.buckets);
  }
  if (feature.type == FeatureType::kId && feature.size > 0 && !feature.multi_valued &&
      (feature.default_id < 0 || feature.default_id >= feature.size)) {
    return Error("feature '{}' has default id {}, which is outside [0, {})", feature.name,
                 feature.default_id, feature.size);
  }
  if (feature.type == FeatureType::kVocabulary) {
    if (feature.vocabulary.empty()) return Error("feature '{}' has no vocabulary", feature.name);
    std::set<std::string_view> seen;
    for (const std::string& word : feature.vocabulary) {
      if (!seen.insert(word).second) {
        return Error("feature '{}' has the word '{}' twice in its vocabulary", feature.name, word);
      }
    }
  }
  const bool can_have_many = feature.type == FeatureType::kId ||
                             feature.type == FeatureType::kHash ||
                             feature.type == FeatureType::kVocabulary;
  if (feature.multi_valued && !can_have_many) {
    return Error("feature '{}' cannot have several values: only ids, hashes and vocabularies can",
                 feature.name);
  }
  if (!feature.weights.empty() && !feature.multi_valued) {
    return Error("feature '{}' has weights '{}' and only one value", feature.name, feature.weights);
  }
  return OkStatus();
}

class PlanMaker {
 public:
  explicit PlanMaker(RowPlan* plan) : plan_(plan) {}

  Status Make() {
    RETURN_IF_ERROR(CheckNames());
    int categories = 0;
    for (const FeatureSpec& feature : plan_->spec.features) {
      if (IsCategorical(feature)) {
        RETURN_IF_ERROR(CheckValues(feature));
        if (feature.type != FeatureType::kCross) AddCategory(feature, categories);
        ++categories;
      } else {
        RETURN_IF_ERROR(CheckFloat(feature));
        plan_->floats.push_back({&feature, Column(ColumnOf(feature)), plan_->dense_width});
        plan_->dense_width += feature.length;
      }
    }
    RETURN_IF_ERROR(AddCrosses());
    const InputSpec& spec = plan_->spec;
    if (!spec.label.empty()) plan_->label = Column(spec.label);
    if (!spec.example_weight.empty()) plan_->example_weight = Column(spec.example_weight);
    if (!spec.group.empty()) plan_->group = Column(spec.group);
    for (const std::string& name : spec.id_columns) plan_->id_columns.push_back(Column(name));
    return OkStatus();
  }

 private:
  Status CheckNames() const {
    std::set<std::string_view> seen;
    for (const FeatureSpec& feature : plan_->spec.features) {
      if (feature.name.empty()) return Error("a feature has no name");
      if (!seen.insert(feature.name).second) {
        return Error("two features are called '{}'", feature.name);
      }
    }
    return OkStatus();
  }

  int Column(const std::string& name) {
    auto& columns = plan_->columns;
    const auto found = std::find(columns.begin(), columns.end(), name);
    if (found != columns.end()) return static_cast<int>(found - columns.begin());
    columns.push_back(name);
    return static_cast<int>(columns.size()) - 1;
  }

  void AddCategory(const FeatureSpec& feature, int index) {
    RowPlan::Category category;
    category.feature = &feature;
    category.index = index;
    category.column = Column(ColumnOf(feature));
    if (!feature.weights.empty()) category.weights_column = Column(feature.weights);
    if (feature.type == FeatureType::kVocabulary) {
      category.vocabulary = std::make_unique<const Vocabulary>(feature.vocabulary);
    }
    plan_->categories.push_back(std::move(category));
  }

  // In the order of the spec: a cross of crosses stands behind its parts.
  Status AddCrosses() {
    int index = -1;
    for (const FeatureSpec& feature : plan_->spec.features) {
      if (!IsCategorical(feature)) continue;
      ++index;
      if (feature.type != FeatureType::kCross) continue;
      if (feature.of.size() < 2) {
        return Error("cross '{}' is of {} features, wanted 2 or more", feature.name,
                     feature.of.size());
      }
      RowPlan::Category cross;
      cross.feature = &feature;
      cross.index = index;
      for (const std::string& name : feature.of) {
        ASSIGN_OR_RETURN(RowPlan::Category * part, Part(feature, name));
        const bool is_string = part->feature->type == FeatureType::kHash ||
                               part->feature->type == FeatureType::kVocabulary;
        part->keeps_string |= is_string;
        cross.parts.push_back(part->index);
        cross.part_is_string.push_back(is_string);
      }
      plan_->categories.push_back(std::move(cross));
    }
    return OkStatus();
  }

  StatusOr<RowPlan::Category*> Part(const FeatureSpec& cross, const std::string& name) {
    std::vector<std::string> known;
    for (RowPlan::Category& category : plan_->categories) {
      const FeatureSpec& feature = *category.feature;
      if (feature.name == name && feature.multi_valued) {
        return Error("cross '{}' is of '{}', which has several values", cross.name, name);
      }
      if (feature.name == name) return &category;
      known.push_back(feature.name);
    }
    return Error("cross '{}' is of '{}', which is no categorical feature before it{}", cross.name,
                 name, NearestHint(name, known));
  }

  RowPlan* const plan_;
};

}  // namespace

const std::string& ColumnOf(const FeatureSpec& feature) {
  return feature.column.empty() ? feature.name : feature.column;
}

StatusOr<std::unique_ptr<const RowPlan>> MakeRowPlan(const InputSpec& spec) {
  auto plan = std::make_unique<RowPlan>();
  plan->spec = spec;
  if (spec.classes < 0) return Error("{} classes, wanted 0 or more", spec.classes);
  RETURN_IF_ERROR(PlanMaker(plan.get()).Make());
  return plan;
}

}  // namespace capstan
