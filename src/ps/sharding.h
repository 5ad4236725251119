// Which server has what: rows by hash shard, dense variables in equal pieces of bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "params/table_spec.h"

namespace capstan {

// Rows lie in 1,024 shards by a hash of (table, key); server s of n has shards [1024 s / n, 1024
// (s+1) / n). Tables with dense_size are cut by id instead: a server's rows stand together in
// checkpoints.
constexpr int kRowShards = 1024;

class Sharding {
 public:
  // `dense` with offsets as LayOutDense sets them.
  // The same everywhere: it depends on these arguments only.
  Sharding(const std::vector<TableSpec>& tables, const std::vector<DenseSpec>& dense, int servers);

  int servers() const { return servers_; }

  int ServerOf(int table, uint64_t key) const {
    const uint64_t size = dense_sizes_[table];
    if (size > 0) return key < size ? static_cast<int>(key * servers_ / size) : servers_ - 1;
    return server_of_shard_[MixBits(table_seeds_[table], key) >> 54];
  }

  // Rows [first_row, first_row + rows) along the first dimension of a dense variable (a scalar is
  // one row; so is a vector whose optimizer keeps one accumulator for all of it).
  struct DensePiece {
    int variable = 0;
    int64_t first_row = 0, rows = 0;
    int64_t offset = 0, count = 0;  // floats in the whole flat array
  };
  // Of one server, in the order of the variables. Together all servers have each float once; no
  // server has more than its equal share of trainable floats plus one row. Constants (not
  // trainable) are on server 0.
  const std::vector<DensePiece>& dense_pieces(int server) const { return pieces_[server]; }
  // Of all pieces of a server, and of the trainable ones.
  int64_t dense_floats(int server) const { return dense_floats_[server]; }
  int64_t trainable_floats(int server) const { return trainable_floats_[server]; }

 private:
  int servers_;
  std::vector<int> server_of_shard_;
  std::vector<uint64_t> table_seeds_, dense_sizes_;
  std::vector<std::vector<DensePiece>> pieces_;
  std::vector<int64_t> dense_floats_, trainable_floats_;
};

// The DenseSpecs of one server's pieces: the variables' own names, shapes of the pieces, and where
// they begin (for initial values). Laid out.
std::vector<DenseSpec> DensePieceSpecs(const Sharding& sharding, int server,
                                       const std::vector<DenseSpec>& dense);

}  // namespace capstan
