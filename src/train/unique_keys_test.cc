#include "train/unique_keys.h"

#include <gtest/gtest.h>

#include "model/model_file.h"

namespace capstan {
namespace {

// Two features on one table, one of them a list.
std::unique_ptr<Model> SharedTableModel() {
  return NewModel(ParseModelFile("model: lr\n"
                                 "features:\n"
                                 "  - {name: a, type: id, table: t}\n"
                                 "  - {name: b, type: id, table: t, combiner: sum}\n"
                                 "  - {name: c, type: id}\n",
                                 "m.yaml")
                      .value())
      .value();
}

Batch ThreeExamples() {
  Batch batch;
  batch.size = 3;
  batch.columns.resize(3);
  batch.columns[0].keys = {7, 8, 7};
  batch.columns[1].keys = {8, 9, 9, 5};
  batch.columns[1].offsets = {0, 1, 1, 4};
  batch.columns[2].keys = {1, 1, 1};
  return batch;
}

std::vector<uint64_t> KeysOf(const UniqueKeys& keys, int table) {
  const auto span = keys.tables()[table].keys;
  return {span.begin(), span.end()};
}
std::vector<uint32_t> CountsOf(const UniqueKeys& keys, int table) {
  const auto span = keys.tables()[table].counts;
  return {span.begin(), span.end()};
}

TEST(UniqueKeys, NumbersKeysByTheirFirstAppearance) {
  const auto model = SharedTableModel();
  UniqueKeys keys(*model);
  WorkerPool pool(2);
  const Batch batch = ThreeExamples();
  keys.Build(batch, &pool);
  EXPECT_EQ(KeysOf(keys, 0), (std::vector<uint64_t>{7, 8, 9, 5}));
  EXPECT_EQ(CountsOf(keys, 0), (std::vector<uint32_t>{2, 2, 2, 1}));
  EXPECT_EQ(KeysOf(keys, 1), (std::vector<uint64_t>{1}));
  EXPECT_EQ(keys.index()[1][3], 3u);
  EXPECT_EQ(keys.index()[0][2], 0u);
}

TEST(UniqueKeys, OfSomeExamplesOnly) {
  const auto model = SharedTableModel();
  UniqueKeys keys(*model);
  WorkerPool pool(1);
  const Batch batch = ThreeExamples();
  const std::vector<UniqueKeys::Range> ranges = {{0, 1}, {2, 3}};
  keys.Build(batch, ranges, &pool);
  EXPECT_EQ(KeysOf(keys, 0), (std::vector<uint64_t>{7, 8, 9, 5}));
  EXPECT_EQ(CountsOf(keys, 0), (std::vector<uint32_t>{2, 1, 2, 1}));
  EXPECT_EQ(CountsOf(keys, 1), (std::vector<uint32_t>{2}));
  EXPECT_EQ(keys.index()[1][1], 2u);
}

}  // namespace
}  // namespace capstan
