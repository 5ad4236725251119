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
#include "formats/tensor_slice.h"
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
  // The same for a slice of a partitioned variable: `whole` is the shape of the variable, an extent
  // of length -1 takes a whole dimension. The slices of all bundles that MergeTensorBundles puts
  // together must fill it. A slice that is everything is written as an ordinary tensor.
  StatusOr<int> OpenSliceStream(const std::string& name, DType dtype, const Shape& whole,
                                const TensorSlice& slice);
  Status Append(int stream, std::string_view bytes);

  Status Finish();

 private:
  struct Rep;
  explicit TensorBundleWriter(std::unique_ptr<Rep> rep);
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan

#include "formats/tensor_bundle_files.h"  // IWYU pragma: export
