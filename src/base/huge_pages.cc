#include "base/huge_pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace capstan {
namespace {
constexpr size_t kHugePageBytes = size_t{2} << 20;
}

StatusOr<HugeBlock> HugeBlock::Allocate(size_t size_bytes) {
  HugeBlock block;
  if (size_bytes == 0) return block;
  // A mapping is aligned to 4 KB only: take one page more and use the aligned part of it.
  const size_t slack = size_bytes >= kHugePageBytes ? kHugePageBytes : 0;
  const size_t mapping_bytes = size_bytes + slack;
  void* mapping = ::mmap(nullptr, mapping_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    return SystemError(fmt::format("allocate {} bytes", size_bytes), errno);
  }
  block.mapping_ = static_cast<char*>(mapping);
  block.mapping_bytes_ = mapping_bytes;
  block.data_ = block.mapping_;
  block.size_bytes_ = size_bytes;
  if (slack > 0) {
    const auto address = reinterpret_cast<uintptr_t>(mapping);
    block.data_ += (kHugePageBytes - address % kHugePageBytes) % kHugePageBytes;
    ::madvise(block.data_, size_bytes, MADV_HUGEPAGE);  // a wish: without it pages are small
  }
  return block;
}

HugeBlock::~HugeBlock() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes_);
}

HugeBlock::HugeBlock(HugeBlock&& other) noexcept { *this = std::move(other); }

HugeBlock& HugeBlock::operator=(HugeBlock&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_bytes_, other.mapping_bytes_);
  return *this;
}

}  // namespace capstan
