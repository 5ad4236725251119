#include "train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "model/model_file.h"
#include "params/local_parameters.h"
#include "train/slice_trainer.h"

namespace capstan {
namespace {

constexpr int kExamples = 37, kKeys = 12;

std::unique_ptr<Model> SmallModel() {
  return NewModel(ParseModelFile("model: wide_and_deep\n"
                                 "features:\n"
                                 "  - {name: \"I{1..3}\", type: float}\n"
                                 "  - {name: \"C{1..2}\", type: id, dim: 4}\n"
                                 "deep: {hidden: [8, 4]}\n",
                                 "m.yaml")
                      .value())
      .value();
}

Batch NewBatch(int64_t number, int examples = kExamples) {
  RandomStream random(static_cast<uint64_t>(number));
  Batch batch;
  batch.size = examples;
  batch.position.batch = number;
  for (int i = 0; i < 3 * examples; ++i) batch.dense.push_back(random.Uniform());
  batch.columns.resize(2);
  for (KeyColumn& column : batch.columns) {
    for (int i = 0; i < examples; ++i) column.keys.push_back(random.Below(kKeys));
  }
  for (int i = 0; i < examples; ++i) batch.labels.push_back(static_cast<float>(random.Below(2)));
  return batch;
}

// Parameters that remember what they were asked for.
class WatchedParameters : public Parameters {
 public:
  WatchedParameters(const Model& model, WorkerPool* pool)
      : local_(LocalParameters::Create(model.tables(), model.dense_variables(), 7, pool).value()) {}

  const std::vector<TableSpec>& tables() const override { return local_->tables(); }
  const std::vector<DenseSpec>& dense_variables() const override {
    return local_->dense_variables();
  }
  const PulledRowFormat& row_format(int table) const override { return local_->row_format(table); }
  Status Pull(int64_t step, std::span<const TableKeys> keys, PulledRows* rows) override {
    calls += 'p';
    pulled = KeysOf(keys);
    return local_->Pull(step, keys, rows);
  }
  Status StartPull(int64_t step, std::span<const TableKeys> keys) override {
    calls += 's';
    started = KeysOf(keys);
    return OkStatus();
  }
  Status Lookup(std::span<const TableKeys> keys, PulledRows* rows) override {
    return local_->Lookup(keys, rows);
  }
  std::span<const float> dense() const override { return local_->dense(); }
  Status Push(const StepRates& rates, const Gradients& gradients) override {
    calls += 'P';
    dense_gradient.assign(gradients.dense.begin(), gradients.dense.end());
    return local_->Push(rates, gradients);
  }

  using Keys = std::vector<std::vector<uint64_t>>;
  static Keys KeysOf(std::span<const TableKeys> keys) {
    Keys lists;
    for (const TableKeys& table : keys) lists.emplace_back(table.keys.begin(), table.keys.end());
    return lists;
  }
  std::string calls;
  Keys pulled, started;
  std::vector<float> dense_gradient;

 private:
  const std::unique_ptr<LocalParameters> local_;
};

TEST(TrainerTest, SameBitsWhetherTheNextPullIsStartedOrNot) {
  const auto model = SmallModel();
  WorkerPool pool(2);
  WatchedParameters plain(*model, &pool), ahead(*model, &pool);
  const auto one = Trainer::Create(model.get(), &plain, &pool, 8, kExamples).value();
  const auto other = Trainer::Create(model.get(), &ahead, &pool, 8, kExamples).value();
  for (int64_t step = 1; step <= 6; ++step) {
    // Of step 4 another batch comes than was announced, as after a change of generation.
    const Batch batch = NewBatch(step == 4 ? 100 : step), next = NewBatch(step + 1);
    ASSERT_TRUE(one->Step(step, batch).ok());
    ASSERT_TRUE(other->Step(step, batch, step == 6 ? nullptr : &next).ok());
    EXPECT_EQ(ahead.pulled, plain.pulled);
    EXPECT_TRUE(std::ranges::equal(plain.dense(), ahead.dense()));
  }
  EXPECT_EQ(plain.calls, "pPpPpPpPpPpP");
  EXPECT_EQ(ahead.calls, "psPpsPpsPpsPpsPpP");
  EXPECT_EQ(ahead.started, ahead.pulled);
}

// What workers send of their slices makes the whole step's gradient, with the same bits.
TEST(SliceTrainerTest, NodesMakeTheStepsDenseGradient) {
  const auto model = SmallModel();
  WorkerPool pool(2);
  for (const int slices : {1, 3, 8, 11}) {
    // Fewer examples than slices: some are empty.
    for (const int examples : {kExamples, 5}) {
      const Batch batch = NewBatch(3, examples);
      WatchedParameters whole(*model, &pool);
      const auto trainer = Trainer::Create(model.get(), &whole, &pool, slices, examples).value();
      ASSERT_TRUE(trainer->Step(1, batch).ok());
      RandomStream random(static_cast<uint64_t>(slices));
      for (int round = 0; round < 10; ++round) {
        const int workers = 1 + static_cast<int>(random.Below(3));
        std::vector<std::vector<int32_t>> shares(workers);
        for (int32_t s = 0; s < slices; ++s) shares[random.Below(workers)].push_back(s);
        std::vector<std::pair<SliceNode, std::vector<float>>> sums;
        for (std::vector<int32_t>& share : shares) {
          std::ranges::reverse(share);  // in any order
          WatchedParameters parameters(*model, &pool);
          const auto part =
              SliceTrainer::Create(model.get(), &parameters, &pool, slices, examples).value();
          const auto result = part->Compute(1, batch, share);
          ASSERT_TRUE(result.ok()) << result.status();
          ASSERT_EQ(result->slices.size(), share.size());
          for (const SliceTrainer::Dense& dense : result->dense) {
            std::vector<float> sum(dense.sum.begin(), dense.sum.end());
            sum.resize(whole.dense_gradient.size());
            sums.emplace_back(dense.node, sum);
          }
        }
        std::ranges::sort(sums, {}, [](const auto& sum) { return sum.first.first; });
        std::vector<SliceNode> nodes;
        std::vector<const float*> values;
        for (const auto& [node, sum] : sums) {
          nodes.push_back(node);
          values.push_back(sum.data());
        }
        ASSERT_TRUE(CoverSliceTree({0, slices}, nodes));
        std::vector<float> dense(whole.dense_gradient.size());
        AddSliceTree({0, slices}, nodes, values, static_cast<int64_t>(dense.size()), dense.data());
        EXPECT_EQ(
            std::memcmp(dense.data(), whole.dense_gradient.data(), dense.size() * sizeof(float)), 0)
            << slices << " slices of " << examples;
      }
    }
  }
}

}  // namespace
}  // namespace capstan
