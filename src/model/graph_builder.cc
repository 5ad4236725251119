#include "model/graph_builder.h"

#include <fmt/format.h>

#include "tensorflow/graph.pb.h"

namespace capstan {
namespace {

tensorflow::DataType ProtoType(DType dtype) {
  return static_cast<tensorflow::DataType>(static_cast<int>(dtype));
}

void SetShape(const Shape& shape, tensorflow::TensorShapeProto* proto) {
  for (const int64_t size : shape) proto->add_dim()->set_size(size);
}

// One overload for each form of GraphAttr.
struct AttrWriter {
  tensorflow::AttrValue* attr;

  void operator()(std::monostate) { attr->mutable_shape()->set_unknown_rank(true); }
  void operator()(DType value) { attr->set_type(ProtoType(value)); }
  void operator()(bool value) { attr->set_b(value); }
  void operator()(int64_t value) { attr->set_i(value); }
  void operator()(float value) { attr->set_f(value); }
  void operator()(const std::string& value) { attr->set_s(value); }
  void operator()(const Shape& value) { SetShape(value, attr->mutable_shape()); }
  void operator()(const std::vector<DType>& values) {
    auto* list = attr->mutable_list();
    for (const DType value : values) list->add_type(ProtoType(value));
  }
  void operator()(const std::vector<float>& values) {
    auto* list = attr->mutable_list();
    for (const float value : values) list->add_f(value);
  }
  void operator()(const std::vector<std::string>& values) {
    auto* list = attr->mutable_list();
    for (const std::string& value : values) list->add_s(value);
  }
  void operator()(const std::vector<Shape>& values) {
    auto* list = attr->mutable_list();
    for (const Shape& value : values) SetShape(value, list->add_shape());
  }
};

bool IsLegal(char c, bool first) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.') {
    return true;
  }
  return !first && (c == '_' || c == '-' || c == '/');
}

template <typename T>
std::string_view BytesOf(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

GraphBuilder::GraphBuilder() : graph_(std::make_unique<tensorflow::GraphDef>()) {}
GraphBuilder::~GraphBuilder() = default;

void GraphBuilder::Reserve(const std::string& name) { reserved_.insert(name); }

std::string GraphBuilder::FreeName(std::string_view wish) {
  std::string name(wish.empty() ? "node" : wish);
  for (size_t i = 0; i < name.size(); ++i) {
    if (!IsLegal(name[i], false)) name[i] = '_';
  }
  if (!IsLegal(name[0], true)) name = "n" + name;
  std::string free = name;
  for (int i = 1; names_.contains(free) || reserved_.contains(free); ++i) {
    free = fmt::format("{}_{}", name, i);
  }
  return free;
}

GraphTensor GraphBuilder::AddNamed(std::string_view op, const std::string& name,
                                   std::span<const GraphTensor> inputs, const GraphAttrs& attrs,
                                   DType dtype) {
  names_.insert(name);
  tensorflow::NodeDef* node = graph_->add_node();
  node->set_op(std::string(op));
  node->set_name(name);
  for (const GraphTensor& input : inputs) node->add_input(input.name);
  for (const auto& [key, value] : attrs) {
    std::visit(AttrWriter{&(*node->mutable_attr())[key]}, value);
  }
  return {name, dtype};
}

GraphTensor GraphBuilder::Add(std::string_view op, std::string_view name,
                              std::span<const GraphTensor> inputs, const GraphAttrs& attrs,
                              DType dtype) {
  return AddNamed(op, FreeName(name), inputs, attrs, dtype);
}

GraphTensor GraphBuilder::AddReserved(std::string_view op, const std::string& name,
                                      std::span<const GraphTensor> inputs, const GraphAttrs& attrs,
                                      DType dtype) {
  return AddNamed(op, name, inputs, attrs, dtype);
}

GraphTensor GraphBuilder::AddShared(std::string_view op, std::string_view name, GraphAttrs attrs) {
  const std::string free = FreeName(name);
  attrs.emplace_back("shared_name", free);
  return AddNamed(op, free, {}, attrs, DType::kInvalid);
}

GraphTensor GraphBuilder::OutputOf(const GraphTensor& tensor, int index, DType dtype) {
  const std::string node = tensor.name.substr(0, tensor.name.find(':'));
  return {index == 0 ? node : fmt::format("{}:{}", node, index), dtype};
}

std::string GraphBuilder::TensorName(const GraphTensor& tensor) {
  return tensor.name.find(':') == std::string::npos ? tensor.name + ":0" : tensor.name;
}

GraphTensor GraphBuilder::Control(const GraphTensor& tensor) {
  return {"^" + tensor.name.substr(0, tensor.name.find(':')), DType::kInvalid};
}

GraphTensor GraphBuilder::AddConst(std::string_view name, DType dtype, const Shape& shape,
                                   std::string_view bytes) {
  const GraphTensor tensor = Add("Const", name, {}, {{"dtype", dtype}}, dtype);
  tensorflow::NodeDef* node = graph_->mutable_node(graph_->node_size() - 1);
  tensorflow::TensorProto* value = (*node->mutable_attr())["value"].mutable_tensor();
  value->set_dtype(ProtoType(dtype));
  SetShape(shape, value->mutable_tensor_shape());
  value->set_tensor_content(std::string(bytes));
  return tensor;
}

GraphTensor GraphBuilder::Floats(std::string_view name, const Shape& shape,
                                 std::span<const float> values) {
  return AddConst(name, DType::kFloat, shape, BytesOf(values));
}

GraphTensor GraphBuilder::Ints(std::string_view name, const Shape& shape,
                               std::span<const int64_t> values) {
  return AddConst(name, DType::kInt64, shape, BytesOf(values));
}

GraphTensor GraphBuilder::Strings(std::string_view name, const Shape& shape,
                                  std::span<const std::string> values) {
  const GraphTensor tensor = Add("Const", name, {}, {{"dtype", DType::kString}}, DType::kString);
  tensorflow::NodeDef* node = graph_->mutable_node(graph_->node_size() - 1);
  tensorflow::TensorProto* value = (*node->mutable_attr())["value"].mutable_tensor();
  value->set_dtype(tensorflow::DT_STRING);
  SetShape(shape, value->mutable_tensor_shape());
  for (const std::string& text : values) value->add_string_val(text);
  return tensor;
}

GraphTensor GraphBuilder::Scalar(int32_t value) {
  const std::string key = fmt::format("const/int32_{}", value);
  const auto it = constants_.find(key);
  if (it != constants_.end()) return it->second;
  const GraphTensor tensor =
      AddConst(key, DType::kInt32, {}, BytesOf(std::span<const int32_t>(&value, 1)));
  return constants_[key] = tensor;
}

GraphTensor GraphBuilder::Scalar64(int64_t value) {
  const std::string key = fmt::format("const/int64_{}", value);
  const auto it = constants_.find(key);
  if (it != constants_.end()) return it->second;
  return constants_[key] = Ints(key, {}, std::span<const int64_t>(&value, 1));
}

GraphTensor GraphBuilder::ScalarFloat(float value) {
  const std::string key = fmt::format("const/float_{:.9g}", value);
  const auto it = constants_.find(key);
  if (it != constants_.end()) return it->second;
  return constants_[key] = Floats(key, {}, std::span<const float>(&value, 1));
}

GraphTensor GraphBuilder::Vector(const std::vector<int32_t>& values) {
  const std::string key = fmt::format("const/vector_{}", fmt::join(values, "_"));
  const auto it = constants_.find(key);
  if (it != constants_.end()) return it->second;
  const GraphTensor tensor = AddConst(key, DType::kInt32, {static_cast<int64_t>(values.size())},
                                      BytesOf(std::span<const int32_t>(values)));
  return constants_[key] = tensor;
}

GraphTensor GraphBuilder::Unary(std::string_view op, std::string_view name, const GraphTensor& x) {
  return Add(op, name, {{x}}, {{"T", x.dtype}}, x.dtype);
}

GraphTensor GraphBuilder::Binary(std::string_view op, std::string_view name, const GraphTensor& a,
                                 const GraphTensor& b) {
  const bool compares =
      op == "Equal" || op == "NotEqual" || op.starts_with("Greater") || op.starts_with("Less");
  return Add(op, name, {{a, b}}, {{"T", a.dtype}}, compares ? DType::kBool : a.dtype);
}

GraphTensor GraphBuilder::Cast(std::string_view name, const GraphTensor& x, DType to) {
  return Add("Cast", name, {{x}}, {{"SrcT", x.dtype}, {"DstT", to}}, to);
}

GraphTensor GraphBuilder::MatMul(std::string_view name, const GraphTensor& a,
                                 const GraphTensor& b) {
  return Binary("MatMul", name, a, b);
}

GraphTensor GraphBuilder::Gather(std::string_view name, const GraphTensor& params,
                                 const GraphTensor& indices, int axis) {
  return Add("GatherV2", name, {{params, indices, Scalar(axis)}},
             {{"Tparams", params.dtype}, {"Tindices", indices.dtype}, {"Taxis", DType::kInt32}},
             params.dtype);
}

GraphTensor GraphBuilder::Concat(std::string_view name, const std::vector<GraphTensor>& parts,
                                 int axis) {
  if (parts.size() == 1) return parts[0];
  std::vector<GraphTensor> inputs = parts;
  inputs.push_back(Scalar(axis));
  const DType dtype = parts[0].dtype;
  return Add("ConcatV2", name, inputs,
             {{"T", dtype}, {"N", static_cast<int64_t>(parts.size())}, {"Tidx", DType::kInt32}},
             dtype);
}

GraphTensor GraphBuilder::Reshape(std::string_view name, const GraphTensor& x,
                                  const std::vector<int32_t>& to) {
  return Add("Reshape", name, {{x, Vector(to)}}, {{"T", x.dtype}, {"Tshape", DType::kInt32}},
             x.dtype);
}

GraphTensor GraphBuilder::ExpandDims(std::string_view name, const GraphTensor& x, int axis) {
  return Add("ExpandDims", name, {{x, Scalar(axis)}}, {{"T", x.dtype}, {"Tdim", DType::kInt32}},
             x.dtype);
}

GraphTensor GraphBuilder::Sum(std::string_view name, const GraphTensor& x, int axis,
                              bool keep_dims) {
  return Add("Sum", name, {{x, Scalar(axis)}},
             {{"T", x.dtype}, {"Tidx", DType::kInt32}, {"keep_dims", keep_dims}}, x.dtype);
}

GraphTensor GraphBuilder::Column(std::string_view name, const GraphTensor& x, int column) {
  return Add("StridedSlice", name,
             {{x, Vector({0, column}), Vector({0, column + 1}), Vector({1, 1})}},
             {{"T", x.dtype},
              {"Index", DType::kInt32},
              {"begin_mask", int64_t{1}},
              {"end_mask", int64_t{1}},
              {"shrink_axis_mask", int64_t{2}}},
             x.dtype);
}

GraphTensor GraphBuilder::Rows(std::string_view name, const GraphTensor& x) {
  const GraphTensor shape = Add("Shape", std::string(name) + "_shape", {{x}},
                                {{"T", x.dtype}, {"out_type", DType::kInt32}}, DType::kInt32);
  return Add("StridedSlice", name, {{shape, Vector({0}), Vector({1}), Vector({1})}},
             {{"T", DType::kInt32}, {"Index", DType::kInt32}, {"shrink_axis_mask", int64_t{1}}},
             DType::kInt32);
}

std::unique_ptr<tensorflow::GraphDef> GraphBuilder::Release() {
  std::unique_ptr<tensorflow::GraphDef> graph = std::move(graph_);
  graph_ = std::make_unique<tensorflow::GraphDef>();
  names_.clear();
  reserved_.clear();
  constants_.clear();
  return graph;
}

}  // namespace capstan
