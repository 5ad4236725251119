// A file read from front to back, decompressed on the way.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

enum class Compression { kNone, kGzip, kZlib };

// One reader, one thread. Offsets count decompressed bytes.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Up to `size_bytes` into `buffer`; fewer only at the end. Errors (among them a cut or damaged
  // compressed stream) name path and offset.
  virtual StatusOr<size_t> Read(size_t size_bytes, char* buffer) = 0;
  // Moves forward (compressed: by reading) or, for plain files, anywhere.
  virtual Status Seek(uint64_t offset) = 0;
  virtual uint64_t offset() const = 0;
  virtual const std::string& path() const = 0;
};

// Looks at the first bytes: gzip by its magic 1f 8b; zlib by its header's check (CMF 0x78, header
// divisible by 31); anything else is plain.
StatusOr<Compression> DetectCompression(FileSystem& fs, const std::string& path);

StatusOr<std::unique_ptr<ByteSource>> OpenByteSource(FileSystem& fs, const std::string& path,
                                                     Compression compression);

}  // namespace capstan
