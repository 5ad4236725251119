// Event files; the input is cut into records with right CRCs, or is the file as it is.
#include <google/protobuf/stubs/logging.h>

#include <cstdint>
#include <string>

#include "base/memory_file_system.h"
#include "formats/event_file.h"
#include "formats/file_kind.h"
#include "formats/tfrecord_writer.h"
#include "tensorflow/event.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace capstan;
  if (size == 0) return 0;
  const google::protobuf::LogSilencer quiet;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  MemoryFileSystem fs;
  if (data[0] % 2 == 0) {
    fs.Put("f", std::string(input));
  } else {
    const auto writer = TfRecordWriter::Create(fs, "f", Compression::kNone);
    while (!input.empty()) {
      const size_t n = std::min<size_t>(static_cast<unsigned char>(input[0]), input.size() - 1);
      (*writer)->Write(input.substr(1, n)).IgnoreError();
      input.remove_prefix(1 + n);
    }
    (*writer)->Close().IgnoreError();
  }
  DetectFileKind(fs, "f").status().IgnoreError();
  int values = 0;
  ReadEventFile(fs, "f", [&](const tensorflow::Event& event) {
    values += event.summary().value_size();
    return OkStatus();
  }).IgnoreError();
  return 0;
}
