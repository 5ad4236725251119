#include "model/model_spec.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <set>

#include "base/nearest.h"

namespace capstan {
namespace {

struct KindName {
  ModelKind kind;
  std::string_view name;
};
constexpr std::array<KindName, 6> kKindNames = {{{ModelKind::kLr, "lr"},
                                                 {ModelKind::kDnn, "dnn"},
                                                 {ModelKind::kWideAndDeep, "wide_and_deep"},
                                                 {ModelKind::kFm, "fm"},
                                                 {ModelKind::kDeepFm, "deepfm"},
                                                 {ModelKind::kDlrm, "dlrm"}}};
// Models of the 2018 scripts that are not recommenders, refused by name.
constexpr std::array<std::string_view, 5> kSideModels = {"cnn", "customized_cnn", "lstm",
                                                         "bidirectional_lstm", "gru"};

const EmbeddingSpec* FindEmbedding(const ModelSpec& spec, const std::string& name) {
  for (const EmbeddingSpec& embedding : spec.embeddings) {
    if (embedding.name == name) return &embedding;
  }
  return nullptr;
}

Status CheckCross(const ModelSpec& spec, const FeatureSpec& cross) {
  if (cross.of.size() < 2) {
    return Error("feature '{}': a cross names {} features, wanted at least two", cross.name,
                 cross.of.size());
  }
  std::vector<std::string> names;
  for (const FeatureSpec& feature : spec.input.features) names.push_back(feature.name);
  for (const std::string& part : cross.of) {
    const auto it = std::find(names.begin(), names.end(), part);
    if (it == names.end()) {
      return Error("feature '{}': cross of unknown feature '{}'{}", cross.name, part,
                   NearestHint(part, names));
    }
    const FeatureSpec& feature = spec.input.features[it - names.begin()];
    if (!IsCategorical(feature) || feature.multi_valued || feature.type == FeatureType::kCross) {
      return Error("feature '{}': cannot cross '{}': it is {}, wanted a single-valued category",
                   cross.name, part,
                   feature.multi_valued                  ? "multi-valued"
                   : feature.type == FeatureType::kCross ? "a cross itself"
                                                         : "a float");
    }
  }
  return OkStatus();
}

Status CheckFeature(const ModelSpec& spec, const FeatureSpec& feature) {
  const std::string& name = feature.name;
  if (feature.type == FeatureType::kFloat) {
    if (feature.length < 1) return Error("feature '{}': length {} < 1", name, feature.length);
    const auto wrong = [&](const std::vector<float>& values) {
      return !values.empty() && values.size() != static_cast<size_t>(feature.length);
    };
    if (wrong(feature.mean) || wrong(feature.stddev)) {
      return Error("feature '{}': mean and stddev have {} and {} numbers, wanted {}", name,
                   feature.mean.size(), feature.stddev.size(), feature.length);
    }
    for (const float stddev : feature.stddev) {
      if (!(stddev > 0)) return Error("feature '{}': stddev {} is not positive", name, stddev);
    }
    return OkStatus();
  }
  if (feature.type == FeatureType::kBucket) {
    if (feature.boundaries.empty()) return Error("feature '{}': no boundaries", name);
    for (size_t i = 1; i < feature.boundaries.size(); ++i) {
      if (!(feature.boundaries[i - 1] < feature.boundaries[i])) {
        return Error("feature '{}': boundaries {} and {} are not ascending", name,
                     feature.boundaries[i - 1], feature.boundaries[i]);
      }
    }
  }
  if (feature.type == FeatureType::kVocabulary) {
    if (feature.vocabulary.empty()) return Error("feature '{}': vocabulary is empty", name);
    const std::set<std::string> words(feature.vocabulary.begin(), feature.vocabulary.end());
    if (words.size() != feature.vocabulary.size()) {
      return Error("feature '{}': a word stands twice in its vocabulary", name);
    }
  }
  if (feature.type == FeatureType::kCross) RETURN_IF_ERROR(CheckCross(spec, feature));
  if (feature.size < 0 || feature.buckets < 0) {
    return Error("feature '{}': size or buckets is negative", name);
  }
  const bool may_be_list = feature.type == FeatureType::kId || feature.type == FeatureType::kHash ||
                           feature.type == FeatureType::kVocabulary;
  if (feature.multi_valued && !may_be_list) {
    return Error("feature '{}': buckets and crosses have one value, 'combiner' does not fit", name);
  }
  if (!feature.weights.empty() && !feature.multi_valued) {
    return Error("feature '{}': weights without a combiner", name);
  }
  if (FindEmbedding(spec, feature.table) == nullptr) {
    return Error("feature '{}': no table '{}'", name, feature.table);
  }
  return OkStatus();
}

Status CheckOptimizer(const OptimizerSpec& optimizer) {
  if (!(optimizer.learning_rate > 0) || !std::isfinite(optimizer.learning_rate)) {
    return Error("optimizer {}: learning rate {} is not a positive number", NameOf(optimizer.kind),
                 optimizer.learning_rate);
  }
  if (optimizer.l1 < 0 || optimizer.l2 < 0) {
    return Error("optimizer {}: l1 or l2 is negative", NameOf(optimizer.kind));
  }
  return OkStatus();
}

Status CheckMlp(const MlpSpec& mlp, std::string_view name) {
  for (const int width : mlp.hidden) {
    if (width < 1 || width > 65536) return Error("{}: a layer has {} units", name, width);
  }
  if (!(mlp.dropout >= 0) || mlp.dropout >= 1) {
    return Error("{}: dropout {} is not in [0, 1)", name, mlp.dropout);
  }
  return OkStatus();
}

// Pairwise products want vectors of one length.
Status CheckOneDim(const ModelSpec& spec) {
  int dim = 0;
  for (const FeatureSpec& feature : spec.input.features) {
    if (!IsCategorical(feature) || !feature.deep) continue;
    const EmbeddingSpec* embedding = FindEmbedding(spec, feature.table);
    if (dim == 0) dim = embedding->dim;
    if (embedding->dim != dim) {
      return Error("feature '{}': dim {}, but model {} wants one dim ({}) for all", feature.name,
                   embedding->dim, NameOf(spec.kind), dim);
    }
  }
  if (dim == 0) return Error("model {} wants at least one categorical feature", NameOf(spec.kind));
  if (spec.kind != ModelKind::kDlrm) return OkStatus();
  if (DenseWidth(spec.input) == 0) return Error("model dlrm wants at least one float feature");
  if (spec.bottom.hidden.empty() || spec.bottom.hidden.back() != dim) {
    return Error("model dlrm: the bottom ends with {} units, wanted the embeddings' dim {}",
                 spec.bottom.hidden.empty() ? 0 : spec.bottom.hidden.back(), dim);
  }
  return OkStatus();
}

}  // namespace

float FactorAt(const LearningRateSchedule& schedule, int64_t step) {
  using Kind = LearningRateSchedule::Kind;
  double factor = 1;
  const double periods = static_cast<double>(step) / static_cast<double>(schedule.decay_steps);
  const double done = std::min(periods, 1.0);
  const double end = schedule.end_factor;
  if (schedule.kind == Kind::kExponential) {
    factor = std::pow(static_cast<double>(schedule.decay_rate),
                      schedule.staircase ? std::floor(periods) : periods);
  } else if (schedule.kind == Kind::kPolynomial) {
    factor = (1 - end) * std::pow(1 - done, static_cast<double>(schedule.power)) + end;
  } else if (schedule.kind == Kind::kCosine) {
    factor = (1 - end) * 0.5 * (1 + std::cos(std::numbers::pi * done)) + end;
  }
  if (step < schedule.warmup_steps) {
    factor *= static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
  }
  return static_cast<float>(factor);
}

int OutputCount(const ModelSpec& spec) { return spec.loss == Loss::kSoftmax ? spec.classes : 1; }

bool HasWide(ModelKind kind) { return kind != ModelKind::kDnn && kind != ModelKind::kDlrm; }
bool HasDeep(ModelKind kind) { return kind != ModelKind::kLr && kind != ModelKind::kFm; }

StatusOr<ModelKind> ParseModelKind(std::string_view name) {
  if (name == "wide" || name == "linear") return ModelKind::kLr;
  if (name == "deep") return ModelKind::kDnn;
  std::vector<std::string> known;
  for (const KindName& entry : kKindNames) {
    if (entry.name == name) return entry.kind;
    known.emplace_back(entry.name);
  }
  if (std::find(kSideModels.begin(), kSideModels.end(), name) != kSideModels.end()) {
    return Error("model '{}' is for images and sequences; capstan trains {}", name,
                 fmt::join(known, ", "));
  }
  known.emplace_back("customized");
  return Error("unknown model '{}'{}; known are {}", name, NearestHint(name, known),
               fmt::join(known, ", "));
}

std::string_view NameOf(ModelKind kind) {
  for (const KindName& entry : kKindNames) {
    if (entry.kind == kind) return entry.name;
  }
  return "";
}

Status CheckModelSpec(const ModelSpec& spec) {
  std::set<std::string> names;
  for (const FeatureSpec& feature : spec.input.features) {
    if (feature.name.empty()) return Error("a feature has no name");
    if (!names.insert(feature.name).second) {
      return Error("feature '{}' is given twice", feature.name);
    }
    RETURN_IF_ERROR(CheckFeature(spec, feature));
  }
  if (names.empty()) return Error("the model has no features");
  for (const EmbeddingSpec& embedding : spec.embeddings) {
    if (embedding.dim < 1 || embedding.dim > 4096) {
      return Error("table '{}': dim {} is not in [1, 4096]", embedding.name, embedding.dim);
    }
  }
  if (spec.loss == Loss::kSoftmax && spec.classes < 2) {
    return Error("loss softmax wants at least 2 classes, not {}", spec.classes);
  }
  if (spec.loss == Loss::kSigmoid && spec.classes != 2) {
    return Error("loss sigmoid is for 2 classes, not {}; use softmax", spec.classes);
  }
  if (!spec.class_weights.empty() &&
      (spec.loss == Loss::kMeanSquare ||
       spec.class_weights.size() != static_cast<size_t>(spec.classes))) {
    return Error("class_weights has {} numbers, wanted one for each of {} classes",
                 spec.class_weights.size(), spec.loss == Loss::kMeanSquare ? 0 : spec.classes);
  }
  if (spec.init != "glorot" && spec.init != "normal1") {
    return Error("unknown init '{}', known are glorot and normal1", spec.init);
  }
  RETURN_IF_ERROR(CheckOptimizer(spec.wide_optimizer));
  RETURN_IF_ERROR(CheckOptimizer(spec.deep_optimizer));
  RETURN_IF_ERROR(CheckMlp(spec.deep, "deep"));
  RETURN_IF_ERROR(CheckMlp(spec.bottom, "bottom"));
  if (spec.kind == ModelKind::kFm || spec.kind == ModelKind::kDeepFm ||
      spec.kind == ModelKind::kDlrm) {
    RETURN_IF_ERROR(CheckOneDim(spec));
  }
  if (spec.kind == ModelKind::kFm && OutputCount(spec) != 1) {
    return Error("model fm has one output; use loss sigmoid or mean_square");
  }
  if (spec.kind == ModelKind::kDeepFm && OutputCount(spec) != 1) {
    return Error("model deepfm has one output; use loss sigmoid or mean_square");
  }
  return OkStatus();
}

}  // namespace capstan
