// TFRecord files, plain and compressed; the first byte chooses raw bytes or right length CRCs.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/crc32c.h"
#include "base/memory_file_system.h"
#include "formats/little_endian.h"
#include "formats/tfrecord.h"
#include "formats/tfrecord_reader.h"

namespace capstan {
namespace {

// Frames with right CRCs around lengths that the input chooses.
std::string WithLengthCrcs(std::string_view input) {
  std::string file;
  while (input.size() >= 8) {
    const std::string_view length = input.substr(0, 8);
    file += length;
    AppendLittle32(MaskCrc(Crc32c(length)), &file);
    input.remove_prefix(8);
    const size_t n = std::min<uint64_t>(LoadLittle64(length.data()), input.size());
    file += input.substr(0, n);
    AppendLittle32(MaskCrc(Crc32c(input.substr(0, n))), &file);
    input.remove_prefix(n);
  }
  return file.append(input);
}

void ReadAll(FileSystem& fs) {
  const auto reader = TfRecordReader::Open(fs, "f");
  if (!reader.ok()) return;
  std::string_view record;
  uint64_t sum = 0;
  while (true) {
    const uint64_t offset = (*reader)->offset();
    const StatusOr<bool> more = (*reader)->Next(&record);
    if (more.ok() && !*more) break;
    if (more.ok()) {
      for (const char c : record) sum += static_cast<unsigned char>(c);
    } else if (!(*reader)->can_continue()) {
      if (more.status().message().empty()) std::abort();
      break;
    }
    if ((*reader)->offset() <= offset) std::abort();  // no way forward
  }
  (*reader)->Seek(sum % 64).IgnoreError();
  (*reader)->Next(&record).status().IgnoreError();
}

}  // namespace
}  // namespace capstan

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  capstan::MemoryFileSystem fs;
  fs.Put("f", data[0] % 2 == 0 ? std::string(input) : capstan::WithLengthCrcs(input));
  capstan::ReadAll(fs);
  return 0;
}
