#include "model/graph_outputs.h"

#include <string>
#include <vector>

#include "tensorflow/meta_graph.pb.h"

namespace capstan {
namespace {

constexpr char kPredictMethod[] = "tensorflow/serving/predict";
constexpr char kClassifyMethod[] = "tensorflow/serving/classify";
constexpr char kRegressMethod[] = "tensorflow/serving/regress";

tensorflow::TensorInfo Info(const GraphTensor& tensor, const Shape& shape) {
  tensorflow::TensorInfo info;
  info.set_name(GraphBuilder::TensorName(tensor));
  info.set_dtype(static_cast<tensorflow::DataType>(static_cast<int>(tensor.dtype)));
  // Without a shape a tensor counts as a scalar.
  info.mutable_tensor_shape();
  for (const int64_t size : shape) info.mutable_tensor_shape()->add_dim()->set_size(size);
  return info;
}

// Writes the output half; one per graph.
class OutputWriter {
 public:
  OutputWriter(const ModelSpec& spec, const GraphInputs& inputs, GraphBuilder* graph,
               tensorflow::MetaGraphDef* meta_graph)
      : spec_(spec), inputs_(inputs), graph_(graph), meta_graph_(meta_graph) {}

  void Write(const GraphTensor& logits);

 private:
  using Signature = tensorflow::SignatureDef;

  bool Is2018() const { return inputs_.form != SignatureForm::kByFeature; }
  Signature& AddSignature(const std::string& key, const char* method);
  void AddScores(const GraphTensor& logits);
  void AddPrediction(const GraphTensor& logits);
  void AddPlain();
  void AddPredictExamples();
  void AddClassify();
  void AddRegress();
  void PutAnswers(Signature* signature) const;

  const ModelSpec& spec_;
  const GraphInputs& inputs_;
  GraphBuilder* const graph_;
  tensorflow::MetaGraphDef* const meta_graph_;
  GraphTensor prediction_;   // int64 [batch]; regression: float [batch, 1]
  GraphTensor probability_;  // sigmoid: [batch, 1] of class 1; softmax: [batch, classes]
  GraphTensor scores_;       // [batch, classes]
};

// Classification: the probabilities, and those of every class, whichever way the loss counts.
void OutputWriter::AddScores(const GraphTensor& logits) {
  const GraphAttrs attrs = {{"T", DType::kFloat}};
  const bool is_sigmoid = spec_.loss == Loss::kSigmoid;
  if (!is_sigmoid) {
    probability_ = scores_ = graph_->AddReserved("Softmax", Is2018() ? "softmax" : "probability",
                                                 {{logits}}, attrs, DType::kFloat);
    return;
  }
  probability_ = graph_->AddReserved("Sigmoid", "probability", {{logits}}, attrs, DType::kFloat);
  const GraphTensor other = graph_->Binary("Sub", "other", graph_->ScalarFloat(1), probability_);
  const GraphAttrs concat = {{"T", DType::kFloat}, {"N", int64_t{2}}, {"Tidx", DType::kInt32}};
  const std::vector<GraphTensor> both = {other, probability_, graph_->Scalar(1)};
  scores_ = Is2018() ? graph_->AddReserved("ConcatV2", "softmax", both, concat, DType::kFloat)
                     : graph_->Add("ConcatV2", "scores", both, concat, DType::kFloat);
}

void OutputWriter::AddPrediction(const GraphTensor& logits) {
  if (spec_.loss == Loss::kMeanSquare) {
    prediction_ = graph_->AddReserved("Identity", "prediction", {{logits}}, {{"T", DType::kFloat}},
                                      DType::kFloat);
    return;
  }
  if (spec_.loss == Loss::kSoftmax) {
    prediction_ = graph_->AddReserved(
        "ArgMax", "prediction", {{probability_, graph_->Scalar(1)}},
        {{"T", DType::kFloat}, {"Tidx", DType::kInt32}, {"output_type", DType::kInt64}},
        DType::kInt64);
    return;
  }
  const GraphTensor flat = graph_->Reshape("probability_of_1", probability_, {-1});
  const GraphTensor is_1 = graph_->Binary("GreaterEqual", "is_1", flat, graph_->ScalarFloat(0.5f));
  prediction_ =
      graph_->AddReserved("Cast", "prediction", {{is_1}},
                          {{"SrcT", DType::kBool}, {"DstT", DType::kInt64}}, DType::kInt64);
}

OutputWriter::Signature& OutputWriter::AddSignature(const std::string& key, const char* method) {
  Signature& signature = (*meta_graph_->mutable_signature_def())[key];
  signature.set_method_name(method);
  return signature;
}

void OutputWriter::PutAnswers(Signature* signature) const {
  auto& outputs = *signature->mutable_outputs();
  if (spec_.loss == Loss::kMeanSquare) {
    outputs["prediction"] = Info(prediction_, {-1, 1});
    return;
  }
  outputs["prediction"] = Info(prediction_, {-1});
  if (Is2018()) {
    outputs["softmax"] = Info(scores_, {-1, spec_.classes});
  } else {
    outputs["probability"] = Info(probability_, {-1, OutputCount(spec_)});
  }
}

void OutputWriter::AddPlain() {
  Signature& signature = AddSignature("serving_default", kPredictMethod);
  for (const PlainInput& input : inputs_.plain) {
    (*signature.mutable_inputs())[input.key] = Info(input.tensor, input.shape);
  }
  if (Is2018()) {
    const GraphTensor keys = graph_->Unary("Identity", "keys_out", inputs_.keys);
    (*signature.mutable_outputs())["keys"] = Info(keys, {-1, 1});
  }
  PutAnswers(&signature);
}

void OutputWriter::AddPredictExamples() {
  Signature& signature = AddSignature("predict_examples", kPredictMethod);
  (*signature.mutable_inputs())["examples"] = Info(inputs_.examples, {-1});
  PutAnswers(&signature);
}

void OutputWriter::AddClassify() {
  if (spec_.loss == Loss::kMeanSquare) return;
  std::vector<std::string> names;
  for (int i = 0; i < spec_.classes; ++i) names.push_back(std::to_string(i));
  const GraphTensor row = graph_->Strings("class_names", {1, spec_.classes}, names);
  const GraphTensor times =
      graph_->Add("Pack", "class_rows", {{inputs_.batch_size, graph_->Scalar(1)}},
                  {{"T", DType::kInt32}, {"N", int64_t{2}}, {"axis", int64_t{0}}}, DType::kInt32);
  const GraphTensor classes =
      graph_->Add("Tile", "classes", {{row, times}},
                  {{"T", DType::kString}, {"Tmultiples", DType::kInt32}}, DType::kString);
  Signature& signature = AddSignature("classify", kClassifyMethod);
  (*signature.mutable_inputs())["inputs"] = Info(inputs_.examples, {-1});
  (*signature.mutable_outputs())["classes"] = Info(classes, {-1, spec_.classes});
  (*signature.mutable_outputs())["scores"] = Info(scores_, {-1, spec_.classes});
}

void OutputWriter::AddRegress() {
  GraphTensor value = prediction_;
  if (spec_.loss == Loss::kSoftmax) {
    if (spec_.classes != 2) return;  // no one number says it all
    value = graph_->ExpandDims("score_of_1", graph_->Column("score_1", scores_, 1), 1);
  } else if (spec_.loss == Loss::kSigmoid) {
    value = probability_;
  }
  Signature& signature = AddSignature("regress", kRegressMethod);
  (*signature.mutable_inputs())["inputs"] = Info(inputs_.examples, {-1});
  (*signature.mutable_outputs())["outputs"] = Info(value, {-1, 1});
}

void OutputWriter::Write(const GraphTensor& logits) {
  if (spec_.loss != Loss::kMeanSquare) AddScores(logits);
  AddPrediction(logits);
  AddPlain();
  AddPredictExamples();
  AddClassify();
  AddRegress();
}

}  // namespace

void AddOutputs(const ModelSpec& spec, const GraphInputs& inputs, const GraphTensor& logits,
                GraphBuilder* graph, tensorflow::MetaGraphDef* meta_graph) {
  OutputWriter(spec, inputs, graph, meta_graph).Write(logits);
}

}  // namespace capstan
