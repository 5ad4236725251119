// Writes tensor bundles of one shard, tensor by tensor or many tensors side by side.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "tensor/dtype.h"

namespace capstan {

// One writer, one thread. Writes under temporary names; Finish() puts the data file, then the index
// in place. Destroyed before Finish(): the temporary files are removed. The same calls give the
// same bytes.
class TensorBundleWriter {
 public:
  static StatusOr<std::unique_ptr<TensorBundleWriter>> Create(FileSystem& fs,
                                                              const std::string& prefix);
  ~TensorBundleWriter();

  // A whole tensor. Each name once.
  Status Add(const std::string& name, DType dtype, const Shape& shape, std::string_view bytes);
  Status AddFloats(const std::string& name, const Shape& shape, std::span<const float> values);
  Status AddInts(const std::string& name, const Shape& shape, std::span<const int64_t> values);
  Status AddStrings(const std::string& name, const Shape& shape,
                    std::span<const std::string> values);

  // A tensor whose bytes come in pieces, interleaved with those of others: its place in the file is
  // fixed now, each Append goes behind the one before. Returns the stream's number. All bytes must
  // have come before Finish().
  StatusOr<int> OpenStream(const std::string& name, DType dtype, const Shape& shape);
  Status Append(int stream, std::string_view bytes);

  Status Finish();

 private:
  struct Rep;
  explicit TensorBundleWriter(std::unique_ptr<Rep> rep);
  const std::unique_ptr<Rep> rep_;
};

// Removes the files of a bundle (index first, so that it never looks whole).
Status RemoveTensorBundle(FileSystem& fs, const std::string& prefix);

// Sharded save: puts bundles of several writers together under `prefix` without copying tensor
// data, as TensorFlow's MergeBundles does (data files renamed to -0000i-of-0000N, one index).
Status MergeTensorBundles(FileSystem& fs, std::span<const std::string> parts,
                          const std::string& prefix);

}  // namespace capstan
