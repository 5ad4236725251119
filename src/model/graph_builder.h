// Writes a TensorFlow GraphDef node by node, with the attributes that stock TensorFlow demands.
//
//   GraphBuilder graph;
//   GraphTensor x = graph.Placeholder("features", DType::kFloat, {-1, 9});
//   GraphTensor y = graph.Relu("layer/relu", graph.MatMul("layer/product", x, w));
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/dtype.h"

namespace tensorflow {
class GraphDef;
class NodeDef;
}  // namespace tensorflow

namespace capstan {

// One output of a node, as another node names it: "node", "node:1", or "^node" (control).
struct GraphTensor {
  std::string name;
  DType dtype = DType::kInvalid;  // kInvalid: a resource handle, or no tensor at all
};

// A value of an attribute. monostate is the shape of unknown rank; lists may be empty.
using GraphAttr = std::variant<std::monostate, DType, bool, int64_t, float, std::string, Shape,
                               std::vector<DType>, std::vector<float>, std::vector<std::string>,
                               std::vector<Shape>>;
using GraphAttrs = std::vector<std::pair<std::string, GraphAttr>>;

// Node names are the caller's wish: characters that TensorFlow refuses become '_', a name that is
// taken gets "_1", "_2", …, as TensorFlow does. The same calls give the same graph. One thread.
class GraphBuilder {
 public:
  GraphBuilder();
  ~GraphBuilder();

  // Keeps `name` free for AddReserved: other nodes that wish for it get another.
  void Reserve(const std::string& name);

  // Any op. `dtype` is that of output 0. Control inputs ("^node") come last.
  GraphTensor Add(std::string_view op, std::string_view name, std::span<const GraphTensor> inputs,
                  const GraphAttrs& attrs, DType dtype);
  // An op without inputs that makes a resource, with shared_name = its name: without it TensorFlow
  // 1 and the C API take all such resources for one.
  GraphTensor AddShared(std::string_view op, std::string_view name, GraphAttrs attrs);
  // Output `index` of the node that made `tensor`.
  static GraphTensor OutputOf(const GraphTensor& tensor, int index, DType dtype);
  // "node:0", the form of signatures and feeds.
  static std::string TensorName(const GraphTensor& tensor);
  // Control input on the node of `tensor`.
  static GraphTensor Control(const GraphTensor& tensor);

  // A node whose name must be exactly `name`, which was reserved (and is then taken).
  GraphTensor AddReserved(std::string_view op, const std::string& name,
                          std::span<const GraphTensor> inputs, const GraphAttrs& attrs,
                          DType dtype);

  GraphTensor Floats(std::string_view name, const Shape& shape, std::span<const float> values);
  GraphTensor Ints(std::string_view name, const Shape& shape, std::span<const int64_t> values);
  GraphTensor Strings(std::string_view name, const Shape& shape,
                      std::span<const std::string> values);
  // Small constants, each made once per graph.
  GraphTensor Scalar(int32_t value);
  GraphTensor Scalar64(int64_t value);
  GraphTensor ScalarFloat(float value);
  GraphTensor Vector(const std::vector<int32_t>& values);

  // Ops of one type T that every input has.
  GraphTensor Unary(std::string_view op, std::string_view name, const GraphTensor& x);
  GraphTensor Binary(std::string_view op, std::string_view name, const GraphTensor& a,
                     const GraphTensor& b);
  GraphTensor Cast(std::string_view name, const GraphTensor& x, DType to);
  GraphTensor MatMul(std::string_view name, const GraphTensor& a, const GraphTensor& b);
  // params[indices] along `axis`.
  GraphTensor Gather(std::string_view name, const GraphTensor& params, const GraphTensor& indices,
                     int axis = 0);
  // The only part is returned as it is.
  GraphTensor Concat(std::string_view name, const std::vector<GraphTensor>& parts, int axis);
  GraphTensor Reshape(std::string_view name, const GraphTensor& x, const std::vector<int32_t>& to);
  GraphTensor ExpandDims(std::string_view name, const GraphTensor& x, int axis);
  GraphTensor Sum(std::string_view name, const GraphTensor& x, int axis, bool keep_dims);
  // x[:, column] of a matrix.
  GraphTensor Column(std::string_view name, const GraphTensor& x, int column);
  // Dimension 0 of x: an int32 scalar.
  GraphTensor Rows(std::string_view name, const GraphTensor& x);

  // The graph; the builder is empty afterwards.
  std::unique_ptr<tensorflow::GraphDef> Release();

 private:
  std::string FreeName(std::string_view wish);
  GraphTensor AddNamed(std::string_view op, const std::string& name,
                       std::span<const GraphTensor> inputs, const GraphAttrs& attrs, DType dtype);
  GraphTensor AddConst(std::string_view name, DType dtype, const Shape& shape,
                       std::string_view bytes);

  std::unique_ptr<tensorflow::GraphDef> graph_;
  std::set<std::string> names_;
  std::set<std::string> reserved_;
  std::map<std::string, GraphTensor> constants_;
};

}  // namespace capstan
