#include "ps/pull_gather.h"

#include <algorithm>
#include <cstring>

#include "tensor/bfloat16.h"
#include "tensor/vector_ops.h"

namespace capstan {
namespace {
constexpr size_t kKeysPerRange = 2048;  // a multiple of 8: each has its own bytes of bits
constexpr size_t kBlockRows = 64;

// Where the weights of a table's rows are, and how they lie in messages.
class RowPacking {
 public:
  RowPacking(const RowLayout& layout, ValueFormat format) : format_(format) {
    for (int p = 0; p < layout.part_count(); ++p) {
      parts_.push_back({layout.weights_offset(p), layout.part(p).dim});
    }
    width_ = static_cast<size_t>(layout.gradient_dim());
  }

  size_t row_bytes() const {
    return width_ * (format_ == ValueFormat::kFloat32 ? sizeof(float) : sizeof(Bfloat16));
  }

  // Packs all rows but null ones.
  void Pack(std::span<const char* const> rows, char* out) const {
    if (format_ == ValueFormat::kFloat32) {
      float* next = reinterpret_cast<float*>(out);
      for (const char* row : rows) {
        if (row != nullptr) next = PackRow(row, next);
      }
      return;
    }
    std::vector<float> block(kBlockRows * width_);
    Bfloat16* target = reinterpret_cast<Bfloat16*>(out);
    for (size_t begin = 0; begin < rows.size(); begin += kBlockRows) {
      float* next = block.data();
      for (const char* row : rows.subspan(begin, std::min(kBlockRows, rows.size() - begin))) {
        if (row != nullptr) next = PackRow(row, next);
      }
      FloatsToBfloat16(block.data(), next - block.data(), target);
      target += next - block.data();
    }
  }

 private:
  float* PackRow(const char* row, float* out) const {
    const float* const floats = reinterpret_cast<const float*>(row);
    for (const FloatRange& part : parts_) {
      const float* const from = floats + part.offset;
      if (part.count == 1) {
        *out = *from;
      } else if (part.count == 16) {
        std::memcpy(out, from, 16 * sizeof(float));
      } else {
        std::memcpy(out, from, part.count * sizeof(float));
      }
      out += part.count;
    }
    return out;
  }

  const ValueFormat format_;
  std::vector<FloatRange> parts_;
  size_t width_ = 0;
};

// Keys [begin, end) of a table: what one thread finds, then packs.
struct KeyRange {
  int table = 0;
  size_t begin = 0, end = 0;
  std::vector<char> made;
  size_t present = 0;
  size_t first_row = 0;  // in the message
  Status status;
};

class Gather {
 public:
  Gather(const PullRequest& request, LocalParameters* parameters, WorkerPool* pool)
      : request_(request), parameters_(parameters), pool_(pool), rows_(request.keys.size()) {
    for (size_t t = 0; t < request.keys.size(); ++t) {
      const size_t count = request.keys[t].size();
      rows_[t].resize(count);
      for (size_t begin = 0; begin < count; begin += kKeysPerRange) {
        KeyRange& range = ranges_.emplace_back();
        range.table = static_cast<int>(t);
        range.begin = begin;
        range.end = std::min(count, begin + kKeysPerRange);
      }
      packings_.emplace_back(parameters->table(static_cast<int>(t)).layout(), request.format);
    }
  }

  Status Find(int64_t step);
  std::string Write(int64_t applied_step, std::span<const FloatRange> dense);

 private:
  template <typename Body>
  void ForRanges(const Body& body) {
    pool_->ParallelFor(static_cast<int64_t>(ranges_.size()),
                       [&](int64_t index, int worker) { body(&ranges_[index]); });
  }
  std::span<const char*> RowsOf(const KeyRange& range) {
    return std::span(rows_[range.table]).subspan(range.begin, range.end - range.begin);
  }
  void WriteRange(const KeyRange& range, const PullAnswer::Arrays& arrays);
  void WriteDense(std::span<const FloatRange> ranges, char* out) const;

  const PullRequest& request_;
  LocalParameters* const parameters_;
  WorkerPool* const pool_;
  std::vector<std::vector<const char*>> rows_;
  std::vector<KeyRange> ranges_;
  std::vector<RowPacking> packings_;
  PulledRows looked_up_;
};

Status Gather::Find(int64_t step) {
  if (!request_.training) {
    std::vector<TableKeys> keys;
    for (const auto& table : request_.keys) keys.push_back({.keys = table});
    RETURN_IF_ERROR(parameters_->Lookup(keys, &looked_up_));
    for (size_t t = 0; t < rows_.size(); ++t) {
      for (size_t i = 0; i < rows_[t].size(); ++i) {
        rows_[t][i] = reinterpret_cast<const char*>(looked_up_.rows[t][i]);
      }
    }
  } else {
    ForRanges([&](KeyRange* range) {
      const std::span<const uint64_t> keys(request_.keys[range->table]);
      range->status = parameters_->table(range->table)
                          .Peek(keys.subspan(range->begin, range->end - range->begin), step,
                                &range->made, RowsOf(*range).data());
    });
  }
  for (KeyRange& range : ranges_) {
    RETURN_IF_ERROR(range.status);
    const std::span<const char*> rows = RowsOf(range);
    range.present = rows.size() - static_cast<size_t>(std::ranges::count(rows, nullptr));
  }
  return OkStatus();
}

std::string Gather::Write(int64_t applied_step, std::span<const FloatRange> dense) {
  std::vector<size_t> present(rows_.size(), 0);
  for (KeyRange& range : ranges_) {
    range.first_row = present[range.table];
    present[range.table] += range.present;
  }
  PullAnswer::Sizes sizes;
  for (size_t t = 0; t < rows_.size(); ++t) {
    sizes.present.push_back((rows_[t].size() + 7) / 8);
    sizes.rows.push_back(present[t] * packings_[t].row_bytes());
  }
  int64_t dense_floats = 0;
  if (request_.wants_dense) {
    for (const FloatRange& range : dense) dense_floats += range.count;
  }
  const bool floats = request_.format == ValueFormat::kFloat32;
  sizes.dense = dense_floats * (floats ? sizeof(float) : sizeof(Bfloat16));
  std::string bytes;
  const PullAnswer answer{.applied_step = applied_step, .format = request_.format};
  const PullAnswer::Arrays arrays = answer.EncodeSpace(sizes, &bytes);
  ForRanges([&](KeyRange* range) { WriteRange(*range, arrays); });
  if (request_.wants_dense) WriteDense(dense, arrays.dense);
  return bytes;
}

void Gather::WriteRange(const KeyRange& range, const PullAnswer::Arrays& arrays) {
  const std::span<const char*> rows = RowsOf(range);
  char* const bits = arrays.present[range.table] + range.begin / 8;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] != nullptr) bits[i / 8] = static_cast<char>(bits[i / 8] | (1 << (i % 8)));
  }
  const RowPacking& packing = packings_[range.table];
  packing.Pack(rows, arrays.rows[range.table] + range.first_row * packing.row_bytes());
}

void Gather::WriteDense(std::span<const FloatRange> ranges, char* out) const {
  const float* const weights = parameters_->dense().data();
  for (const FloatRange& range : ranges) {
    if (request_.format == ValueFormat::kFloat32) {
      std::memcpy(out, weights + range.offset, range.count * sizeof(float));
      out += range.count * sizeof(float);
    } else {
      FloatsToBfloat16(weights + range.offset, range.count, reinterpret_cast<Bfloat16*>(out));
      out += range.count * sizeof(Bfloat16);
    }
  }
}

}  // namespace

StatusOr<std::string> GatherPull(const PullRequest& request, int64_t step, int64_t applied_step,
                                 std::span<const FloatRange> dense, LocalParameters* parameters,
                                 WorkerPool* pool) {
  Gather gather(request, parameters, pool);
  RETURN_IF_ERROR(gather.Find(step));
  return gather.Write(applied_step, dense);
}

}  // namespace capstan
