// Reads checkpoints and the variables of SavedModels ("tensor bundles", the V2 format).
// Grammar and constants: formats/tensor_bundle.h, prose: docs/formats/tensor_bundle.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "tensor/dtype.h"

namespace capstan {

struct TensorEntry {
  std::string name;
  DType dtype = DType::kInvalid;
  Shape shape;
  int shard = 0;
  uint64_t size_bytes = 0;
  uint32_t masked_crc32c = 0;
  bool partitioned = false;  // stored as slices
};

// Thread-safe after Open. Every offset, size and shape is checked against the files before memory
// is taken; every read checks the CRC.
class TensorBundleReader {
 public:
  // `prefix` as TensorFlow says it: "folder/model.ckpt-100", "export/1/variables/variables".
  static StatusOr<std::unique_ptr<TensorBundleReader>> Open(FileSystem& fs,
                                                            const std::string& prefix);
  ~TensorBundleReader();

  const std::string& prefix() const;
  int shard_count() const;
  // Sorted by name; slices of partitioned variables are not listed, the whole is.
  const std::vector<TensorEntry>& entries() const;
  const TensorEntry* Find(std::string_view name) const;  // null: not there

  // The tensor's bytes, little-endian row-major; partitioned variables are put together from their
  // slices. `bytes` must have ElementCount × SizeOf bytes. Not for strings.
  Status Read(std::string_view name, std::span<char> bytes) const;
  StatusOr<std::vector<std::string>> ReadStrings(std::string_view name) const;
  // A tensor in pieces of at most `piece_bytes`, in order; the CRC is checked at the end (so what
  // was seen may turn out damaged). Not for strings or partitioned variables.
  Status Stream(std::string_view name, size_t piece_bytes,
                const std::function<Status(uint64_t offset, std::string_view piece)>& sink) const;

  // Convenience with dtype check: "tensor NAME in PREFIX is int64 [3], wanted float32".
  StatusOr<std::vector<float>> ReadFloats(std::string_view name) const;
  StatusOr<std::vector<int64_t>> ReadInts(std::string_view name) const;

 private:
  struct Rep;

  StatusOr<const TensorEntry*> FindOrError(std::string_view name) const;
  template <typename T>
  StatusOr<std::vector<T>> ReadTyped(std::string_view name, DType wanted) const;
  explicit TensorBundleReader(std::unique_ptr<Rep> rep);
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
