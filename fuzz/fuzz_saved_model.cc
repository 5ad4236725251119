// saved_model.pb, saved_model.pbtxt and the file `checkpoint`.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/memory_file_system.h"
#include "formats/checkpoint_state.h"
#include "formats/saved_model.h"
#include "tensorflow/saved_model.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace capstan;
  if (size == 0) return 0;
  const google::protobuf::LogSilencer quiet;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  MemoryFileSystem fs;
  if (data[0] % 3 == 0) {
    fs.Put("f/checkpoint", bytes);
    LatestCheckpoint(fs, "f").status().IgnoreError();
    return 0;
  }
  fs.Put(data[0] % 3 == 1 ? "f/saved_model.pb" : "f/saved_model.pbtxt", bytes);
  const auto model = ReadSavedModel(fs, "f");
  if (!model.ok()) return 0;
  SerializeDeterministically((*model)->meta_graphs(0)).status().IgnoreError();
  return 0;
}
