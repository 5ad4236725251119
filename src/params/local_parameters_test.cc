#include "params/local_parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <thread>

#include "base/random.h"

namespace capstan {
namespace {

constexpr Initializer kUniform{.kind = Initializer::Kind::kUniform, .scale = 0.1f};

std::vector<TableSpec> Tables() {
  TableSpec user{.name = "user"};
  user.parts = {{.name = "wide", .dim = 1, .optimizer = {.kind = OptimizerKind::kFtrl}},
                {.name = "embedding", .dim = 6, .initializer = kUniform}};
  TableSpec item{.name = "item", .admission_count = 2, .expiry_steps = 20};
  item.parts = {{.name = "embedding",
                 .dim = 5,
                 .optimizer = {.kind = OptimizerKind::kAdam},
                 .initializer = {.kind = Initializer::Kind::kNormal, .scale = 0.1f}}};
  TableSpec day{.name = "day", .dense_size = 50};
  day.parts = {{.name = "embedding",
                .dim = 3,
                .optimizer = {.kind = OptimizerKind::kRowWiseAdagrad},
                .initializer = kUniform}};
  return {user, item, day};
}

std::vector<DenseSpec> Dense() {
  return {{.variable = "deep/weights", .shape = {300, 70}, .initializer = kUniform},
          {.variable = "wide/bias", .shape = {1}, .optimizer = {.kind = OptimizerKind::kSgd}},
          {.variable = "deep/more",
           .shape = {40, 16},
           .optimizer = {.kind = OptimizerKind::kRowWiseAdagrad},
           .initializer = kUniform},
          {.variable = "deep/mean",
           .shape = {8},
           .initializer = {.kind = Initializer::Kind::kConstant, .scale = 2.0f},
           .trainable = false}};
}

// Steps with random keys and gradients: a function of (seed, step).
class Trainer {
 public:
  explicit Trainer(int workers, int keys_per_table = 400) : pool_(workers), keys_(keys_per_table) {
    parameters_ = LocalParameters::Create(Tables(), Dense(), 1, &pool_).value();
  }

  void Step(int64_t step) {
    RandomStream random(step);
    std::vector<std::vector<uint64_t>> keys(3);
    std::vector<std::vector<uint32_t>> counts(3);
    std::vector<TableKeys> pull;
    for (int t = 0; t < 3; ++t) {
      for (int i = 0; i < keys_; ++i) keys[t].push_back(random.Below(t == 2 ? 50 : 3000));
      std::sort(keys[t].begin(), keys[t].end());
      keys[t].erase(std::unique(keys[t].begin(), keys[t].end()), keys[t].end());
      counts[t].assign(keys[t].size(), 1);
      pull.push_back({keys[t], counts[t]});
    }
    PulledRows rows;
    ASSERT_TRUE(parameters_->Pull(step, pull, &rows).ok());
    std::vector<std::vector<float>> gradients(3);
    Gradients push{.scale = 0.5f};
    for (int t = 0; t < 3; ++t) {
      gradients[t].resize(keys[t].size() * parameters_->table(t).layout().gradient_dim());
      for (float& g : gradients[t]) g = static_cast<float>(random.Normal());
      push.rows.push_back(gradients[t]);
    }
    std::vector<float> dense(parameters_->dense().size());
    for (float& g : dense) g = static_cast<float>(random.Normal());
    push.dense = dense;
    ASSERT_TRUE(parameters_->Push({.step = step}, push).ok());
    parameters_->Expire(step, 100);
  }

  LocalParameters& parameters() { return *parameters_; }

 private:
  WorkerPool pool_;
  const int keys_;
  std::unique_ptr<LocalParameters> parameters_;
};

// Everything that a checkpoint would hold: rows in arena order, dense weights and slots.
struct Contents {
  std::vector<std::vector<char>> rows{3};
  std::vector<std::map<uint64_t, std::pair<uint32_t, uint32_t>>> filtered{3};
  std::vector<float> dense;
  bool operator==(const Contents&) const = default;
};

Contents CopyNow(LocalParameters* parameters) {
  Contents contents;
  for (int t = 0; t < 3; ++t) {
    const int bytes = parameters->table(t).layout().row_bytes();
    parameters->table(t).ForEachRow([&](const char* row) {
      contents.rows[t].insert(contents.rows[t].end(), row, row + bytes);
    });
  }
  const std::span<const float> weights = parameters->dense();
  contents.dense.assign(weights.begin(), weights.end());
  return contents;
}

Contents Read(Snapshot* snapshot, const LocalParameters& parameters) {
  Contents contents;
  for (int t = 0; t < 3; ++t) {
    const int bytes = parameters.table(t).layout().row_bytes();
    int64_t count = 0;
    EXPECT_TRUE(snapshot
                    ->ReadRows(t,
                               [&](std::span<const char* const> rows) {
                                 for (const char* row : rows) {
                                   contents.rows[t].insert(contents.rows[t].end(), row,
                                                           row + bytes);
                                 }
                                 count += static_cast<int64_t>(rows.size());
                                 return OkStatus();
                               })
                    .ok());
    EXPECT_EQ(count, snapshot->row_count(t));
    EXPECT_TRUE(
        snapshot
            ->ReadFiltered(t,
                           [&](std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                               std::span<const uint32_t> steps) {
                             for (size_t i = 0; i < keys.size(); ++i) {
                               contents.filtered[t][keys[i]] = {counts[i], steps[i]};
                             }
                             return OkStatus();
                           })
            .ok());
    EXPECT_EQ(static_cast<int64_t>(contents.filtered[t].size()), snapshot->filtered_count(t));
  }
  contents.dense.assign(snapshot->dense().begin(), snapshot->dense().end());
  return contents;
}

TEST(LocalParameters, SameBitsForAnyNumberOfWorkers) {
  Trainer one(1, 5000), three(3, 5000);
  for (int64_t step = 1; step <= 40; ++step) {
    one.Step(step);
    three.Step(step);
  }
  EXPECT_EQ(CopyNow(&one.parameters()), CopyNow(&three.parameters()));
  EXPECT_GT(one.parameters().row_count(), 3000);
  EXPECT_GT(one.parameters().memory_bytes(), 0);
}

TEST(LocalParameters, PushAppliesEachRuleWhereItBelongs) {
  Trainer trainer(1);
  LocalParameters& parameters = trainer.parameters();
  const uint64_t keys[] = {7, 9};
  const uint32_t counts[] = {2, 1};
  const std::vector<TableKeys> pull = {{keys, counts}, {keys, counts}, {keys, counts}};
  PulledRows rows;
  ASSERT_TRUE(parameters.Pull(1, pull, &rows).ok());
  EXPECT_EQ(rows.rows[1][0], nullptr);  // wanted twice in earlier steps
  ASSERT_TRUE(parameters.Pull(2, pull, &rows).ok());
  EXPECT_EQ(rows.rows[1][1], nullptr);
  ASSERT_NE(rows.rows[1][0], nullptr);
  const PulledRowFormat& format = parameters.row_format(0);
  const float before = rows.rows[0][1][format.part_offset[1] + 2];
  const float dense_before = parameters.dense()[5];
  const std::vector<float> user(14, 1.0f), item(10, 1.0f), day(6, 1.0f);
  std::vector<float> dense(parameters.dense().size(), 4.0f);
  const StepRates rates{.step = 1, .wide_factor = 0.5f, .deep_factor = 2.0f};
  ASSERT_TRUE(parameters.Push(rates, {{user, item, day}, dense, 0.5f}).ok());
  EXPECT_FALSE(parameters.Push(rates, {{user, item, day}, dense, 0.5f}).ok());

  const char* row;
  parameters.table(0).Find({keys + 1, 1}, &row);
  const float* floats = reinterpret_cast<const float*>(row);
  EXPECT_FLOAT_EQ(floats[format.part_offset[1] + 2],
                  before - 0.02f * 0.5f / std::sqrt(0.1f + 0.25f));
  EXPECT_FLOAT_EQ(parameters.dense()[5], dense_before - 0.02f * 2.0f / std::sqrt(0.1f + 4.0f));
  const int64_t bias = parameters.dense_variables()[1].offset;
  EXPECT_FLOAT_EQ(parameters.dense()[bias], -0.005f * 2.0f);
  const int64_t mean = parameters.dense_variables()[3].offset;
  EXPECT_EQ(parameters.dense()[mean], 2.0f);
  EXPECT_FLOAT_EQ(parameters.dense_block().slot(2, 0)[39], 0.1f + 4.0f);
  EXPECT_EQ(parameters.dense_block().slot(2, 0).size(), 40u);
}

// A piece of a variable begins with the values that it has in the whole.
TEST(LocalParameters, PiecesOfADenseVariableBeginAlike) {
  const DenseSpec whole{
      .variable = "w", .shape = {10, 7}, .initializer = {Initializer::Kind::kNormal, 1.0f}};
  DenseSpec piece = whole;
  piece.shape = {4, 7};
  piece.first_element = 3 * 7;
  const auto all = DenseBlock::Create({whole}, 5).value();
  const auto part = DenseBlock::Create({piece}, 5).value();
  EXPECT_EQ(std::memcmp(all.weights().data() + 21, part.weights().data(), 28 * sizeof(float)), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(part.weights().data()) % 64, 0u);
}

TEST(LocalParameters, LookupMakesNothingAndShowsWhatACheckpointWouldHold) {
  Trainer trainer(2);
  trainer.Step(1);
  LocalParameters& parameters = trainer.parameters();
  const int64_t before = parameters.row_count();
  const uint64_t keys[] = {5000, 6000};
  const uint64_t days[] = {3, 49};
  const uint32_t counts[] = {1, 1};
  const std::vector<TableKeys> wanted = {{keys, counts}, {keys, counts}, {days, counts}};
  PulledRows rows;
  ASSERT_TRUE(parameters.Lookup(wanted, &rows).ok());
  EXPECT_EQ(parameters.row_count(), before);
  EXPECT_EQ(rows.rows[0][0], nullptr);
  EXPECT_NE(rows.rows[2][1], nullptr);
  Trainer fresh(1);
  PulledRows initial;
  ASSERT_TRUE(fresh.parameters().Lookup(wanted, &initial).ok());
  ASSERT_NE(initial.rows[2][1], nullptr);
  const float* weights = initial.rows[2][1] + fresh.parameters().row_format(2).part_offset[0];
  EXPECT_NE(weights[0], 0.0f);
}

TEST(LocalParameters, RefusesWhatDoesNotFit) {
  Trainer trainer(1);
  LocalParameters& parameters = trainer.parameters();
  PulledRows rows;
  EXPECT_EQ(Message(parameters.Pull(1, {}, &rows)), "pull rows: keys of 0 tables, wanted 3");
  const uint64_t key[] = {70};
  const uint32_t count[] = {1};
  const std::vector<TableKeys> keys = {{}, {}, {key, count}};
  EXPECT_EQ(Message(parameters.Pull(1, keys, &rows)), "table day: id 70, wanted one below 50");
  const std::vector<TableKeys> none(3);
  ASSERT_TRUE(parameters.Pull(1, none, &rows).ok());
  EXPECT_FALSE(parameters.Cut(1000).ok());
  EXPECT_EQ(Message(parameters.Push({.step = 1}, {std::vector<std::span<const float>>(3), {}})),
            "push step 1: 0 dense gradients, wanted 21680");
}

TEST(Snapshot, EqualsACopyMadeAtTheCutWhileTrainingGoesOn) {
  for (const int64_t buffer_bytes : {int64_t{0}, int64_t{300000}, int64_t{64} << 20}) {
    Trainer trainer(2);
    int64_t step = 0;
    for (int round = 0; round < 6; ++round) {
      for (int i = 0; i < 15; ++i) trainer.Step(++step);
      const Contents wanted = CopyNow(&trainer.parameters());
      auto snapshot = trainer.parameters().Cut(buffer_bytes).value();
      EXPECT_EQ(snapshot->step(), step);
      EXPECT_FALSE(trainer.parameters().Cut(0).ok());
      Contents got;
      std::thread writer([&, snapshot = std::move(snapshot)]() mutable {
        got = Read(snapshot.get(), trainer.parameters());
        EXPECT_EQ(snapshot->dense_slot(2, 0).size(), 40u);
        snapshot.reset();
      });
      for (int i = 0; i < 15; ++i) trainer.Step(++step);
      writer.join();
      EXPECT_EQ(got.rows, wanted.rows) << buffer_bytes << " " << round;
      EXPECT_EQ(got.dense, wanted.dense);
    }
  }
}

// The reader begins only after many steps: every touched row was preserved.
TEST(Snapshot, ReadLateStillShowsTheCut) {
  Trainer trainer(1), twin(1);
  for (int64_t step = 1; step <= 30; ++step) {
    trainer.Step(step);
    twin.Step(step);
  }
  auto snapshot = trainer.parameters().Cut(64 << 20).value();
  for (int64_t step = 31; step <= 90; ++step) trainer.Step(step);
  auto twin_snapshot = twin.parameters().Cut(0).value();
  EXPECT_EQ(Read(snapshot.get(), trainer.parameters()),
            Read(twin_snapshot.get(), twin.parameters()));
  EXPECT_EQ(snapshot->stalls(), 0);
  EXPECT_GT(snapshot->peak_bytes(), 100000);
}

TEST(Snapshot, AbandonedOneLetsTheTrainerGoOn) {
  Trainer trainer(2);
  for (int64_t step = 1; step <= 10; ++step) trainer.Step(step);
  auto snapshot = trainer.parameters().Cut(0).value();
  std::thread writer([snapshot = std::move(snapshot)]() mutable {
    const Status status =
        snapshot->ReadRows(0, [](std::span<const char* const>) { return Error("disk full"); });
    EXPECT_EQ(Message(status), "disk full");
    snapshot.reset();
  });
  for (int64_t step = 11; step <= 20; ++step) trainer.Step(step);
  writer.join();
  trainer.Step(21);
  EXPECT_TRUE(trainer.parameters().Cut(0).ok());
}

}  // namespace
}  // namespace capstan
