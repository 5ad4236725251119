#include "params/row_layout.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

TEST(RowLayout, PutsPartsBehindTheHeaderAndPads) {
  const RowLayout layout({{.name = "wide", .dim = 1}, {.name = "embedding", .dim = 16}});
  EXPECT_EQ(layout.weights_offset(0), 4);
  EXPECT_EQ(layout.slot_offset(0, 0), 5);
  EXPECT_EQ(layout.weights_offset(1), 6);
  EXPECT_EQ(layout.slot_offset(1, 0), 22);
  EXPECT_EQ(layout.row_bytes(), 160);
  EXPECT_EQ(layout.gradient_dim(), 17);
  EXPECT_EQ(layout.gradient_offset(1), 1);
}

TEST(RowLayout, RowWiseSlotsAreOneFloat) {
  const RowLayout layout({{.dim = 16, .optimizer = {.kind = OptimizerKind::kRowWiseAdagrad}},
                          {.dim = 8, .optimizer = {.kind = OptimizerKind::kAdam}},
                          {.dim = 2, .optimizer = {.kind = OptimizerKind::kSgd}}});
  EXPECT_EQ(layout.slot_offset(0, 0), 20);
  EXPECT_EQ(layout.weights_offset(1), 21);
  EXPECT_EQ(layout.slot_offset(1, 1), 37);
  EXPECT_EQ(layout.weights_offset(2), 45);
  EXPECT_EQ(layout.row_bytes(), 192);
}

TEST(TableSpec, LaysDenseVariablesOutByLines) {
  std::vector<DenseSpec> variables = {{.shape = {3, 5}}, {.shape = {17}}, {.shape = {}}};
  EXPECT_EQ(LayOutDense(&variables), 64);
  EXPECT_EQ(variables[1].offset, 16);
  EXPECT_EQ(variables[2].offset, 48);
}

}  // namespace
}  // namespace capstan
