// Tensor bundles: an index of raw bytes, or (so that the CRCs let the input in) one built from
// entries that the input holds; then everything is read.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <map>
#include <string>

#include "base/memory_file_system.h"
#include "formats/bundle_digest.h"
#include "formats/sorted_table.h"
#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"
#include "formats/tensor_slice.h"

namespace capstan {
namespace {

std::string BuildIndex(FuzzedDataProvider* input) {
  std::map<std::string, std::string> entries;
  entries[""] = std::string("\x08\x01\x1a\x02\x08\x01", 6);
  const int count = input->ConsumeIntegralInRange(0, 6);
  for (int i = 0; i < count; ++i) {
    std::string key = input->ConsumeRandomLengthString(8);
    if (input->ConsumeBool()) {
      TensorSlice slice;
      const int rank = input->ConsumeIntegralInRange(0, 3);
      for (int d = 0; d < rank; ++d) {
        slice.push_back({input->ConsumeIntegralInRange<int64_t>(-1, 9),
                         input->ConsumeIntegralInRange<int64_t>(-1, 9)});
      }
      key = SliceKey(key, slice);
    }
    entries[key] = input->ConsumeRandomLengthString(60);
  }
  SortedTableBuilder table(input->ConsumeBool() ? kTableBlockBytes : 16);
  for (const auto& [key, value] : entries) table.Add(key, value).IgnoreError();
  return table.Finish();
}

void ReadAll(FileSystem& fs) {
  const auto reader = TensorBundleReader::Open(fs, "f");
  if (!reader.ok()) return;
  for (const TensorEntry& entry : (*reader)->entries()) {
    if (entry.dtype == DType::kString) {
      (*reader)->ReadStrings(entry.name).status().IgnoreError();
    } else if (SizeOf(entry.dtype) > 0) {
      std::string bytes(ElementCount(entry.shape) * SizeOf(entry.dtype), '\0');
      (*reader)->Read(entry.name, bytes).IgnoreError();
    }
  }
  DigestBundle(**reader).status().IgnoreError();
}

}  // namespace
}  // namespace capstan

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  capstan::MemoryFileSystem fs;
  const bool raw = input.ConsumeBool();
  fs.Put("f.index", raw ? input.ConsumeRandomLengthString() : capstan::BuildIndex(&input));
  fs.Put("f.data-00000-of-00001", input.ConsumeRemainingBytesAsString());
  capstan::ReadAll(fs);
  const std::vector<std::string> parts = {"f"};
  capstan::MergeTensorBundles(fs, parts, "merged").IgnoreError();
  return 0;
}
