#include "ps/gradient_sum.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "ps/key_codec.h"
#include "tensor/bfloat16.h"
#include "tensor/vector_ops.h"

namespace capstan {
namespace {
constexpr int64_t kDensePiece = 16384;

size_t ValueBytes(ValueFormat format) {
  return format == ValueFormat::kBfloat16 ? sizeof(Bfloat16) : sizeof(float);
}

bool Aligned(const char* bytes) { return reinterpret_cast<uintptr_t>(bytes) % alignof(float) == 0; }

// Walks over the touched keys of one part and table.
class PartCursor {
 public:
  PartCursor(const StoredPart& stored, int table, int dim)
      : keys_((*stored.keys)[table]),
        touched_(stored.part.touched[table]),
        counts_(stored.part.counts[table]),
        row_(stored.part.rows[table].data()),
        row_bytes_(dim * ValueBytes(stored.format)),
        dim_(dim),
        bfloat16_(stored.format == ValueFormat::kBfloat16) {
    FindTouched();
  }

  bool done() const { return at_ == keys_.size(); }
  uint64_t key() const { return keys_[at_]; }

  // Adds the row of key() to `sum` and goes on. Returns its count.
  uint32_t AddAndNext(float* sum) {
    if (bfloat16_) {
      for (int k = 0; k < dim_; ++k) {
        Bfloat16 value;
        std::memcpy(&value, row_ + k * sizeof(value), sizeof(value));
        sum[k] += FromBfloat16(value);
      }
    } else {
      for (int k = 0; k < dim_; ++k) {
        float value;
        std::memcpy(&value, row_ + k * sizeof(value), sizeof(value));
        sum[k] += value;
      }
    }
    row_ += row_bytes_;
    ++at_;
    FindTouched();
    return DecodeCount(&counts_);
  }

 private:
  void FindTouched() {
    if (touched_.empty()) return;
    while (at_ < keys_.size() && ((touched_[at_ / 8] >> (at_ % 8)) & 1) == 0) ++at_;
  }

  const std::span<const uint64_t> keys_;
  const std::string_view touched_;
  std::string_view counts_;
  const char* row_;
  const size_t row_bytes_;
  const int dim_;
  const bool bfloat16_;
  size_t at_ = 0;
};

// `count` dense gradients from the `offset`-th on: where they lie, or made in `*memory`.
const float* DenseValues(const StoredDense& stored, int64_t offset, int64_t count,
                         std::vector<float>* memory) {
  const std::string_view dense = stored.sum.values;
  if (dense.empty()) {
    memory->assign(count, 0.0f);
    return memory->data();
  }
  const char* const from = dense.data() + offset * ValueBytes(stored.format);
  if (stored.format == ValueFormat::kFloat32 && Aligned(from)) {
    return reinterpret_cast<const float*>(from);
  }
  memory->resize(count);
  if (stored.format == ValueFormat::kFloat32) {
    std::memcpy(memory->data(), from, count * sizeof(float));
    return memory->data();
  }
  std::vector<Bfloat16> halves(count);
  std::memcpy(halves.data(), from, count * sizeof(Bfloat16));
  Bfloat16ToFloats(halves.data(), count, memory->data());
  return memory->data();
}

// How many keys a part touches, or an error.
StatusOr<size_t> CountTouched(std::string_view bits, size_t keys) {
  if (bits.empty()) return keys;
  if (bits.size() != (keys + 7) / 8) {
    return Error("{} bytes of bits for {} keys", bits.size(), keys);
  }
  size_t touched = 0;
  for (const char byte : bits) touched += std::popcount(static_cast<unsigned char>(byte));
  if (keys % 8 != 0 && (static_cast<unsigned char>(bits.back()) >> (keys % 8)) != 0) {
    return Error("bits behind the last of {} keys", keys);
  }
  return touched;
}

Status CheckCounts(std::string_view counts, size_t touched) {
  for (size_t i = 0; i < touched; ++i) {
    if (DecodeCount(&counts) == 0) return Error("count {} of {} is not one", i, touched);
  }
  if (!counts.empty()) return Error("{} bytes behind {} counts", counts.size(), touched);
  return OkStatus();
}

}  // namespace

GradientSum::GradientSum(std::vector<int> dims, std::vector<FloatRange> dense, int64_t dense_size)
    : dims_(std::move(dims)), tables_(dims_.size()), dense_sum_(dense_size) {
  for (const FloatRange& range : dense) {
    for (int64_t begin = 0; begin < range.count; begin += kDensePiece) {
      const int64_t count = std::min(kDensePiece, range.count - begin);
      dense_.push_back({range.offset + begin, count});
      message_offsets_.push_back(message_floats_);
      message_floats_ += count;
    }
  }
}

Status GradientSum::Check(const StoredPart& stored) const {
  const PushPart& part = stored.part;
  const size_t value_bytes = ValueBytes(stored.format);
  for (size_t t = 0; t < dims_.size(); ++t) {
    const auto check = [&]() -> Status {
      ASSIGN_OR_RETURN(const size_t touched,
                       CountTouched(part.touched[t], (*stored.keys)[t].size()));
      RETURN_IF_ERROR(CheckCounts(part.counts[t], touched));
      const size_t wanted = touched * dims_[t] * value_bytes;
      if (part.rows[t].size() == wanted) return OkStatus();
      return Error("{} bytes of gradients for {} keys, wanted {}", part.rows[t].size(), touched,
                   wanted);
    };
    RETURN_IF_ERROR(Annotate(check(), fmt::format("table {}", t)));
  }
  return OkStatus();
}

Status GradientSum::Check(const StoredDense& dense) const {
  const size_t wanted = static_cast<size_t>(message_floats_) * ValueBytes(dense.format);
  const size_t size = dense.sum.values.size();
  if (size == 0 || size == wanted) return OkStatus();
  return Error("{} bytes of dense gradients, wanted {}", size, wanted);
}

void GradientSum::Add(std::span<const StoredPart* const> parts,
                      std::span<const StoredDense* const> dense, int slices, WorkerPool* pool) {
  keys_.assign(dims_.size(), {});
  gradients_.rows.assign(dims_.size(), {});
  std::vector<SliceNode> nodes;
  for (const StoredDense* one : dense) nodes.push_back(one->sum.node);
  const int64_t tables = static_cast<int64_t>(dims_.size());
  pool->ParallelFor(tables + static_cast<int64_t>(dense_.size()), [&](int64_t task, int worker) {
    if (task < tables) {
      AddTable(parts, static_cast<int>(task));
    } else {
      AddDense(dense, nodes, slices, message_offsets_[task - tables], dense_[task - tables]);
    }
  });
  gradients_.dense = dense_sum_;
}

void GradientSum::AddTable(std::span<const StoredPart* const> parts, int t) {
  Table& table = tables_[t];
  const int dim = dims_[t];
  table.keys.clear();
  table.counts.clear();
  const PushPart& first = parts[0]->part;
  if (parts.size() == 1 && first.touched[t].empty() && Aligned(first.rows[t].data()) &&
      parts[0]->format == ValueFormat::kFloat32) {
    keys_[t].keys = (*parts[0]->keys)[t];
    std::string_view counts = first.counts[t];
    while (!counts.empty()) table.counts.push_back(DecodeCount(&counts));
    keys_[t].counts = table.counts;
    gradients_.rows[t] = {reinterpret_cast<const float*>(first.rows[t].data()),
                          first.rows[t].size() / sizeof(float)};
    return;
  }
  std::vector<PartCursor> cursors;
  size_t most = 0;
  for (const StoredPart* part : parts) {
    most += part->part.rows[t].size() / ValueBytes(part->format);
    cursors.emplace_back(*part, t, dim);
  }
  table.rows.assign(most, 0.0f);
  float* sum = table.rows.data();
  for (;;) {
    bool any = false;
    uint64_t least = ~uint64_t{0};
    for (const PartCursor& cursor : cursors) {
      if (cursor.done()) continue;
      any = true;
      least = std::min(least, cursor.key());
    }
    if (!any) break;
    uint64_t count = 0;
    for (PartCursor& cursor : cursors) {
      if (!cursor.done() && cursor.key() == least) count += cursor.AddAndNext(sum);
    }
    table.keys.push_back(least);
    table.counts.push_back(static_cast<uint32_t>(std::min<uint64_t>(count, 0xffffffffu)));
    sum += dim;
  }
  keys_[t] = {table.keys, table.counts};
  gradients_.rows[t] = std::span<const float>(table.rows).first(table.keys.size() * dim);
}

void GradientSum::AddDense(std::span<const StoredDense* const> dense,
                           std::span<const SliceNode> nodes, int slices, int64_t message_offset,
                           const FloatRange& range) {
  std::vector<std::vector<float>> memory(dense.size());
  std::vector<const float*> values;
  for (size_t n = 0; n < dense.size(); ++n) {
    values.push_back(DenseValues(*dense[n], message_offset, range.count, &memory[n]));
  }
  AddSliceTree({0, slices}, nodes, values, range.count, dense_sum_.data() + range.offset);
}

}  // namespace capstan
