#include "ps/remote_parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <thread>
#include <utility>

#include "ps/synthetic_training.h"
#include "ps/test_cluster.h"

namespace capstan {
namespace {

constexpr RunId kRun{.run = 1, .generation = 1};

class RemoteParametersTest : public testing::Test {
 protected:
  void Start(TrainMode mode, int servers) {
    cluster_ = std::make_unique<TestCluster>(mode, servers, Adversary(), training_.tables(),
                                             training_.dense());
    ASSERT_TRUE(cluster_->Control({.kind = ControlKind::kBegin, .run = kRun}).ok());
    worker_ = cluster_->NewWorker(0);
    worker_->SetRun(kRun);
  }

  const SyntheticTraining training_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<RemoteParameters> worker_;
};

// Rows and dense weights arrive at their places.
TEST_F(RemoteParametersTest, PullsWhatOneProcessWouldHave) {
  WorkerPool pool(1);
  auto local =
      LocalParameters::Create(training_.tables(), training_.dense(), TestCluster::kSeed, &pool)
          .value();
  const std::vector<uint64_t> users = {9, 3, ~0ull, 17, 1}, days = {39, 0, 7};
  const std::vector<uint32_t> counts(5, 1);
  const std::vector<TableKeys> keys = {
      {users, counts}, {{}, {}}, {days, std::span(counts).first(3)}, {users, counts}};
  PulledRows wanted, rows;
  ASSERT_TRUE(local->Pull(1, keys, &wanted).ok());
  for (const ValueFormat format : {ValueFormat::kFloat32, ValueFormat::kBfloat16}) {
    Start(TrainMode::kAsync, 3);
    worker_ = cluster_->NewWorker(0, format);
    worker_->SetRun(kRun);
    ASSERT_TRUE(worker_->Pull(1, keys, &rows).ok());
    const float tolerance = format == ValueFormat::kFloat32 ? 0.0f : 0.0005f;
    for (size_t t = 0; t < keys.size(); ++t) {
      ASSERT_EQ(rows.rows[t].size(), keys[t].keys.size());
      for (size_t i = 0; i < rows.rows[t].size(); ++i) {
        for (size_t p = 0; p < training_.tables()[t].parts.size(); ++p) {
          const int table = static_cast<int>(t);
          const float* a = rows.rows[t][i] + worker_->row_format(table).part_offset[p];
          const float* b = wanted.rows[t][i] + local->row_format(table).part_offset[p];
          for (int k = 0; k < training_.tables()[t].parts[p].dim; ++k) {
            ASSERT_NEAR(a[k], b[k], tolerance);
          }
        }
      }
    }
    ASSERT_EQ(worker_->dense().size(), local->dense().size());
    for (const DenseSpec& variable : training_.dense()) {
      for (int64_t i = 0; i < ElementCount(variable.shape); ++i) {
        const int64_t at = variable.offset + i;
        ASSERT_NEAR(worker_->dense()[at], local->dense()[at], tolerance) << variable.variable;
      }
    }
    ASSERT_TRUE(worker_->Lookup(keys, &rows).ok());
    EXPECT_EQ(rows.rows[0][0], nullptr);
    EXPECT_NE(rows.rows[2][0], nullptr);
  }
}

TEST_F(RemoteParametersTest, WaitingCallsEndWhenTold) {
  Start(TrainMode::kSync, 2);
  const std::vector<TableKeys> none(4);
  PulledRows rows;
  const auto wait_for_pull = [&] {
    while (cluster_->server(0).statistics().waiting_pulls == 0) std::this_thread::yield();
  };
  std::thread interrupted([&] { EXPECT_TRUE(absl::IsAborted(worker_->Pull(5, none, &rows))); });
  wait_for_pull();
  worker_->Interrupt();
  interrupted.join();
  std::thread stopped([&] { EXPECT_TRUE(absl::IsCancelled(worker_->Pull(6, none, &rows))); });
  wait_for_pull();
  worker_->Stop();
  stopped.join();
  EXPECT_TRUE(absl::IsCancelled(worker_->Pull(1, none, &rows)));
}

// Calls that time out while the server makes them wait do not count as silence.
TEST_F(RemoteParametersTest, AStepMayTakeAnyTime) {
  Start(TrainMode::kSync, 1);
  const std::vector<TableKeys> none(4);
  PulledRows rows;
  std::thread waiting([&] { EXPECT_TRUE(worker_->Pull(2, none, &rows).ok()); });
  for (int round = 1; round <= 5; ++round) {
    while (worker_->statistics().retries < round) {
      cluster_->network().Expire();
      std::this_thread::yield();
    }
  }
  auto other = cluster_->NewWorker(1);
  other->SetRun(kRun);
  ASSERT_TRUE(training_.SlicesOfStep(1, {0, 1, 2, 3, 4, 5, 6, 7}, {}, other.get()).ok());
  waiting.join();
}

TEST_F(RemoteParametersTest, SaysWhichServerIsGone) {
  Start(TrainMode::kAsync, 2);
  cluster_->StopServer(1);
  RemoteParametersOptions options{.mode = TrainMode::kAsync,
                                  .servers = {cluster_->Address(0), cluster_->Address(1)},
                                  .peer_timeout = std::chrono::milliseconds(0)};
  const auto transport = cluster_->network().TransportOf("worker1");
  RemoteParameters worker(training_.tables(), training_.dense(), options, transport.get());
  worker.SetRun(kRun);
  PulledRows rows;
  const Status status = worker.Pull(1, std::vector<TableKeys>(4), &rows);
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(Message(status).substr(0, 43), "ps 1 (ps1:2222) has not answered for 0.0 s:");
}

// A server that has dropped the keys of a pull is sent them again.
TEST_F(RemoteParametersTest, SendsForgottenKeysAgain) {
  Start(TrainMode::kAsync, 2);
  const std::vector<uint64_t> users = {1, 2, 3, 4, 5, 6};
  const std::vector<uint32_t> counts(6, 1);
  const std::vector<TableKeys> keys = {{users, counts}, {}, {}, {}};
  PulledRows rows;
  ASSERT_TRUE(worker_->Pull(1, keys, &rows).ok());
  auto twin = cluster_->NewWorker(0);  // the same number: its pulls displace the first's
  twin->SetRun(kRun);
  PulledRows others;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(twin->Pull(1, keys, &others).ok());
  const std::vector<float> row_gradients(6 * 17, 1.0f), dense(worker_->dense().size(), 1.0f);
  worker_->SetPushIdentity({.lease = 3, .index = 0});
  ASSERT_TRUE(
      worker_->Push({.step = 1}, {.rows = {row_gradients, {}, {}, {}}, .dense = dense}).ok());
  EXPECT_EQ(cluster_->server(0).statistics().pushes, 1);
  EXPECT_EQ(cluster_->server(1).statistics().pushes, 1);
  EXPECT_EQ(
      worker_->Push({.step = 1}, {.rows = {row_gradients, {}, {}, {}}, .dense = dense}).code(),
      absl::StatusCode::kFailedPrecondition);
}

// Keys of the table "user", each once; no others.
struct UserKeys {
  explicit UserKeys(std::vector<uint64_t> list) : users(std::move(list)), counts(users.size(), 1) {}
  std::vector<TableKeys> views() const { return {{users, counts}, {}, {}, {}}; }
  std::vector<uint64_t> users;
  std::vector<uint32_t> counts;
};

class OverlapTest : public RemoteParametersTest {
 protected:
  // Until the server has answered so many pulls.
  void AwaitPulls(int64_t pulls) {
    while (cluster_->server(0).statistics().pulls < pulls) std::this_thread::yield();
  }
  // The next batch of lease 3: ones for all weights.
  Status Push(const UserKeys& keys) {
    const std::vector<float> rows(keys.users.size() * 17, 1.0f);
    const std::vector<float> dense(worker_->dense().size(), 1.0f);
    worker_->SetPushIdentity({.lease = 3, .index = index_++});
    return worker_->Push({.step = 1}, {.rows = {rows, {}, {}, {}}, .dense = dense});
  }
  int64_t index_ = 0;
};

TEST_F(OverlapTest, UsesAStartedPullForItsBatchOnly) {
  Start(TrainMode::kAsync, 1);
  const UserKeys a({1, 2, 3}), b({9, 3, 5, 4}), c({7});
  PulledRows rows;
  ASSERT_TRUE(worker_->Pull(1, a.views(), &rows).ok());
  const float* const row = rows.rows[0][2];
  const float before = row[0];
  ASSERT_TRUE(worker_->StartPull(2, b.views()).ok());
  AwaitPulls(2);
  EXPECT_EQ(row[0], before);  // still there
  ASSERT_TRUE(Push(a).ok());
  EXPECT_EQ(worker_->statistics().staleness_max, 0);
  // Meanwhile the step has got another number: it is the same batch. Row 3 lacks the push.
  ASSERT_TRUE(worker_->Pull(17, b.views(), &rows).ok());
  EXPECT_EQ(cluster_->server(0).statistics().pulls, 2);
  ASSERT_EQ(rows.rows[0].size(), 4u);
  EXPECT_EQ(rows.rows[0][1][0], before);
  ASSERT_TRUE(Push(b).ok());
  EXPECT_EQ(worker_->statistics().staleness_max, 1);
  EXPECT_EQ(worker_->statistics().staleness_sum, 1);

  // Another batch; the same keys in another order, and with other counts.
  UserKeys other_counts = b;
  other_counts.counts[0] = 2;
  int64_t pulls = 2;
  for (const UserKeys& other : {c, UserKeys({3, 9, 5, 4}), other_counts}) {
    ASSERT_TRUE(worker_->StartPull(3, b.views()).ok());
    ASSERT_TRUE(worker_->Pull(3, other.views(), &rows).ok());
    pulls += 2;
    AwaitPulls(pulls);
    EXPECT_EQ(rows.rows[0].size(), other.users.size());
    EXPECT_NE(rows.rows[0].back(), nullptr);
    ASSERT_TRUE(Push(other).ok());
  }
  // What was started is replaced.
  ASSERT_TRUE(worker_->StartPull(3, a.views()).ok());
  ASSERT_TRUE(worker_->StartPull(3, c.views()).ok());
  ASSERT_TRUE(worker_->Pull(3, c.views(), &rows).ok());
  ASSERT_TRUE(Push(c).ok());
  EXPECT_EQ(cluster_->server(0).statistics().pushes, 6);
}

TEST_F(OverlapTest, AStartedPullEndsWithItsGeneration) {
  Start(TrainMode::kAsync, 2);
  const UserKeys a({1, 2, 3}), b({4, 5});
  PulledRows rows;
  ASSERT_TRUE(worker_->Pull(1, a.views(), &rows).ok());
  ASSERT_TRUE(Push(a).ok());
  ASSERT_TRUE(worker_->Pull(2, a.views(), &rows).ok());
  ASSERT_TRUE(worker_->StartPull(3, b.views()).ok());
  AwaitPulls(3);
  // Servers go back to their beginning while the batch is computed.
  const RunId next{.run = 1, .generation = 2};
  ASSERT_TRUE(cluster_->Control({.kind = ControlKind::kBegin, .run = next}).ok());
  EXPECT_TRUE(absl::IsAborted(Push(a)));
  worker_->SetRun(next);
  index_ = 0;
  ASSERT_TRUE(worker_->Pull(1, b.views(), &rows).ok());
  EXPECT_EQ(cluster_->server(0).statistics().pulls, 4);  // not what was started
  ASSERT_TRUE(Push(b).ok());
  EXPECT_EQ(worker_->statistics().staleness_max, 0);
}

// In sync a started pull waits at the server for its step; the generation ends first.
TEST_F(OverlapTest, AGenerationEndsInMidPull) {
  Start(TrainMode::kSync, 1);
  const UserKeys a({1, 2});
  PulledRows rows;
  ASSERT_TRUE(worker_->Pull(1, a.views(), &rows).ok());
  ASSERT_TRUE(worker_->StartPull(2, a.views()).ok());
  while (cluster_->server(0).statistics().waiting_pulls == 0) std::this_thread::yield();
  const RunId next{.run = 1, .generation = 2};
  ASSERT_TRUE(cluster_->Control({.kind = ControlKind::kBegin, .run = next}).ok());
  EXPECT_TRUE(absl::IsAborted(worker_->Pull(2, a.views(), &rows)));
  worker_->SetRun(next);
  ASSERT_TRUE(training_.SlicesOfStep(1, {0, 1, 2, 3, 4, 5, 6, 7}, {}, worker_.get()).ok());
}

TEST_F(OverlapTest, AStartedPullMayBeInterrupted) {
  Start(TrainMode::kAsync, 2);
  const UserKeys a({1, 2, 3}), b({4, 5});
  PulledRows rows;
  ASSERT_TRUE(worker_->Pull(1, a.views(), &rows).ok());
  ASSERT_TRUE(worker_->StartPull(2, b.views()).ok());
  worker_->Interrupt();
  EXPECT_TRUE(absl::IsAborted(worker_->Pull(2, b.views(), &rows)));
  EXPECT_FALSE(Push(b).ok());
  index_ = 0;
  ASSERT_TRUE(worker_->Pull(2, b.views(), &rows).ok());
  ASSERT_TRUE(Push(b).ok());
  // Forgotten with requests on their way, to a server that is gone.
  cluster_->network().CutLink("worker0", cluster_->Address(1));
  ASSERT_TRUE(worker_->StartPull(2, a.views()).ok());
  ASSERT_TRUE(worker_->StartPull(2, b.views()).ok());
  worker_ = nullptr;
}

// A step's dense weights come with its first pull.
TEST_F(RemoteParametersTest, PullsTheDenseWeightsOfAStepOnce) {
  Start(TrainMode::kSync, 2);
  const UserKeys a({1, 2, 3}), b({4, 5, 6});
  PulledRows rows;
  const auto bytes_of = [&](const std::function<Status()>& call) {
    const int64_t before = worker_->statistics().bytes_in;
    EXPECT_TRUE(call().ok());
    return worker_->statistics().bytes_in - before;
  };
  const auto pull = [&](int64_t step, const UserKeys& keys) {
    return bytes_of([&] { return worker_->Pull(step, keys.views(), &rows); });
  };
  const int64_t whole = pull(1, a);
  const std::vector<float> dense(worker_->dense().begin(), worker_->dense().end());
  int64_t dense_bytes = 0;
  for (const DenseSpec& variable : training_.dense()) {
    dense_bytes += 4 * ElementCount(variable.shape);
  }
  EXPECT_LE(pull(1, b), whole - dense_bytes);
  EXPECT_NE(rows.rows[0][0], nullptr);
  EXPECT_TRUE(std::ranges::equal(worker_->dense(), dense));
  EXPECT_LE(pull(1, a), whole - dense_bytes);
  // Others have been pulled in between.
  bytes_of([&] { return worker_->Lookup(a.views(), &rows); });
  EXPECT_EQ(pull(1, a), whole);
  ASSERT_TRUE(training_.SlicesOfStep(1, {0, 1, 2, 3, 4, 5, 6, 7}, {}, worker_.get()).ok());
  EXPECT_EQ(pull(2, a), whole);
  EXPECT_FALSE(std::ranges::equal(worker_->dense(), dense));
  // Started without them, while they were there.
  ASSERT_TRUE(worker_->StartPull(2, b.views()).ok());
  bytes_of([&] { return worker_->Lookup(a.views(), &rows); });
  EXPECT_GE(pull(2, b), dense_bytes);
}

TEST_F(RemoteParametersTest, RefusesWhatDoesNotFit) {
  Start(TrainMode::kAsync, 1);
  PulledRows rows;
  EXPECT_EQ(Message(worker_->Pull(1, {}, &rows)), "pull rows: keys of 0 tables, wanted 4");
  ASSERT_TRUE(worker_->Pull(1, std::vector<TableKeys>(4), &rows).ok());
  EXPECT_FALSE(worker_->Push({.step = 1}, {}).ok());
  const std::vector<uint64_t> day = {40};
  const std::vector<uint32_t> counts = {1};
  const std::vector<TableKeys> keys = {{}, {}, {day, counts}, {}};
  EXPECT_EQ(Message(worker_->Pull(1, keys, &rows)),
            "pull from ps 0 (ps0:2222): pull of worker 0: table day: id 40, wanted one below 40");
}

}  // namespace
}  // namespace capstan
