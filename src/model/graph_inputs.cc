#include "model/graph_inputs.h"

#include <limits>
#include <map>
#include <set>

#include "data/row_plan.h"
#include "model/graph_parser.h"

namespace capstan {
namespace {

constexpr char kCrossSeparator[] = "_X_";

DType ColumnType(const FeatureSpec& feature) {
  switch (feature.type) {
    case FeatureType::kFloat:
    case FeatureType::kBucket:
      return DType::kFloat;
    case FeatureType::kHash:
    case FeatureType::kVocabulary:
      return DType::kString;
    case FeatureType::kId:
    case FeatureType::kCross:
      break;
  }
  return DType::kInt64;
}

int ColumnLength(const FeatureSpec& feature) {
  return feature.type == FeatureType::kFloat ? feature.length : 1;
}

// Writes the input half; one per graph.
class InputWriter {
 public:
  InputWriter(const ModelSpec& spec, GraphBuilder* graph, GraphVariables* variables)
      : spec_(spec),
        graph_(graph),
        variables_(variables),
        parser_(graph, AddExamples(graph, FormOf(spec), &in_)) {}

  StatusOr<GraphInputs> Write() {
    RETURN_IF_ERROR(DeclareColumns());
    parser_.Finish();
    AddFeatures();
    AddBatchSize();
    RETURN_IF_ERROR(CheckKeys());
    return std::move(in_);
  }

 private:
  void AddFeatures();
  Status CheckKeys() const;
  static GraphTensor AddExamples(GraphBuilder* graph, SignatureForm form, GraphInputs* in);
  Status DeclareColumns();
  GraphTensor Input(const std::string& key, const GraphTensor& parsed, const Shape& shape,
                    bool any_rank);
  GraphTensor SingleValue(const FeatureSpec& feature);
  CategoryInput MultiValue(const FeatureSpec& feature);
  CategoryInput Sparse2018(const FeatureSpec& feature);
  GraphTensor AddFloat(const FeatureSpec& feature);
  CategoryInput AddCategory(const FeatureSpec& feature);
  GraphTensor ToIds(const FeatureSpec& feature, const GraphTensor& values);
  GraphTensor AddCross(const FeatureSpec& feature);
  GraphTensor HashOf(const std::string& name, const GraphTensor& text, int64_t buckets);
  void AddBatchSize();

  const ModelSpec& spec_;
  GraphBuilder* const graph_;
  GraphVariables* const variables_;
  GraphInputs in_;
  GraphParser parser_;
  std::map<std::string, GraphTensor> text_of_;  // [feature]: what a cross joins
};

void InputWriter::AddFeatures() {
  std::vector<GraphTensor> floats;
  for (const FeatureSpec& feature : spec_.input.features) {
    if (feature.type == FeatureType::kFloat) {
      floats.push_back(AddFloat(feature));
    } else if (feature.type == FeatureType::kCross) {
      in_.categories.emplace_back();
    } else {
      in_.categories.push_back(AddCategory(feature));
    }
  }
  if (!floats.empty()) in_.floats = graph_->Concat("floats", floats, 1);
  // A cross may stand in front of its parts.
  size_t place = 0;
  for (const FeatureSpec& feature : spec_.input.features) {
    if (feature.type == FeatureType::kCross) in_.categories[place].ids = AddCross(feature);
    if (IsCategorical(feature)) ++place;
  }
}

Status InputWriter::CheckKeys() const {
  std::set<std::string> keys;
  for (const PlainInput& input : in_.plain) {
    if (!keys.insert(input.key).second) {
      return Error("export: two inputs of serving_default are called '{}'; rename a feature",
                   input.key);
    }
  }
  return OkStatus();
}

GraphTensor InputWriter::AddExamples(GraphBuilder* graph, SignatureForm form, GraphInputs* in) {
  in->form = form;
  graph->Reserve("examples");
  if (form != SignatureForm::kByFeature) graph->Reserve("keys");
  if (form == SignatureForm::kDense2018) graph->Reserve("features");
  if (form == SignatureForm::kSparse2018) {
    for (const char* name : {"indexs", "ids", "values", "shape"}) graph->Reserve(name);
  }
  if (form != SignatureForm::kByFeature) {
    in->keys =
        graph->AddReserved("Placeholder", "keys", {},
                           {{"dtype", DType::kInt32}, {"shape", GraphAttr()}}, DType::kInt32);
    in->plain.push_back({"keys", in->keys, {-1, 1}});
  }
  in->examples =
      graph->AddReserved("Placeholder", "examples", {},
                         {{"dtype", DType::kString}, {"shape", Shape{-1}}}, DType::kString);
  return in->examples;
}

Status InputWriter::DeclareColumns() {
  for (const FeatureSpec& feature : spec_.input.features) {
    if (feature.type == FeatureType::kCross) continue;
    const DType dtype = ColumnType(feature);
    Status status;
    if (!feature.multi_valued) {
      status = parser_.WantDense(ColumnOf(feature), dtype, ColumnLength(feature),
                                 feature.default_value, feature.default_id);
    } else if (in_.form == SignatureForm::kSparse2018) {
      status = parser_.WantSparse(ColumnOf(feature), dtype);
      if (status.ok()) status = parser_.WantSparse(feature.weights, DType::kFloat);
    } else {
      status = parser_.WantRagged(ColumnOf(feature), dtype);
      if (status.ok() && !feature.weights.empty()) {
        status = parser_.WantRagged(feature.weights, DType::kFloat);
      }
    }
    RETURN_IF_ERROR(Annotate(status, "export feature '" + feature.name + "'"));
  }
  return OkStatus();
}

// An input of serving_default in front of what the parser found.
GraphTensor InputWriter::Input(const std::string& key, const GraphTensor& parsed,
                               const Shape& shape, bool any_rank) {
  const GraphAttrs attrs = {{"dtype", parsed.dtype},
                            {"shape", any_rank ? GraphAttr() : GraphAttr(shape)}};
  const GraphTensor input =
      in_.form == SignatureForm::kByFeature
          ? graph_->Add("PlaceholderWithDefault", key, {{parsed}}, attrs, parsed.dtype)
          : graph_->AddReserved("PlaceholderWithDefault", key, {{parsed}}, attrs, parsed.dtype);
  in_.plain.push_back({key, input, shape});
  return input;
}

// [batch, length] floats, or [batch] of anything else. Where there is one value per example,
// [batch] and [batch, 1] are both taken: clients differ.
GraphTensor InputWriter::SingleValue(const FeatureSpec& feature) {
  const int length = ColumnLength(feature);
  const bool is_vector = feature.type == FeatureType::kFloat;
  const GraphTensor parsed =
      parser_.Dense(ColumnOf(feature), length, feature.default_value, feature.default_id);
  if (in_.form == SignatureForm::kDense2018) return Input("features", parsed, {-1, length}, false);
  const GraphTensor input = Input(feature.name, parsed, is_vector ? Shape{-1, length} : Shape{-1},
                                  /*any_rank=*/length == 1);
  if (length > 1) return input;
  return graph_->Reshape(feature.name + "/column", input,
                         is_vector ? std::vector<int32_t>{-1, 1} : std::vector<int32_t>{-1});
}

CategoryInput InputWriter::MultiValue(const FeatureSpec& feature) {
  const std::string& name = feature.name;
  const RaggedColumn parsed = parser_.Ragged(ColumnOf(feature));
  const GraphTensor values = Input(name, parsed.values, {-1}, false);
  const GraphTensor splits = Input(name + "_row_splits", parsed.row_splits, {-1}, false);
  CategoryInput category;
  if (!feature.weights.empty()) {
    category.weights =
        Input(name + "_weights", parser_.Ragged(feature.weights).values, {-1}, false);
  }
  const GraphTensor sparse =
      graph_->Add("RaggedTensorToSparse", name + "/sparse", {{splits, values}},
                  {{"RAGGED_RANK", int64_t{1}}, {"T", values.dtype}, {"Tsplits", DType::kInt64}},
                  DType::kInt64);
  category.segments = graph_->Column(name + "/segments", sparse, 0);
  category.ids = ToIds(feature, values);
  if (in_.batch_size.name.empty()) {
    in_.batch_size = graph_->Binary("Sub", "batch_size", graph_->Rows(name + "/splits", splits),
                                    graph_->Scalar(1));
  }
  return category;
}

CategoryInput InputWriter::Sparse2018(const FeatureSpec& feature) {
  const SparseColumn ids = parser_.Sparse(ColumnOf(feature));
  const SparseColumn weights = parser_.Sparse(feature.weights);
  const GraphTensor indices = Input("indexs", ids.indices, {-1, 2}, false);
  CategoryInput category;
  category.ids = Input("ids", ids.values, {-1}, false);
  category.weights = Input("values", weights.values, {-1}, false);
  const GraphTensor shape = Input("shape", ids.shape, {2}, false);
  category.segments = graph_->Column("segments", indices, 0);
  const GraphTensor rows = graph_->Gather("batch_size64", shape, graph_->Scalar(0));
  in_.batch_size = graph_->Cast("batch_size", rows, DType::kInt32);
  return category;
}

GraphTensor InputWriter::AddFloat(const FeatureSpec& feature) {
  const std::string& name = feature.name;
  GraphTensor x = SingleValue(feature);
  if (feature.log1p) {
    x = graph_->Unary("Log1p", name + "/log1p", graph_->Unary("Relu", name + "/positive", x));
  }
  if (feature.standardise && !feature.mean.empty()) {
    x = graph_->Binary("Sub", name + "/centred", x,
                       graph_->Floats(name + "/mean", {feature.length}, feature.mean));
  }
  if (feature.standardise && !feature.stddev.empty()) {
    x = graph_->Binary("RealDiv", name + "/standardised", x,
                       graph_->Floats(name + "/stddev", {feature.length}, feature.stddev));
  }
  return x;
}

CategoryInput InputWriter::AddCategory(const FeatureSpec& feature) {
  if (!feature.multi_valued) {
    const GraphTensor values = SingleValue(feature);
    const GraphTensor ids = ToIds(feature, values);
    text_of_[feature.name] = values.dtype == DType::kString ? values : ids;
    return {.ids = ids};
  }
  if (in_.form == SignatureForm::kSparse2018) return Sparse2018(feature);
  return MultiValue(feature);
}

GraphTensor InputWriter::HashOf(const std::string& name, const GraphTensor& text, int64_t buckets) {
  if (buckets == 0) buckets = std::numeric_limits<int64_t>::max();
  return graph_->Add("StringToHashBucketFast", name, {{text}}, {{"num_buckets", buckets}},
                     DType::kInt64);
}

GraphTensor InputWriter::ToIds(const FeatureSpec& feature, const GraphTensor& values) {
  const std::string& name = feature.name;
  if (feature.type == FeatureType::kHash) return HashOf(name + "/hash", values, feature.buckets);
  if (feature.type == FeatureType::kBucket) {
    const GraphTensor bucket =
        graph_->Add("Bucketize", name + "/bucket", {{values}},
                    {{"T", DType::kFloat}, {"boundaries", feature.boundaries}}, DType::kInt32);
    return graph_->Cast(name + "/id", bucket, DType::kInt64);
  }
  if (feature.type == FeatureType::kVocabulary) {
    const GraphTensor table = variables_->WordTable(name + "/vocabulary", feature.vocabulary);
    const auto unknown = static_cast<int64_t>(feature.vocabulary.size());
    return graph_->Add("LookupTableFindV2", name + "/id",
                       {{table, values, graph_->Scalar64(unknown)}},
                       {{"Tin", DType::kString}, {"Tout", DType::kInt64}}, DType::kInt64);
  }
  return values;
}

GraphTensor InputWriter::AddCross(const FeatureSpec& feature) {
  std::vector<GraphTensor> parts;
  for (const std::string& name : feature.of) {
    GraphTensor& text = text_of_[name];
    if (text.dtype != DType::kString) {
      text = graph_->Add("AsString", name + "/text", {{text}}, {{"T", text.dtype}}, DType::kString);
    }
    parts.push_back(text);
  }
  const GraphTensor joined = graph_->Add(
      "StringJoin", feature.name + "/joined", parts,
      {{"N", static_cast<int64_t>(parts.size())}, {"separator", std::string(kCrossSeparator)}},
      DType::kString);
  return HashOf(feature.name + "/hash", joined, feature.buckets);
}

// From what the signature at hand is fed with: any feature that has one row per example.
void InputWriter::AddBatchSize() {
  GraphTensor rows = in_.floats;
  for (const CategoryInput& category : in_.categories) {
    if (rows.name.empty() && category.segments.name.empty()) rows = category.ids;
  }
  if (!rows.name.empty()) in_.batch_size = graph_->Rows("batch_size", rows);
}

}  // namespace

SignatureForm FormOf(const ModelSpec& spec) {
  const std::vector<FeatureSpec>& features = spec.input.features;
  if (features.size() != 1) return SignatureForm::kByFeature;
  const FeatureSpec& feature = features[0];
  if (spec.naming == Naming::kDense2018 && feature.type == FeatureType::kFloat) {
    return SignatureForm::kDense2018;
  }
  if (spec.naming == Naming::kSparse2018 && feature.type == FeatureType::kId &&
      feature.multi_valued && !feature.weights.empty()) {
    return SignatureForm::kSparse2018;
  }
  return SignatureForm::kByFeature;
}

StatusOr<GraphInputs> AddInputs(const ModelSpec& spec, GraphBuilder* graph,
                                GraphVariables* variables) {
  return InputWriter(spec, graph, variables).Write();
}

}  // namespace capstan
