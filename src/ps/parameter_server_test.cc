#include "ps/parameter_server.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "ps/key_codec.h"
#include "ps/memory_checkpoints.h"

namespace capstan {
namespace {

constexpr RunId kRun{.run = 0xabc, .generation = 2};

std::vector<TableSpec> Tables() {
  std::vector<TableSpec> tables = {{.name = "user"}, {.name = "day", .dense_size = 10}};
  for (TableSpec& table : tables) {
    table.parts = {{.name = "embedding",
                    .dim = 2,
                    .optimizer = {.kind = OptimizerKind::kSgd, .learning_rate = 1.0f},
                    .initializer = {.kind = Initializer::Kind::kConstant, .scale = 5.0f}}};
  }
  return tables;
}

std::vector<DenseSpec> Dense() {
  std::vector<DenseSpec> dense = {
      {.variable = "w",
       .shape = {3},
       .optimizer = {.kind = OptimizerKind::kSgd, .learning_rate = 1.0f}}};
  LayOutDense(&dense);
  return dense;
}

std::vector<float> FloatsIn(std::string_view bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

// What a reply brought, once it has come.
struct Answer {
  Reply reply() {
    return [state = state](StatusOr<std::string> answer) {
      MutexLock lock(&state->mutex);
      EXPECT_FALSE(state->result.has_value());
      state->result = std::move(answer);
      state->changed.NotifyAll();
    };
  }
  bool here() const {
    MutexLock lock(&state->mutex);
    return state->result.has_value();
  }
  // Once.
  StatusOr<std::string> Wait() {
    MutexLock lock(&state->mutex);
    while (!state->result.has_value()) state->changed.Wait(&state->mutex);
    return std::move(*state->result);
  }

 private:
  struct State {
    Mutex mutex;
    CondVar changed;
    std::optional<StatusOr<std::string>> result GUARDED_BY(mutex);
  };
  std::shared_ptr<State> state = std::make_shared<State>();
};

class ParameterServerTest : public testing::Test {
 protected:
  void Start(TrainMode mode, const std::string& prefix = "", int slices = 2) {
    server_ = std::make_unique<ParameterServer>(ParameterServerOptions{.index = 0,
                                                                       .servers = 1,
                                                                       .incarnation = 44,
                                                                       .mode = mode,
                                                                       .slices = slices,
                                                                       .tables = Tables(),
                                                                       .dense = Dense(),
                                                                       .clock = &clock_},
                                                &pool_, checkpoints_.StorageOf(0, 1));
    ASSERT_TRUE(Control({.kind = ControlKind::kBegin, .run = kRun, .prefix = prefix}).ok());
  }
  StatusOr<ControlAnswer> Control(const ControlRequest& request) {
    Answer answer;
    server_->Control(request.Encode(), answer.reply());
    ASSIGN_OR_RETURN(const std::string bytes, answer.Wait());
    return ControlAnswer::Decode(bytes);
  }
  Answer Ask(const PullRequest& request) {
    Answer answer;
    server_->Pull(request.Encode(), answer.reply());
    return answer;
  }
  // The first weight of each pulled user, and of `w`; the applied step.
  struct Weights {
    std::vector<float> users, w;
    int64_t applied_step = 0;
    bool waiting = false;
  };
  StatusOr<Weights> Read(Answer answer) {
    ASSIGN_OR_RETURN(const std::string bytes, answer.Wait());
    ASSIGN_OR_RETURN(const PullAnswer pull, PullAnswer::Decode(bytes));
    Weights weights{.applied_step = pull.applied_step, .waiting = pull.waiting};
    if (pull.rows.empty()) return weights;
    const std::vector<float> rows = FloatsIn(pull.rows[0]);
    for (size_t i = 0; i < rows.size(); i += 2) weights.users.push_back(rows[i]);
    weights.w = FloatsIn(pull.dense);
    return weights;
  }
  static PullRequest PullOf(uint64_t id, std::vector<uint64_t> users, int64_t after_step = -1) {
    return {.run = kRun, .worker = 1, .pull_id = id, .after_step = after_step, .keys = {users, {}}};
  }
  // A gradient of -1 for each weight.
  StatusOr<PushAnswer> Push(uint64_t pull_id, const PushIdentity& identity, size_t users,
                            RunId run = kRun) {
    const std::vector<float> ones(2 * users + 3, -1.0f);
    const char* const bytes = reinterpret_cast<const char*>(ones.data());
    std::string counts(users, '\x01');
    PushPart part{.identity = identity,
                  .weight_sum = 1,
                  .touched = {"", ""},
                  .counts = {counts, ""},
                  .rows = {{bytes, users * 8}, ""}};
    return Push({.run = run,
                 .worker = 1,
                 .pull_id = pull_id,
                 .rates_step = 1,
                 .parts = {part},
                 .dense = {{{std::max(identity.slice, 0), 1}, {bytes, 12}}}});
  }
  StatusOr<PushAnswer> Push(const PushRequest& request) {
    Answer answer;
    server_->Push(request.Encode(), answer.reply());
    ASSIGN_OR_RETURN(const std::string answered, answer.Wait());
    return PushAnswer::Decode(answered);
  }
  // Slices of a step without rows, with sums of `value` for each dense weight.
  StatusOr<PushAnswer> PushNodes(int64_t step, const std::vector<int32_t>& slices,
                                 const std::vector<std::pair<SliceNode, float>>& sums) {
    PushRequest request{.run = kRun, .worker = 1, .pull_id = 1, .rates_step = step};
    for (const int32_t slice : slices) {
      request.parts.push_back({.identity = {.step = step, .slice = slice},
                               .weight_sum = 1,
                               .touched = {"", ""},
                               .counts = {"", ""},
                               .rows = {"", ""}});
    }
    std::vector<std::vector<float>> values;
    for (const auto& [node, value] : sums) values.emplace_back(3, value);
    for (size_t i = 0; i < sums.size(); ++i) {
      request.dense.push_back(
          {sums[i].first, {reinterpret_cast<const char*>(values[i].data()), 12}});
    }
    return Push(request);
  }

  ManualClock clock_;
  WorkerPool pool_{1};
  MemoryCheckpoints checkpoints_{Tables(), Dense()};
  std::unique_ptr<ParameterServer> server_;
};

TEST_F(ParameterServerTest, ServesOneGenerationAtATime) {
  Start(TrainMode::kAsync);
  EXPECT_TRUE(Read(Ask(PullOf(1, {3, 4}))).ok());
  PullRequest old = PullOf(2, {3});
  old.run.generation = 1;
  const Status aborted = Read(Ask(old)).status();
  EXPECT_TRUE(absl::IsAborted(aborted));
  EXPECT_EQ(Message(aborted),
            "pull of worker 1: it belongs to run 0000000000000abc generation 1, ps 0 serves "
            "0000000000000abc generation 2");
  EXPECT_TRUE(absl::IsAborted(Push(1, {.lease = 1, .index = 0}, 2, old.run).status()));
  // The same begin again is answered, an older one and another run are refused.
  EXPECT_EQ(Control({.kind = ControlKind::kBegin, .run = kRun})->incarnation, 44u);
  EXPECT_TRUE(absl::IsAborted(Control({.kind = ControlKind::kBegin, .run = old.run}).status()));
  EXPECT_EQ(Message(Control({.kind = ControlKind::kBegin, .run = {.run = 9}}).status()),
            "begin: ps 0 serves run 0000000000000abc generation 2, asked for 0000000000000009 "
            "generation 0: it is left over from an earlier start");
  EXPECT_EQ(Message(Control({.kind = ControlKind::kBegin,
                             .run = {.run = kRun.run, .generation = 3},
                             .prefix = "none"})
                        .status()),
            "ps 0: begin: restore none: there is none");
  EXPECT_TRUE(absl::IsAborted(Read(Ask(PullOf(3, {3}))).status()));
  EXPECT_TRUE(
      Control({.kind = ControlKind::kBegin, .run = {.run = kRun.run, .generation = 3}}).ok());
  EXPECT_EQ(server_->run().generation, 3u);
}

TEST_F(ParameterServerTest, APullChangesNothing) {
  Start(TrainMode::kAsync);
  const int64_t rows = server_->statistics().rows;
  EXPECT_EQ(rows, 10);  // of the table of a known size
  const Weights weights = Read(Ask(PullOf(1, {3, 4}))).value();
  EXPECT_EQ(weights.users, (std::vector<float>{5, 5}));
  EXPECT_EQ(server_->statistics().rows, rows);
  PullRequest lookup = PullOf(2, {3, 4});
  lookup.training = false;
  EXPECT_TRUE(Read(Ask(lookup))->users.empty());
  ASSERT_TRUE(Push(1, {.lease = 1, .index = 0}, 2).ok());
  EXPECT_EQ(server_->statistics().rows, rows + 2);
  EXPECT_EQ(server_->statistics().tables[0].rows, 2);
  EXPECT_EQ(Read(Ask(lookup))->users, (std::vector<float>{6, 6}));
  EXPECT_EQ(Read(Ask(lookup))->w, (std::vector<float>{1, 1, 1}));
}

TEST_F(ParameterServerTest, AsyncAppliesEachBatchOnceAndInOrder) {
  Start(TrainMode::kAsync);
  ASSERT_TRUE(Read(Ask(PullOf(1, {3}))).ok());
  EXPECT_EQ(Push(1, {.lease = 7, .index = 4}, 1)->applied, 1);  // where a checkpoint ended
  EXPECT_EQ(Push(1, {.lease = 7, .index = 4}, 1)->dropped, 1);
  EXPECT_EQ(Push(1, {.lease = 7, .index = 2}, 1)->dropped, 1);
  EXPECT_EQ(Message(Push(1, {.lease = 7, .index = 6}, 1).status()),
            "push of worker 1: lease 7: batch 6 came, but the last was 4");
  EXPECT_EQ(Push(1, {.lease = 7, .index = 5}, 1)->applied_step, 2);
  EXPECT_EQ(Read(Ask(PullOf(2, {3})))->users[0], 7.0f);
  EXPECT_EQ(server_->statistics().dropped_pushes, 2);
  const ControlAnswer cut =
      Control({.kind = ControlKind::kCut, .run = kRun, .prefix = "c"}).value();
  ASSERT_EQ(cut.marks.size(), 1u);
  EXPECT_EQ(cut.marks[0].index, 5);
  EXPECT_EQ(Control({.kind = ControlKind::kAwaitPart, .run = kRun, .prefix = "c"})->part_prefix,
            "c.part0");
  Start(TrainMode::kAsync, "c");
  EXPECT_EQ(server_->statistics().applied_step, 2);
  ASSERT_TRUE(Read(Ask(PullOf(1, {3}))).ok());
  EXPECT_EQ(Push(1, {.lease = 7, .index = 5}, 1)->dropped, 1);
}

TEST_F(ParameterServerTest, SyncAppliesAStepWhenAllSlicesAreThere) {
  Start(TrainMode::kSync);
  ASSERT_TRUE(Read(Ask(PullOf(1, {3, 4}, 0))).ok());
  Answer next = Ask(PullOf(2, {3}, 1));
  EXPECT_FALSE(next.here());
  EXPECT_EQ(Push(1, {.step = 1, .slice = 1}, 2)->applied, 1);
  EXPECT_EQ(Push(1, {.step = 1, .slice = 1}, 2)->dropped, 1);
  EXPECT_FALSE(next.here());
  EXPECT_EQ(Push(1, {.step = 1, .slice = 0}, 2)->applied_step, 1);
  // Two slices of weight 1: the mean of their sums.
  const Weights weights = Read(next).value();
  EXPECT_EQ(weights.users, std::vector<float>{6});
  EXPECT_EQ(weights.applied_step, 1);
  EXPECT_EQ(Push(1, {.step = 1, .slice = 0}, 2)->dropped, 1);
  EXPECT_EQ(Message(Push(2, {.step = 4, .slice = 0}, 1).status()),
            "push of worker 1: step 4, but only step 1 is applied");
  EXPECT_EQ(Message(Push(2, {.step = 2, .slice = 2}, 1).status()),
            "push of worker 1: slice 2, wanted one below 2");
}

// All of step 1 is here, but perhaps not at another server, whose pusher was lost: a slice of it is
// computed again from the same weights.
TEST_F(ParameterServerTest, SyncAppliesAStepWhenSomebodyGoesOn) {
  Start(TrainMode::kSync);
  ASSERT_TRUE(Read(Ask(PullOf(1, {3}, 0))).ok());
  for (int slice = 0; slice < 2; ++slice) {
    ASSERT_TRUE(Push(1, {.step = 1, .slice = slice}, 1).ok());
  }
  EXPECT_EQ(Read(Ask(PullOf(2, {3}, 0)))->applied_step, 0);
  EXPECT_EQ(Push(2, {.step = 1, .slice = 0}, 1)->dropped, 1);
  EXPECT_EQ(Read(Ask(PullOf(3, {3}, 1)))->applied_step, 1);
}

// The trees of workers that share a step out in different ways make one.
TEST_F(ParameterServerTest, SyncAddsUpNodes) {
  Start(TrainMode::kSync, "", 6);
  ASSERT_TRUE(Read(Ask(PullOf(1, {}, 0))).ok());
  EXPECT_EQ(PushNodes(1, {1}, {{{1, 1}, -100}})->applied, 1);
  EXPECT_EQ(PushNodes(1, {0, 1}, {{{0, 2}, -6}})->applied, 1);  // holds the one before
  EXPECT_EQ(PushNodes(1, {0}, {{{0, 1}, -100}})->applied, 0);
  EXPECT_EQ(PushNodes(1, {2, 4, 5}, {{{2, 1}, -6}, {{4, 2}, -12}})->applied, 3);
  EXPECT_EQ(PushNodes(1, {4}, {{{4, 1}, -100}})->dropped, 1);
  EXPECT_EQ(PushNodes(1, {3, 4}, {{{3, 1}, -12}, {{4, 1}, -100}})->applied, 1);
  // Six slices of weight 1, gradients of 36 together.
  EXPECT_EQ(Read(Ask(PullOf(2, {}, 1)))->w, (std::vector<float>{6, 6, 6}));
  EXPECT_EQ(PushNodes(2, {0, 1, 2, 3, 4, 5}, {{{0, 6}, -6}})->applied, 6);
  EXPECT_EQ(Read(Ask(PullOf(3, {}, 2)))->w, (std::vector<float>{7, 7, 7}));
}

TEST_F(ParameterServerTest, RefusesNodesThatAreNone) {
  Start(TrainMode::kSync, "", 6);
  ASSERT_TRUE(Read(Ask(PullOf(1, {}, 0))).ok());
  const auto refusal = [&](const std::vector<int32_t>& slices,
                           const std::vector<SliceNode>& nodes) {
    std::vector<std::pair<SliceNode, float>> sums;
    for (const SliceNode& node : nodes) sums.emplace_back(node, 0.0f);
    return Message(PushNodes(1, slices, sums).status());
  };
  EXPECT_EQ(refusal({1, 2}, {{1, 2}}),
            "push of worker 1: a dense sum of 2 slices from 1 on: no node of the tree of 6");
  EXPECT_EQ(refusal({4, 5}, {{4, 4}}),
            "push of worker 1: a dense sum of 4 slices from 4 on: no node of the tree of 6");
  EXPECT_EQ(refusal({0, 1}, {{0, 2}, {1, 1}}),
            "push of worker 1: a dense sum of slices from 1 on behind one up to 1");
  EXPECT_EQ(refusal({0, 1}, {{1, 1}, {0, 1}}),
            "push of worker 1: a dense sum of slices from 0 on behind one up to 1");
  EXPECT_EQ(refusal({0, 1}, {{0, 1}, {0, 1}}),
            "push of worker 1: a dense sum of slices from 0 on behind one up to 0");
  EXPECT_EQ(refusal({0, 0}, {{0, 2}}),
            "push of worker 1: a dense sum of slice 1, which is not here");
  EXPECT_EQ(refusal({0, 3}, {{0, 1}}), "push of worker 1: no dense sum of slice 3");
  EXPECT_EQ(refusal({0, 3}, {}), "push of worker 1: no dense sum of slice 0");
  EXPECT_EQ(server_->statistics().pushes, 0);
  PushRequest steps{.run = kRun, .worker = 1, .pull_id = 1, .dense = {{{0, 1}, ""}}};
  for (const int64_t step : {1, 2}) {
    steps.parts.push_back({.identity = {.step = step, .slice = 0},
                           .touched = {"", ""},
                           .counts = {"", ""},
                           .rows = {"", ""}});
  }
  EXPECT_EQ(Message(Push(steps).status()),
            "push of worker 1: slices of steps 1 and 2, wanted those of one");
  steps.parts.pop_back();
  steps.dense[0].values = "four";
  EXPECT_EQ(Message(Push(steps).status()),
            "push of worker 1: 4 bytes of dense gradients, wanted 12");

  Start(TrainMode::kAsync);
  ASSERT_TRUE(Read(Ask(PullOf(1, {}))).ok());
  steps.parts[0].identity = {.lease = 1, .index = 0};
  steps.dense = {};
  EXPECT_EQ(Message(Push(steps).status()),
            "push of worker 1: 1 batches with 0 dense sums, wanted one of each");
  steps.dense = {{{1, 1}, ""}};
  EXPECT_FALSE(Push(steps).ok());
  steps.dense = {{{0, 1}, ""}};
  EXPECT_EQ(Push(steps)->applied, 1);
  EXPECT_EQ(Read(Ask(PullOf(2, {})))->w, (std::vector<float>{0, 0, 0}));
}

// A pull that comes again while it waits: both are told so, and the third waits.
TEST_F(ParameterServerTest, TellsThatAPullStillWaits) {
  Start(TrainMode::kSync);
  Answer first = Ask(PullOf(5, {3}, 1)), again = Ask(PullOf(5, {3}, 1));
  EXPECT_TRUE(Read(first)->waiting);
  EXPECT_TRUE(Read(again)->waiting);
  Answer third = Ask(PullOf(5, {3}, 1));
  EXPECT_FALSE(third.here());
  EXPECT_EQ(server_->statistics().waiting_pulls, 1);
  for (uint64_t id = 100; id < 115; ++id) Ask(PullOf(id, {3}, 1));
  EXPECT_EQ(Message(Read(Ask(PullOf(200, {3}, 1))).status()),
            "pull of worker 1: 16 others wait already");
  ASSERT_TRUE(
      Control({.kind = ControlKind::kBegin, .run = {.run = kRun.run, .generation = 3}}).ok());
  EXPECT_TRUE(absl::IsAborted(third.Wait().status()));
  Answer last = Ask({.run = server_->run(), .after_step = 1, .keys = {{}, {}}});
  server_ = nullptr;
  EXPECT_TRUE(absl::IsUnavailable(last.Wait().status()));
}

// What a server is measured by: not the time in which the step that is waited for is computed.
TEST_F(ParameterServerTest, TimesOfPullsAreThoseOfItsOwnWork) {
  Start(TrainMode::kSync);
  ASSERT_TRUE(Read(Ask(PullOf(1, {3}, 0))).ok());
  Answer next = Ask(PullOf(2, {3}, 1));
  clock_.Advance(std::chrono::seconds(5));
  for (int slice = 0; slice < 2; ++slice) {
    ASSERT_TRUE(Push(1, {.step = 1, .slice = slice}, 1).ok());
  }
  ASSERT_TRUE(Read(next).ok());
  const ParameterServer::Statistics statistics = server_->statistics();
  EXPECT_EQ(statistics.pull_times.count(), 2);
  EXPECT_EQ(statistics.pull_times.sum_seconds, 0);
  EXPECT_EQ(statistics.push_times.count(), 2);
  EXPECT_EQ(statistics.tables[1].name, "day");
  EXPECT_EQ(statistics.tables[1].rows, 10);
}

TEST_F(ParameterServerTest, SyncCutsAtExactlyItsStep) {
  Start(TrainMode::kSync);
  ASSERT_TRUE(Read(Ask(PullOf(1, {3}, 0))).ok());
  Answer cut, again, part;
  const ControlRequest request{
      .kind = ControlKind::kCut, .run = kRun, .prefix = "c", .step = 1, .finished_step = 1};
  ControlRequest await = request;
  await.kind = ControlKind::kAwaitPart;
  EXPECT_EQ(Message(Control(await).status()), "part of c#0: no cut of it is known");
  server_->Control(request.Encode(), cut.reply());
  server_->Control(request.Encode(), again.reply());
  server_->Control(await.Encode(), part.reply());
  EXPECT_FALSE(cut.here());
  for (int slice = 0; slice < 2; ++slice) {
    ASSERT_TRUE(Push(1, {.step = 1, .slice = slice}, 1).ok());
  }
  EXPECT_EQ(ControlAnswer::Decode(cut.Wait().value())->applied_step, 1);
  EXPECT_EQ(ControlAnswer::Decode(again.Wait().value())->applied_step, 1);
  EXPECT_EQ(ControlAnswer::Decode(part.Wait().value())->part_prefix, "c.part0");
  for (int slice = 0; slice < 2; ++slice) {
    ASSERT_TRUE(Push(1, {.step = 2, .slice = slice}, 1).ok());
  }
  ASSERT_TRUE(Control({.kind = ControlKind::kStatus, .run = kRun, .finished_step = 2}).ok());
  // Written already; of a step that is over.
  EXPECT_EQ(Control(request)->applied_step, 1);
  EXPECT_EQ(Control(await)->part_prefix, "c.part0");
  EXPECT_EQ(
      Message(Control({.kind = ControlKind::kCut, .run = kRun, .prefix = "d", .step = 1}).status()),
      "cut d: of step 1, but ps 0 has applied step 2");
  EXPECT_EQ(checkpoints_.Contents("c").dense.at("w")[0], 1.0f);
  EXPECT_EQ(checkpoints_.Contents("c").step, 1);
  EXPECT_EQ(server_->statistics().cuts, 1);
  EXPECT_EQ(server_->statistics().parts_written, 1);
}

// The disk of a server is full: whoever asks hears of it, however often, and not as of a connection
// that breaks. The cut itself was made.
TEST_F(ParameterServerTest, SaysThatAPartCannotBeWritten) {
  ParameterServer::Storage storage;
  storage.write = [](const std::string& prefix, int64_t, const std::vector<LeaseMark>&,
                     std::unique_ptr<Snapshot>) -> StatusOr<std::string> {
    return SystemError("write " + prefix, ENOSPC);
  };
  server_ = std::make_unique<ParameterServer>(
      ParameterServerOptions{
          .mode = TrainMode::kAsync, .slices = 2, .tables = Tables(), .dense = Dense()},
      &pool_, storage);
  ASSERT_TRUE(Control({.kind = ControlKind::kBegin, .run = kRun}).ok());
  ASSERT_TRUE(Control({.kind = ControlKind::kCut, .run = kRun, .prefix = "c"}).ok());
  for (int i = 0; i < 2; ++i) {
    const Status status =
        Control({.kind = ControlKind::kAwaitPart, .run = kRun, .prefix = "c"}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_EQ(Message(status), "ps 0: write c: No space left on device");
  }
}

// A part of the generation before is no part of this one's checkpoint, though it has the same name.
TEST_F(ParameterServerTest, AnOlderGenerationsPartIsNotTaken) {
  Mutex mutex;
  CondVar changed;
  int begun = 0, allowed = 0;
  ParameterServer::Storage storage;
  storage.write = [&](const std::string& prefix, int64_t, const std::vector<LeaseMark>&,
                      std::unique_ptr<Snapshot>) -> StatusOr<std::string> {
    MutexLock lock(&mutex);
    const int number = ++begun;
    changed.NotifyAll();
    while (allowed < number) changed.Wait(&mutex);
    return fmt::format("{}.write{}", prefix, number);
  };
  server_ = std::make_unique<ParameterServer>(
      ParameterServerOptions{
          .mode = TrainMode::kAsync, .slices = 2, .tables = Tables(), .dense = Dense()},
      &pool_, storage);
  const auto allow = [&](int count) {
    MutexLock lock(&mutex);
    allowed = count;
    changed.NotifyAll();
  };
  RunId run = kRun;
  ASSERT_TRUE(Control({.kind = ControlKind::kBegin, .run = run}).ok());
  ASSERT_TRUE(Control({.kind = ControlKind::kCut, .run = run, .prefix = "c"}).ok());
  Answer part;
  const ControlRequest old{.kind = ControlKind::kAwaitPart, .run = run, .prefix = "c"};
  server_->Control(old.Encode(), part.reply());
  {
    MutexLock lock(&mutex);
    while (begun == 0) changed.Wait(&mutex);
  }
  ++run.generation;
  Answer begin;
  server_->Control(ControlRequest{.kind = ControlKind::kBegin, .run = run}.Encode(), begin.reply());
  EXPECT_TRUE(absl::IsAborted(part.Wait().status()));
  allow(1);
  ASSERT_TRUE(begin.Wait().ok());
  ASSERT_TRUE(Control({.kind = ControlKind::kCut, .run = run, .prefix = "c"}).ok());
  allow(2);
  EXPECT_EQ(Control({.kind = ControlKind::kAwaitPart, .run = run, .prefix = "c"})->part_prefix,
            "c.write2");
}

TEST_F(ParameterServerTest, SavesWhatItHoldsWhenItEndsWithoutTheChief) {
  Start(TrainMode::kAsync);
  ASSERT_TRUE(Read(Ask(PullOf(1, {3}))).ok());
  ASSERT_TRUE(Push(1, {.lease = 7, .index = 0}, 1).ok());
  int64_t rows = 0;
  ASSERT_TRUE(server_
                  ->CloseAndSave([&](const ParameterServer::Held& held, Snapshot* snapshot) {
                    EXPECT_EQ(held.run, kRun);
                    EXPECT_EQ(held.step, 1);
                    EXPECT_EQ(held.base_step, 0);
                    EXPECT_EQ(held.marks.size(), 1u);
                    rows = snapshot->row_count(0);
                    return OkStatus();
                  })
                  .ok());
  EXPECT_EQ(rows, 1);
  EXPECT_TRUE(absl::IsAborted(Read(Ask(PullOf(2, {3}))).status()));
  EXPECT_TRUE(absl::IsAborted(Control({.kind = ControlKind::kBegin, .run = kRun}).status()));
  server_ = std::make_unique<ParameterServer>(
      ParameterServerOptions{.tables = Tables(), .dense = Dense()}, &pool_,
      checkpoints_.StorageOf(0, 1));
  EXPECT_TRUE(absl::IsNotFound(
      server_->CloseAndSave([](const ParameterServer::Held&, Snapshot*) { return OkStatus(); })));
}

TEST_F(ParameterServerTest, RefusesWhatDoesNotFitTheKeys) {
  Start(TrainMode::kAsync);
  EXPECT_EQ(Push(1, {.lease = 1, .index = 0}, 2).status().code(), absl::StatusCode::kNotFound);
  PullRequest again = PullOf(1, {3, 4});
  again.keys_only = true;
  EXPECT_TRUE(Read(Ask(again))->users.empty());
  EXPECT_EQ(Message(Push(1, {.lease = 1, .index = 0}, 3).status()),
            "push of worker 1: table 0: 1 bytes behind 2 counts");
  EXPECT_EQ(Push(1, {.lease = 1, .index = 0}, 2)->applied, 1);
  PullRequest beyond = PullOf(2, {});
  beyond.keys[1] = {3, 10};
  EXPECT_EQ(Message(Read(Ask(beyond)).status()),
            "pull of worker 1: table day: id 10, wanted one below 10");
  Answer garbage;
  server_->Push("garbage", garbage.reply());
  EXPECT_EQ(garbage.Wait().status().code(), absl::StatusCode::kDataLoss);
}

// Whatever bytes come, the server answers with a status or takes them.
TEST_F(ParameterServerTest, SurvivesDamagedPushes) {
  Start(TrainMode::kAsync);
  ASSERT_TRUE(Read(Ask(PullOf(1, {3, 4, 900}))).ok());
  const std::vector<float> ones(9, -1.0f);
  const char* const bytes = reinterpret_cast<const char*>(ones.data());
  PushPart part{.identity = {.lease = 1, .index = 0},
                .weight_sum = 1,
                .touched = {std::string_view("\x05", 1), ""},
                .counts = {std::string_view("\x01\x02", 2), ""},
                .rows = {{bytes, 16}, ""}};
  const PushRequest request{.run = kRun,
                            .worker = 1,
                            .pull_id = 1,
                            .rates_step = 1,
                            .parts = {part},
                            .dense = {{{0, 1}, {bytes, 12}}}};
  const std::string good = request.Encode();
  int answered = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string damaged = good;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    server_->Push(damaged, [&](StatusOr<std::string>) { ++answered; });
  }
  EXPECT_EQ(answered, static_cast<int>(good.size() * 8));
}

TEST_F(ParameterServerTest, EndsWhenTold) {
  Start(TrainMode::kSync);
  Answer waiting = Ask(PullOf(5, {3}, 1));
  EXPECT_FALSE(Control({.kind = ControlKind::kEnd, .run = {.run = 8}}).ok());
  EXPECT_FALSE(server_->ended());
  EXPECT_TRUE(Control({.kind = ControlKind::kEnd, .run = kRun}).ok());
  EXPECT_TRUE(server_->ended());
  EXPECT_TRUE(absl::IsAborted(waiting.Wait().status()));
  EXPECT_TRUE(absl::IsAborted(Read(Ask(PullOf(6, {3}))).status()));
  EXPECT_TRUE(Control({.kind = ControlKind::kStatus}).ok());
}

}  // namespace
}  // namespace capstan
