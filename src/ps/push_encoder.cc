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

Status PushEncoder::Check(const Gradients& gradients,
                          std::span<const std::span<const uint32_t>> counts,
                          size_t dense_size) const {
  const size_t tables = static_cast<size_t>(plan_.tables());
  if (gradients.rows.size() != tables || counts.size() != tables) {
    return Error("push: gradients of {} tables and counts of {}, wanted {}", gradients.rows.size(),
                 counts.size(), tables);
  }
  for (size_t t = 0; t < tables; ++t) {
    const size_t keys = plan_.size(static_cast<int>(t));
    if (gradients.rows[t].size() != keys * dims_[t] || counts[t].size() != keys) {
      return Error("push: table {}: {} gradients and {} counts for {} keys of dim {}", t,
                   gradients.rows[t].size(), counts[t].size(), keys, dims_[t]);
    }
  }
  if (!gradients.dense.empty() && gradients.dense.size() != dense_size) {
    return Error("push: {} dense gradients, wanted {}", gradients.dense.size(), dense_size);
  }
  return OkStatus();
}

std::string PushEncoder::Encode(int server, PushRequest request,
                                std::span<const Part> parts) const {
  const int tables = plan_.tables();
  std::vector<std::vector<Bits>> bits(parts.size());
  std::vector<PushRequest::Sizes> sizes(parts.size());
  for (size_t p = 0; p < parts.size(); ++p) {
    const Part& part = parts[p];
    PushPart& out = request.parts.emplace_back();
    out.identity = part.identity;
    out.weight_sum = part.weight_sum;
    bits[p].reserve(tables);
    for (int t = 0; t < tables; ++t) {
      const Bits& made = bits[p].emplace_back(MakeBits(plan_.part(server, t), part.counts[t]));
      out.touched.push_back(made.touched);
      out.counts.push_back(made.counts);
      sizes[p].rows.push_back(made.keys * dims_[t] * ValueBytes(format_));
    }
    if (!part.gradients->dense.empty()) {
      sizes[p].dense = sharding_.trainable_floats(server) * ValueBytes(format_);
    }
  }
  std::string bytes;
  const std::vector<PushRequest::Arrays> arrays = request.EncodeSpace(sizes, &bytes);
  for (size_t p = 0; p < parts.size(); ++p) {
    for (int t = 0; t < tables; ++t) {
      WriteRows(plan_.part(server, t), parts[p].counts[t], parts[p].gradients->rows[t], dims_[t],
                arrays[p].rows[t]);
    }
    if (sizes[p].dense > 0) WriteDense(server, parts[p].gradients->dense, arrays[p].dense);
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
