// The index of a tensor bundle as plain values (formats/tensor_bundle.h shows its grammar).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "formats/tensor_slice.h"
#include "tensor/dtype.h"

namespace capstan {

struct BundleIndexEntry {
  std::string key;  // a tensor's name, or the key of a slice
  DType dtype = DType::kInvalid;
  Shape shape;
  int shard = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  uint32_t masked_crc32c = 0;
  std::vector<TensorSlice> slices;  // not empty: a partitioned variable, without bytes of its own

  bool IsSlice() const { return !key.empty() && key[0] == '\0'; }
};

struct BundleIndex {
  int shard_count = 0;
  std::vector<BundleIndexEntry> entries;  // sorted by key: slices, then tensors

  // Null: not there.
  const BundleIndexEntry* Find(std::string_view key) const;
};

// Reads and checks PREFIX.index: the header, and each entry by itself (shapes, and the size of
// tensors whose elements have a fixed size). The data files are not looked at.
StatusOr<BundleIndex> ReadBundleIndex(FileSystem& fs, const std::string& prefix);

// The bytes of the index file. `index.entries` must be sorted by key, each key once.
StatusOr<std::string> SerializeBundleIndex(const BundleIndex& index);

}  // namespace capstan
