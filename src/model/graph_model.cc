#include "model/graph_model.h"

#include <string>
#include <utility>
#include <vector>

#include "model/graph_scopes.h"
#include "model/graph_tables.h"

namespace capstan {
namespace {

// What one categorical feature gives; no name: nothing.
struct FeatureVectors {
  GraphTensor wide;       // [batch, OutputCount]
  GraphTensor embedding;  // [batch, dim]
};

// Writes the model half; one per graph.
class LogitsWriter {
 public:
  LogitsWriter(const Model& model, const GraphInputs& inputs, GraphBuilder* graph,
               GraphVariables* variables)
      : model_(model), spec_(model.spec()), inputs_(inputs), graph_(graph), variables_(variables) {}

  Status AddFeatures(std::span<const int64_t> table_rows);
  StatusOr<GraphTensor> Logits();

 private:
  StatusOr<GraphTensor> Variable(const std::string& name);
  // x · weights + biases, without anything behind it.
  StatusOr<GraphTensor> Linear(const std::string& scope, const GraphTensor& x);
  StatusOr<GraphTensor> BatchNorm(const std::string& scope, const MlpSpec& mlp,
                                  const GraphTensor& x);
  StatusOr<GraphTensor> Hidden(const std::vector<std::string>& scopes, const MlpSpec& mlp,
                               GraphTensor x);
  StatusOr<GraphTensor> Tower(const GraphTensor& x);
  StatusOr<GraphTensor> Wide();
  StatusOr<GraphTensor> Deep();
  StatusOr<GraphTensor> PooledFirstLayer();
  StatusOr<GraphTensor> SecondOrder();
  StatusOr<GraphTensor> Dlrm();
  std::vector<GraphTensor> Embeddings() const;

  const Model& model_;
  const ModelSpec& spec_;
  const GraphInputs& inputs_;
  GraphBuilder* const graph_;
  GraphVariables* const variables_;
  std::vector<FeatureVectors> features_;
};

Status LogitsWriter::AddFeatures(std::span<const int64_t> table_rows) {
  int column = -1;
  for (const FeatureSpec& feature : spec_.input.features) {
    if (!IsCategorical(feature)) continue;
    ++column;
    FeatureVectors& vectors = features_.emplace_back();
    const bool wide = feature.wide && HasWide(spec_.kind);
    const bool deep = feature.deep && spec_.kind != ModelKind::kLr;
    if (!wide && !deep) continue;
    const int table = model_.table_of(column);
    const GraphLookup lookup(feature, inputs_.categories[column], model_.tables()[table],
                             table_rows[table], inputs_.batch_size, graph_, variables_);
    if (wide) {
      ASSIGN_OR_RETURN(vectors.wide, lookup.Pooled("wide"));
    }
    if (deep) {
      ASSIGN_OR_RETURN(vectors.embedding, lookup.Pooled("embedding"));
    }
  }
  return OkStatus();
}

std::vector<GraphTensor> LogitsWriter::Embeddings() const {
  std::vector<GraphTensor> embeddings;
  for (const FeatureVectors& vectors : features_) {
    if (!vectors.embedding.name.empty()) embeddings.push_back(vectors.embedding);
  }
  return embeddings;
}

StatusOr<GraphTensor> LogitsWriter::Variable(const std::string& name) {
  for (const DenseSpec& dense : model_.dense_variables()) {
    if (dense.variable == name) {
      return variables_->Variable(name, DType::kFloat, dense.shape, dense.trainable);
    }
  }
  return NotFoundError("export: the model has no variable '{}'", name);
}

StatusOr<GraphTensor> LogitsWriter::Linear(const std::string& scope, const GraphTensor& x) {
  ASSIGN_OR_RETURN(const GraphTensor weights, Variable(scope + "/weights"));
  ASSIGN_OR_RETURN(const GraphTensor biases, Variable(scope + "/biases"));
  return graph_->Binary("BiasAdd", scope + "/sum", graph_->MatMul(scope + "/product", x, weights),
                        biases);
}

// With the moving averages: (x - mean) · (scale / sqrt(variance + epsilon)) + shift.
StatusOr<GraphTensor> LogitsWriter::BatchNorm(const std::string& scope, const MlpSpec& mlp,
                                              const GraphTensor& x) {
  ASSIGN_OR_RETURN(const GraphTensor scale, Variable(scope + "/scale"));
  ASSIGN_OR_RETURN(const GraphTensor shift, Variable(scope + "/shift"));
  ASSIGN_OR_RETURN(const GraphTensor mean, Variable(scope + "/moving_mean"));
  ASSIGN_OR_RETURN(const GraphTensor variance, Variable(scope + "/moving_variance"));
  const std::string name = scope + "/norm";
  const GraphTensor stddev = graph_->Unary(
      "Rsqrt", name + "/rsqrt",
      graph_->Binary("AddV2", name + "/variance", variance, graph_->ScalarFloat(mlp.bn_epsilon)));
  const GraphTensor factor = graph_->Binary("Mul", name + "/factor", stddev, scale);
  const GraphTensor scaled = graph_->Binary(
      "Mul", name + "/scaled", graph_->Binary("Sub", name + "/centred", x, mean), factor);
  return graph_->Binary("AddV2", name + "/shifted", scaled, shift);
}

StatusOr<GraphTensor> LogitsWriter::Hidden(const std::vector<std::string>& scopes,
                                           const MlpSpec& mlp, GraphTensor x) {
  for (const std::string& scope : scopes) {
    ASSIGN_OR_RETURN(x, Linear(scope, x));
    if (mlp.batch_norm) {
      ASSIGN_OR_RETURN(x, BatchNorm(scope, mlp, x));
    }
    x = graph_->Unary("Relu", scope + "/relu", x);
  }
  return x;
}

// Hidden layers and the output layer of the deep part.
StatusOr<GraphTensor> LogitsWriter::Tower(const GraphTensor& x) {
  ASSIGN_OR_RETURN(const GraphTensor hidden, Hidden(DeepScopes(spec_), spec_.deep, x));
  const std::string scope = OutputScope(spec_);
  ASSIGN_OR_RETURN(const GraphTensor logits, Linear(scope, hidden));
  if (!spec_.deep.batch_norm_output) return logits;
  return BatchNorm(scope, spec_.deep, logits);
}

StatusOr<GraphTensor> LogitsWriter::Wide() {
  const std::string scope = WideScope(spec_);
  ASSIGN_OR_RETURN(const GraphTensor biases, Variable(scope + "/biases"));
  std::vector<GraphTensor> parts;
  if (!inputs_.floats.name.empty()) {
    ASSIGN_OR_RETURN(const GraphTensor weights, Variable(scope + "/weights"));
    parts.push_back(graph_->MatMul(scope + "/product", inputs_.floats, weights));
  }
  for (const FeatureVectors& vectors : features_) {
    if (!vectors.wide.name.empty()) parts.push_back(vectors.wide);
  }
  if (parts.empty()) return Error("export: the wide part has no input");
  GraphTensor sum = parts[0];
  if (parts.size() > 1) {
    sum = graph_->Add("AddN", scope + "/parts", parts,
                      {{"T", DType::kFloat}, {"N", static_cast<int64_t>(parts.size())}},
                      DType::kFloat);
  }
  return graph_->Binary("BiasAdd", scope + "/sum", sum, biases);
}

StatusOr<GraphTensor> LogitsWriter::Deep() {
  if (spec_.pooled_first_layer) {
    ASSIGN_OR_RETURN(const GraphTensor x, PooledFirstLayer());
    return Tower(x);
  }
  std::vector<GraphTensor> parts = Embeddings();
  if (!inputs_.floats.name.empty()) parts.insert(parts.begin(), inputs_.floats);
  if (parts.empty()) return Error("export: the deep part has no input");
  return Tower(graph_->Concat("deep/input", parts, 1));
}

StatusOr<GraphTensor> LogitsWriter::PooledFirstLayer() {
  const std::vector<GraphTensor> pooled = Embeddings();
  if (pooled.size() != 1) {
    return Error("export: a pooled first layer is of one categorical feature, found {}",
                 pooled.size());
  }
  const std::string scope = PooledScope(spec_);
  ASSIGN_OR_RETURN(const GraphTensor biases, Variable(scope + "/biases"));
  return graph_->Unary("Relu", scope + "/relu",
                       graph_->Binary("BiasAdd", scope + "/sum", pooled[0], biases));
}

// 1/2 Σ_d ((Σ_i v_id x_i)² − Σ_i (v_id x_i)²), over embeddings and factors of floats: [batch, 1].
StatusOr<GraphTensor> LogitsWriter::SecondOrder() {
  std::vector<GraphTensor> vectors;  // [batch, items, dim] each
  for (const GraphTensor& embedding : Embeddings()) {
    vectors.push_back(graph_->ExpandDims("fm/item", embedding, 1));
  }
  if (!inputs_.floats.name.empty()) {
    ASSIGN_OR_RETURN(const GraphTensor factors, Variable("fm/factors"));
    vectors.push_back(graph_->Binary("Mul", "fm/scaled_factors",
                                     graph_->ExpandDims("fm/values", inputs_.floats, 2), factors));
  }
  const GraphTensor items = graph_->Concat("fm/items", vectors, 1);
  const GraphTensor square_of_sum =
      graph_->Unary("Square", "fm/square_of_sum", graph_->Sum("fm/sum", items, 1, false));
  const GraphTensor sum_of_squares =
      graph_->Sum("fm/sum_of_squares", graph_->Unary("Square", "fm/squares", items), 1, false);
  const GraphTensor pairs = graph_->Sum(
      "fm/pairs", graph_->Binary("Sub", "fm/difference", square_of_sum, sum_of_squares), 1, true);
  return graph_->Binary("Mul", "fm/logit", pairs, graph_->ScalarFloat(0.5f));
}

StatusOr<GraphTensor> LogitsWriter::Dlrm() {
  ASSIGN_OR_RETURN(const GraphTensor bottom,
                   Hidden(BottomScopes(spec_), spec_.bottom, inputs_.floats));
  std::vector<GraphTensor> items = {graph_->ExpandDims("dlrm/bottom", bottom, 1)};
  for (const GraphTensor& embedding : Embeddings()) {
    items.push_back(graph_->ExpandDims("dlrm/item", embedding, 1));
  }
  const int count = static_cast<int>(items.size());
  const GraphTensor z = graph_->Concat("dlrm/items", items, 1);  // [batch, count, dim]
  const GraphTensor dots =
      graph_->Add("BatchMatMulV2", "dlrm/dots", {{z, z}},
                  {{"T", DType::kFloat}, {"adj_x", false}, {"adj_y", true}}, DType::kFloat);
  // The triangle below the diagonal, row by row.
  std::vector<int64_t> below;
  for (int i = 1; i < count; ++i) {
    for (int j = 0; j < i; ++j) below.push_back(i * count + j);
  }
  const GraphTensor flat = graph_->Reshape("dlrm/flat", dots, {-1, count * count});
  const GraphTensor indices =
      graph_->Ints("dlrm/below_diagonal", {static_cast<int64_t>(below.size())}, below);
  const GraphTensor pairs = graph_->Gather("dlrm/pairs", flat, indices, 1);
  return Tower(graph_->Concat("dlrm/input", {bottom, pairs}, 1));
}

StatusOr<GraphTensor> LogitsWriter::Logits() {
  if (spec_.kind == ModelKind::kDlrm) return Dlrm();
  std::vector<GraphTensor> parts;
  if (HasWide(spec_.kind)) {
    ASSIGN_OR_RETURN(parts.emplace_back(), Wide());
  }
  if (HasDeep(spec_.kind)) {
    ASSIGN_OR_RETURN(parts.emplace_back(), Deep());
  }
  if (spec_.kind == ModelKind::kFm || spec_.kind == ModelKind::kDeepFm) {
    ASSIGN_OR_RETURN(parts.emplace_back(), SecondOrder());
  }
  GraphTensor logits = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) {
    logits = graph_->Binary("AddV2", "logits", logits, parts[i]);
  }
  return logits;
}

}  // namespace

StatusOr<GraphTensor> AddLogits(const Model& model, std::span<const int64_t> table_rows,
                                const GraphInputs& inputs, GraphBuilder* graph,
                                GraphVariables* variables) {
  LogitsWriter writer(model, inputs, graph, variables);
  RETURN_IF_ERROR(writer.AddFeatures(table_rows));
  return writer.Logits();
}

}  // namespace capstan
