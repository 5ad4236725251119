#include "ps/push_encoder.h"

#include <algorithm>
#include <cstring>

#include "ps/key_codec.h"
#include "tensor/bfloat16.h"
#include "tensor/vector_ops.h"

namespace capstan {
namespace {
constexpr size_t kBlockRows = 64;

size_t ValueBytes(ValueFormat format) {
  return format == ValueFormat::kBfloat16 ? sizeof(Bfloat16) : sizeof(float);
}
}  // namespace

Status PushEncoder::Check(const Part& part) const {
  const size_t tables = static_cast<size_t>(plan_.tables());
  if (part.rows.size() != tables || part.counts.size() != tables) {
    return Error("push: gradients of {} tables and counts of {}, wanted {}", part.rows.size(),
                 part.counts.size(), tables);
  }
  for (size_t t = 0; t < tables; ++t) {
    const size_t keys = plan_.size(static_cast<int>(t));
    if (part.rows[t].size() != keys * dims_[t] || part.counts[t].size() != keys) {
      return Error("push: table {}: {} gradients and {} counts for {} keys of dim {}", t,
                   part.rows[t].size(), part.counts[t].size(), keys, dims_[t]);
    }
  }
  return OkStatus();
}

Status PushEncoder::Check(const Dense& dense, size_t dense_size) const {
  if (dense.values.empty() || dense.values.size() == dense_size) return OkStatus();
  return Error("push: {} dense gradients, wanted {}", dense.values.size(), dense_size);
}

std::string PushEncoder::Encode(int server, PushRequest request, std::span<const Part> parts,
                                std::span<const Dense> dense) const {
  const int tables = plan_.tables();
  std::vector<std::vector<Bits>> bits(parts.size());
  PushRequest::Sizes sizes;
  for (size_t p = 0; p < parts.size(); ++p) {
    const Part& part = parts[p];
    PushPart& out = request.parts.emplace_back();
    out.identity = part.identity;
    out.weight_sum = part.weight_sum;
    bits[p].reserve(tables);
    std::vector<size_t>& rows = sizes.rows.emplace_back();
    for (int t = 0; t < tables; ++t) {
      const Bits& made = bits[p].emplace_back(MakeBits(plan_.part(server, t), part.counts[t]));
      out.touched.push_back(made.touched);
      out.counts.push_back(made.counts);
      rows.push_back(made.keys * dims_[t] * ValueBytes(format_));
    }
  }
  const size_t dense_bytes = sharding_.trainable_floats(server) * ValueBytes(format_);
  for (const Dense& sum : dense) {
    request.dense.push_back({.node = sum.node});
    sizes.dense.push_back(sum.values.empty() ? 0 : dense_bytes);
  }
  std::string bytes;
  const PushRequest::Arrays arrays = request.EncodeSpace(sizes, &bytes);
  for (size_t p = 0; p < parts.size(); ++p) {
    for (int t = 0; t < tables; ++t) {
      WriteRows(plan_.part(server, t), parts[p].counts[t], parts[p].rows[t], dims_[t],
                arrays.rows[p][t]);
    }
  }
  for (size_t n = 0; n < dense.size(); ++n) {
    if (!dense[n].values.empty()) WriteDense(server, dense[n].values, arrays.dense[n]);
  }
  return bytes;
}

PushEncoder::Bits PushEncoder::MakeBits(const PullPlan::Part& keys,
                                        std::span<const uint32_t> counts) const {
  Bits bits;
  bits.touched.resize((keys.keys.size() + 7) / 8);
  for (size_t i = 0; i < keys.places.size(); ++i) {
    const uint32_t count = counts[keys.places[i]];
    if (count == 0) continue;
    ++bits.keys;
    bits.touched[i / 8] = static_cast<char>(bits.touched[i / 8] | (1 << (i % 8)));
    EncodeCount(count, &bits.counts);
  }
  if (bits.keys == keys.keys.size()) bits.touched.clear();
  return bits;
}

void PushEncoder::WriteRows(const PullPlan::Part& keys, std::span<const uint32_t> counts,
                            std::span<const float> gradients, int dim, char* out) const {
  std::vector<float> block;
  const auto flush = [&] {
    FloatsToBfloat16(block.data(), static_cast<int64_t>(block.size()),
                     reinterpret_cast<Bfloat16*>(out));
    out += block.size() * sizeof(Bfloat16);
    block.clear();
  };
  for (const uint32_t place : keys.places) {
    if (counts[place] == 0) continue;
    const float* const row = gradients.data() + static_cast<size_t>(place) * dim;
    if (format_ == ValueFormat::kFloat32) {
      std::memcpy(out, row, dim * sizeof(float));
      out += dim * sizeof(float);
      continue;
    }
    block.insert(block.end(), row, row + dim);
    if (block.size() >= kBlockRows * dim) flush();
  }
  if (!block.empty()) flush();
}

void PushEncoder::WriteDense(int server, std::span<const float> gradients, char* out) const {
  for (const Sharding::DensePiece& piece : sharding_.dense_pieces(server)) {
    if (!dense_[piece.variable].trainable) continue;
    const float* const from = gradients.data() + piece.offset;
    if (format_ == ValueFormat::kFloat32) {
      std::memcpy(out, from, piece.count * sizeof(float));
    } else {
      FloatsToBfloat16(from, piece.count, reinterpret_cast<Bfloat16*>(out));
    }
    out += piece.count * ValueBytes(format_);
  }
}

}  // namespace capstan
