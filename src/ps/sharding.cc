#include "ps/sharding.h"

#include <algorithm>
#include <string_view>

namespace capstan {
namespace {

uint64_t HashName(std::string_view name) {
  uint64_t hash = MixBits(name.size());
  for (const char c : name) hash = MixBits(hash, static_cast<unsigned char>(c));
  return hash;
}

// Rows that may lie on different servers.
int64_t SplitRows(const DenseSpec& variable) {
  const bool one_accumulator = IsRowWise(variable.optimizer.kind) && variable.shape.size() < 2;
  return variable.shape.empty() || one_accumulator ? 1 : variable.shape[0];
}

}  // namespace

Sharding::Sharding(const std::vector<TableSpec>& tables, const std::vector<DenseSpec>& dense,
                   int servers)
    : servers_(servers), server_of_shard_(kRowShards), pieces_(servers) {
  for (int s = 0; s < servers; ++s) {
    std::fill(server_of_shard_.begin() + int64_t{kRowShards} * s / servers,
              server_of_shard_.begin() + int64_t{kRowShards} * (s + 1) / servers, s);
  }
  for (const TableSpec& table : tables) {
    table_seeds_.push_back(HashName(table.name));
    dense_sizes_.push_back(static_cast<uint64_t>(std::max<int64_t>(table.dense_size, 0)));
  }

  int64_t total = 0;
  for (const DenseSpec& variable : dense) {
    if (variable.trainable) total += ElementCount(variable.shape);
  }
  // The trainable floats, one variable behind the other, are cut into equal parts; a cut moves to
  // the nearest row.
  int64_t at = 0;
  for (int v = 0; v < static_cast<int>(dense.size()); ++v) {
    const DenseSpec& variable = dense[v];
    const int64_t count = ElementCount(variable.shape);
    const int64_t rows = SplitRows(variable);
    if (!variable.trainable) {
      pieces_[0].push_back({v, 0, rows, variable.offset, count});
      continue;
    }
    const int64_t row_size = rows > 0 ? count / rows : 0;
    const auto cut = [&](int server) {
      const int64_t wanted = static_cast<int64_t>(static_cast<__int128>(total) * server / servers);
      if (server == servers || row_size == 0) return server == servers ? rows : 0;
      return std::clamp<int64_t>((wanted - at + row_size / 2) / row_size, 0, rows);
    };
    for (int s = 0; s < servers; ++s) {
      const int64_t first = s == 0 ? 0 : cut(s), last = cut(s + 1);
      if (first >= last) continue;
      pieces_[s].push_back(
          {v, first, last - first, variable.offset + first * row_size, (last - first) * row_size});
    }
    at += count;
  }
  for (const auto& pieces : pieces_) {
    int64_t& floats = dense_floats_.emplace_back(0);
    int64_t& trainable = trainable_floats_.emplace_back(0);
    for (const DensePiece& piece : pieces) {
      floats += piece.count;
      if (dense[piece.variable].trainable) trainable += piece.count;
    }
  }
}

std::vector<DenseSpec> DensePieceSpecs(const Sharding& sharding, int server,
                                       const std::vector<DenseSpec>& dense) {
  std::vector<DenseSpec> specs;
  for (const Sharding::DensePiece& piece : sharding.dense_pieces(server)) {
    const DenseSpec& whole = dense[piece.variable];
    DenseSpec& spec = specs.emplace_back(whole);
    if (!spec.shape.empty() && piece.count != ElementCount(whole.shape)) spec.shape[0] = piece.rows;
    spec.first_element = whole.first_element + piece.offset - whole.offset;
  }
  LayOutDense(&specs);
  return specs;
}

}  // namespace capstan
