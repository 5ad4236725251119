#include "ps/sharding.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

TableSpec Table(const std::string& name, int dim) {
  TableSpec table{.name = name};
  table.parts = {{.name = "embedding", .dim = dim}};
  return table;
}

std::vector<DenseSpec> Dense() {
  std::vector<DenseSpec> dense = {
      {.variable = "mean", .shape = {13}, .trainable = false},
      {.variable = "layer_0/kernel", .shape = {429, 256}},
      {.variable = "layer_0/bias", .shape = {256}},
      {.variable = "layer_1/kernel",
       .shape = {256, 128},
       .optimizer = {.kind = OptimizerKind::kRowWiseAdagrad}},
      {.variable = "layer_1/bias",
       .shape = {128},
       .optimizer = {.kind = OptimizerKind::kRowWiseAdagrad}},
      {.variable = "bias", .shape = {}},
      {.variable = "layer_2/kernel", .shape = {128, 64}},
  };
  LayOutDense(&dense);
  return dense;
}

TEST(Sharding, DenseFloatsAreSharedOutEvenlyAndOnce) {
  const std::vector<DenseSpec> dense = Dense();
  int64_t total = 0;
  for (const DenseSpec& variable : dense) {
    if (variable.trainable) total += ElementCount(variable.shape);
  }
  for (const int servers : {1, 2, 3, 5, 64, 1024}) {
    const Sharding sharding({}, dense, servers);
    std::vector<int> owners(160000, 0);
    for (int s = 0; s < servers; ++s) {
      EXPECT_LE(sharding.trainable_floats(s), total / servers + 1 + 256) << servers;
      if (servers == 2) {
        EXPECT_LE(sharding.dense_floats(s), total * 55 / 100);
      }
      int64_t floats = 0;
      int variable = -1;
      for (const Sharding::DensePiece& piece : sharding.dense_pieces(s)) {
        EXPECT_GT(piece.variable, variable);
        variable = piece.variable;
        floats += piece.count;
        for (int64_t i = 0; i < piece.count; ++i) ++owners[piece.offset + i];
      }
      EXPECT_EQ(floats, sharding.dense_floats(s));
    }
    for (const DenseSpec& variable : dense) {
      for (int64_t i = 0; i < ElementCount(variable.shape); ++i) {
        ASSERT_EQ(owners[variable.offset + i], 1) << variable.variable << " " << i;
      }
    }
  }
}

TEST(Sharding, PiecesKnowWhereTheyBegin) {
  const std::vector<DenseSpec> dense = Dense();
  const Sharding sharding({}, dense, 3);
  for (int s = 0; s < 3; ++s) {
    const std::vector<DenseSpec> specs = DensePieceSpecs(sharding, s, dense);
    int64_t end = 0;
    for (size_t i = 0; i < specs.size(); ++i) {
      const Sharding::DensePiece& piece = sharding.dense_pieces(s)[i];
      const DenseSpec& whole = dense[piece.variable];
      EXPECT_EQ(specs[i].variable, whole.variable);
      EXPECT_EQ(specs[i].first_element, piece.offset - whole.offset);
      EXPECT_EQ(ElementCount(specs[i].shape), piece.count);
      EXPECT_EQ(specs[i].shape.size(), whole.shape.size());
      EXPECT_EQ(specs[i].offset % 16, 0);
      EXPECT_GE(specs[i].offset, end);
      end = specs[i].offset + piece.count;
    }
  }
}

TEST(Sharding, RowsAreSharedOutEvenlyByAFixedHash) {
  const std::vector<TableSpec> tables = {Table("user", 16), Table("item", 16)};
  for (const int servers : {1, 2, 3, 5}) {
    const Sharding sharding(tables, {}, servers);
    std::vector<int> count(servers);
    for (uint64_t key = 0; key < 100000; ++key) ++count[sharding.ServerOf(key % 2, key)];
    for (const int rows : count) EXPECT_NEAR(rows, 100000 / servers, 100000 / servers / 20);
  }
  // What a checkpoint's parts and a peer of another build rely on.
  const Sharding sharding(tables, {}, 5);
  std::string servers;
  for (uint64_t key = 0; key < 20; ++key) {
    servers += static_cast<char>('0' + sharding.ServerOf(0, key));
    servers += static_cast<char>('0' + sharding.ServerOf(1, MixBits(key)));
  }
  EXPECT_EQ(servers, "4022342404123421200001200432013323111044");
}

}  // namespace
}  // namespace capstan
