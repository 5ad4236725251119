// export_probe MODEL_FILE DIR [--empty]: writes what a trained model of MODEL_FILE would leave,
// with weights out of a hat: DIR/export (a SavedModel), DIR/model.ckpt.{index,data,meta},
// DIR/graph.pbtxt.
// --empty: tables without rows. For tests/tensorflow/test_graph.py.
#include <google/protobuf/text_format.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "data/category_key.h"
#include "formats/saved_model.h"
#include "formats/tensor_bundle_writer.h"
#include "model/graph_export.h"
#include "model/model.h"
#include "model/model_file.h"
#include "tensorflow/meta_graph.pb.h"

namespace capstan {
namespace {

// Small ids, ids at both ends of int64, and hashes of the words "w0", "w2", …: whatever the
// feature, some of a test's values have rows and some have none. Not in order, as a hash table has
// them.
std::vector<int64_t> SomeKeys() {
  std::vector<int64_t> keys = {std::numeric_limits<int64_t>::max(), -1,
                               std::numeric_limits<int64_t>::min()};
  for (int64_t id = 58; id >= 0; id -= 2) keys.push_back(id);
  for (int word = 0; word < 20; word += 2) {
    keys.push_back(static_cast<int64_t>(HashBucket("w" + std::to_string(word), 0)));
  }
  return keys;
}

class Hat {
 public:
  // Variances must be positive; the others need not be.
  std::vector<float> Draw(const std::string& name, const Shape& shape) {
    std::vector<float> values(static_cast<size_t>(ElementCount(shape)));
    const bool is_variance = name.ends_with("/moving_variance");
    for (float& value : values) {
      const float unit = UniformFloat(random_.Next());
      value = is_variance ? 0.5f + unit : unit - 0.5f;
    }
    return values;
  }

 private:
  RandomStream random_{7};
};

Status WriteBundle(FileSystem& fs, const Model& model, const std::string& prefix, bool empty,
                   bool global_step) {
  ASSIGN_OR_RETURN(auto writer, TensorBundleWriter::Create(fs, prefix));
  Hat hat;
  std::vector<int64_t> keys = SomeKeys();
  if (empty) keys = {0};
  for (const DenseSpec& dense : model.dense_variables()) {
    RETURN_IF_ERROR(
        writer->AddFloats(dense.variable, dense.shape, hat.Draw(dense.variable, dense.shape)));
  }
  for (const TableSpec& table : model.tables()) {
    const int64_t rows =
        table.dense_size > 0 ? table.dense_size : static_cast<int64_t>(keys.size());
    if (table.dense_size == 0) {
      RETURN_IF_ERROR(writer->AddInts(table.variable + "-keys", {rows}, keys));
    }
    for (const RowPart& part : table.parts) {
      const Shape shape = {rows, part.dim};
      std::vector<float> values = hat.Draw(part.variable, shape);
      if (empty && table.dense_size == 0) values.assign(values.size(), 0.0f);
      RETURN_IF_ERROR(writer->AddFloats(part.variable, shape, values));
    }
  }
  if (global_step) {
    const int64_t step = 1234;
    RETURN_IF_ERROR(writer->AddInts("global_step", {}, std::span(&step, 1)));
  }
  return writer->Finish();
}

Status Run(const std::string& model_file, const std::string& folder, bool empty) {
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(*fs, model_file));
  ASSIGN_OR_RETURN(const ModelSpec spec, ParseModelFile(text, model_file));
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, NewModel(spec));
  const std::vector<int64_t> rows(model->tables().size(),
                                  empty ? 1 : static_cast<int64_t>(SomeKeys().size()));

  const std::string target = folder + "/export";
  RETURN_IF_ERROR(fs->CreateFolder(target + "/variables"));
  ASSIGN_OR_RETURN(const auto serving, BuildServingGraph(*model, rows));
  RETURN_IF_ERROR(WriteSavedModelProto(*fs, target, *serving));
  RETURN_IF_ERROR(WriteBundle(*fs, *model, SavedModelVariablesPrefix(target), empty, false));

  ASSIGN_OR_RETURN(const auto checkpoint, BuildCheckpointGraph(*model));
  const std::string prefix = folder + "/model.ckpt";
  RETURN_IF_ERROR(WriteBundle(*fs, *model, prefix, empty, true));
  ASSIGN_OR_RETURN(const std::string meta, SerializeDeterministically(*checkpoint));
  RETURN_IF_ERROR(WriteFileAtomically(*fs, prefix + ".meta", meta));
  std::string graph;
  google::protobuf::TextFormat::PrintToString(checkpoint->graph_def(), &graph);
  return WriteFileAtomically(*fs, folder + "/graph.pbtxt", graph);
}

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: export_probe MODEL_FILE DIR [--empty]\n");
    return 2;
  }
  const bool empty = argc > 3 && std::string(argv[3]) == "--empty";
  const capstan::Status status = capstan::Run(argv[1], argv[2], empty);
  if (!status.ok()) std::fprintf(stderr, "%s\n", capstan::Message(status).c_str());
  return status.ok() ? 0 : 1;
}
