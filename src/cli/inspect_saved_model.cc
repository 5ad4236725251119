// `capstan inspect` of SavedModels and of MetaGraphDef files.
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/inspect_parts.h"
#include "formats/bundle_digest.h"
#include "formats/digest.h"
#include "formats/saved_model.h"
#include "formats/tensor_bundle.h"
#include "formats/tensor_bundle_reader.h"
#include "tensor/dtype.h"
#include "tensorflow/saved_model.pb.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

std::string TypeName(int type) {
  const bool reference = type > 100;  // TensorFlow 1's variables
  return NameOf(static_cast<DType>(reference ? type - 100 : type)) + (reference ? " ref" : "");
}

Json ShapeOf(const tensorflow::TensorShapeProto& shape) {
  if (shape.unknown_rank()) return nullptr;
  Json sizes = Json::array();
  for (const auto& dim : shape.dim()) sizes.push_back(dim.size());
  return sizes;
}

Json DescribeTensors(const google::protobuf::Map<std::string, tensorflow::TensorInfo>& tensors) {
  const std::map<std::string, tensorflow::TensorInfo> sorted(tensors.begin(), tensors.end());
  Json json = Json::array();
  for (const auto& [name, info] : sorted) {
    Json tensor;
    tensor["name"] = name;
    tensor["dtype"] = TypeName(info.dtype());
    tensor["shape"] = ShapeOf(info.tensor_shape());
    tensor["tensor"] = info.encoding_case() == tensorflow::TensorInfo::kCooSparse
                           ? info.coo_sparse().values_tensor_name() + " (sparse)"
                           : info.name();
    json.push_back(std::move(tensor));
  }
  return json;
}

// The variables as the graph declares them.
Json DescribeVariables(const tensorflow::GraphDef& graph) {
  std::map<std::string, Json> sorted;
  for (const tensorflow::NodeDef& node : graph.node()) {
    if (node.op() != "VarHandleOp" && node.op() != "VariableV2" && node.op() != "Variable")
      continue;
    Json variable;
    variable["name"] = node.name();
    const auto dtype = node.attr().find("dtype");
    const auto shape = node.attr().find("shape");
    variable["dtype"] = dtype == node.attr().end() ? "" : TypeName(dtype->second.type());
    variable["shape"] = shape == node.attr().end() ? Json() : ShapeOf(shape->second.shape());
    sorted[node.name()] = std::move(variable);
  }
  Json json = Json::array();
  for (auto& [name, variable] : sorted) json.push_back(std::move(variable));
  return json;
}

Json DescribeMetaGraph(const tensorflow::MetaGraphDef& meta_graph) {
  Json json;
  const auto& info = meta_graph.meta_info_def();
  json["tags"] = std::vector<std::string>(info.tags().begin(), info.tags().end());
  json["tensorflow_version"] = info.tensorflow_version();
  json["signatures"] = Json::array();
  const std::map<std::string, tensorflow::SignatureDef> signatures(
      meta_graph.signature_def().begin(), meta_graph.signature_def().end());
  for (const auto& [name, definition] : signatures) {
    Json signature;
    signature["name"] = name;
    signature["method"] = definition.method_name();
    signature["inputs"] = DescribeTensors(definition.inputs());
    signature["outputs"] = DescribeTensors(definition.outputs());
    json["signatures"].push_back(std::move(signature));
  }
  const tensorflow::GraphDef& graph = meta_graph.graph_def();
  std::map<std::string, int> ops;
  for (const tensorflow::NodeDef& node : graph.node()) ++ops[node.op()];
  int nodes = graph.node_size();
  for (const tensorflow::FunctionDef& function : graph.library().function()) {
    nodes += function.node_def_size();
    for (const tensorflow::NodeDef& node : function.node_def()) ++ops[node.op()];
  }
  json["nodes"] = nodes;
  json["functions"] = graph.library().function_size();
  json["ops"] = ops;
  json["variables"] = DescribeVariables(graph);
  json["assets"] = Json::array();
  for (const auto& asset : meta_graph.asset_file_def()) json["assets"].push_back(asset.filename());
  return json;
}

std::string ShapeText(const Json& shape) {
  return shape.is_null() ? "unknown shape" : shape.dump();
}

std::string PrintMetaGraph(const Json& graph) {
  std::string tags;
  for (const Json& tag : graph["tags"]) tags += " " + tag.get<std::string>();
  std::string text = fmt::format("graph with tags{}", tags.empty() ? ": none" : ":" + tags);
  if (graph["tensorflow_version"] != "") {
    text += ", TensorFlow " + graph["tensorflow_version"].get<std::string>();
  }
  text += "\n";
  for (const Json& signature : graph["signatures"]) {
    text += fmt::format("signature {} ({})\n", signature["name"].get<std::string>(),
                        signature["method"].get<std::string>());
    std::vector<std::vector<std::string>> rows;
    for (const char* direction : {"inputs", "outputs"}) {
      for (const Json& tensor : signature[direction]) {
        rows.push_back({direction == std::string("inputs") ? "input" : "output", tensor["name"],
                        tensor["dtype"], ShapeText(tensor["shape"]), tensor["tensor"]});
      }
    }
    text += AlignColumns(rows);
  }
  if (!graph["variables"].empty()) {
    text += fmt::format("variables of the graph: {}\n", graph["variables"].size());
    std::vector<std::vector<std::string>> rows;
    for (const Json& variable : graph["variables"]) {
      rows.push_back({variable["name"], variable["dtype"], ShapeText(variable["shape"])});
    }
    text += AlignColumns(rows);
  }
  std::string ops;
  for (const auto& [op, count] : graph["ops"].items()) {
    ops += fmt::format("{} {}{}", ops.empty() ? "" : ",", op,
                       count == 1 ? "" : fmt::format(" ×{}", count.get<int>()));
  }
  text += fmt::format("ops: {} nodes of {} kinds:{}\n", graph["nodes"].get<int>(),
                      graph["ops"].size(), ops);
  for (const Json& asset : graph["assets"]) {
    text += "asset " + asset.get<std::string>() + "\n";
  }
  return text;
}

bool HasVariables(FileSystem& fs, const std::string& folder) {
  return fs.Exists(BundleIndexPath(SavedModelVariablesPrefix(folder)));
}

StatusOr<Json> DescribeSavedModel(FileSystem& fs, const std::string& folder) {
  ASSIGN_OR_RETURN(const std::unique_ptr<tensorflow::SavedModel> model, ReadSavedModel(fs, folder));
  Json json;
  json["graphs"] = Json::array();
  for (const auto& meta_graph : model->meta_graphs()) {
    json["graphs"].push_back(DescribeMetaGraph(meta_graph));
  }
  for (const char* name : {"assets", "assets.extra"}) {
    const std::string path = JoinPath(folder, name);
    if (!fs.IsFolder(path)) continue;
    ASSIGN_OR_RETURN(json[name], fs.List(path));
  }
  return json;
}

std::string PrintSavedModel(const Json& model) {
  std::string text;
  for (const Json& graph : model["graphs"]) text += PrintMetaGraph(graph);
  for (const char* name : {"assets", "assets.extra"}) {
    if (!model.contains(name)) continue;
    for (const Json& file : model[name]) {
      text += fmt::format("file {}/{}\n", name, file.get<std::string>());
    }
  }
  return text;
}

StatusOr<Json> DescribeMetaGraphFile(FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(fs, path, std::numeric_limits<int>::max()));
  tensorflow::MetaGraphDef meta_graph;
  if (!meta_graph.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return CorruptionError("read {}: its {} bytes are no MetaGraphDef", path, bytes.size());
  }
  return DescribeMetaGraph(meta_graph);
}

}  // namespace

StatusOr<std::string> InspectSavedModel(FileSystem& fs, const std::string& folder,
                                        const InspectOptions& options) {
  ASSIGN_OR_RETURN(Json model, DescribeSavedModel(fs, folder));
  std::string variables;
  if (HasVariables(fs, folder)) {
    ASSIGN_OR_RETURN(variables, InspectBundle(fs, SavedModelVariablesPrefix(folder), options));
  }
  if (options.json) {
    if (!variables.empty()) model["variables"] = Json::parse(variables);
    return model.dump();
  }
  return PrintSavedModel(model) +
         (variables.empty() ? "no variables folder\n" : "variables: " + variables);
}

StatusOr<std::string> InspectMetaGraphFile(FileSystem& fs, const std::string& path,
                                           const InspectOptions& options) {
  ASSIGN_OR_RETURN(const Json meta_graph, DescribeMetaGraphFile(fs, path));
  return options.json ? meta_graph.dump() : PrintMetaGraph(meta_graph);
}

StatusOr<std::string> DigestSavedModel(FileSystem& fs, const std::string& folder) {
  ASSIGN_OR_RETURN(const std::unique_ptr<tensorflow::SavedModel> model, ReadSavedModel(fs, folder));
  Digest digest;
  for (const auto& meta_graph : model->meta_graphs()) {
    ASSIGN_OR_RETURN(const std::string bytes, SerializeDeterministically(meta_graph));
    digest.AddText(bytes);
  }
  if (HasVariables(fs, folder)) {
    ASSIGN_OR_RETURN(const auto reader,
                     TensorBundleReader::Open(fs, SavedModelVariablesPrefix(folder)));
    ASSIGN_OR_RETURN(const std::string variables, DigestBundle(*reader));
    digest.AddText(variables);
  }
  return digest.Hex();
}

}  // namespace capstan
