// Thousands of random schedules of workers that die, hang, come back, repeat themselves and do not
// hear answers, and of servers that go back to a cut: whatever happens, each slice and each batch is
// applied once, in order, by every server, and everything ends.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/random.h"
#include "ps/coordinator.h"

namespace capstan {
namespace {

using std::chrono::milliseconds;
using Kind = LeaseBoard::Grant::Kind;

constexpr int kServers = 2;
constexpr int kBatch = 10;
constexpr int64_t kTurnsWithServers = 2'000, kMaxTurns = 100'000;

// What the parameter servers do with pushes: theirs is the last word on "once".
class Servers {
 public:
  explicit Servers(int slices) : slices_(slices) {}

  // Steps that all servers have applied.
  int64_t applied_step() const { return *std::min_element(steps_, steps_ + kServers); }
  void PushSlice(int server, int64_t step, int32_t slice) {
    if (step <= steps_[server]) return;  // dropped
    EXPECT_EQ(step, steps_[server] + 1) << "a push before its pull was possible";
    slices_seen_[server].insert(slice);
    if (static_cast<int>(slices_seen_[server].size()) < slices_) return;
    slices_seen_[server].clear();
    ++steps_[server];
  }
  void PushBatch(int server, uint64_t lease, int64_t index) {
    auto [mark, is_new] = marks_[server].try_emplace(lease, -1);
    if (index <= mark->second) return;  // dropped
    EXPECT_EQ(index, mark->second + 1) << "a batch was skipped";
    mark->second = index;
  }
  // Async: each server cuts when it likes. Sync: all at one step.
  void Cut(int server) { cut_marks_[server] = marks_[server]; }
  void GoBack(int64_t step) {
    for (int server = 0; server < kServers; ++server) {
      steps_[server] = step;
      slices_seen_[server].clear();
      marks_[server] = cut_marks_[server];
    }
  }
  int64_t lowest_mark(uint64_t lease) const { return std::min(mark(0, lease), mark(1, lease)); }
  int64_t mark(int server, uint64_t lease) const {
    const auto found = marks_[server].find(lease);
    return found == marks_[server].end() ? -1 : found->second;
  }

 private:
  const int slices_;
  int64_t steps_[kServers] = {};
  std::set<int32_t> slices_seen_[kServers];
  std::map<uint64_t, int64_t> marks_[kServers], cut_marks_[kServers];
};

// What a checkpoint holds beside the servers' cuts.
struct CheckpointNote {
  int64_t step = 0;              // sync
  InputPosition position;        // sync
  std::vector<BlockLease> open;  // async: noted before the first server cuts
  size_t added = 0;              // async
  int servers_to_cut = 0;
};

struct Schedule {
  RandomStream random;
  CoordinatorOptions options;
  Coordinator coordinator;
  Servers servers;
  int64_t steps = 0;               // sync
  std::vector<BlockLease> blocks;  // async
  milliseconds now{0};
  double trouble = 0;  // how probable it is
  RunId run{1, 0};
  int living = 0;                 // workers that have not died for good
  size_t added = 0;               // async: blocks
  CheckpointNote note, new_note;  // the last whole one, and one that is being made
  int64_t examples = 0;           // that this generation has to do

  Schedule(uint64_t seed, const CoordinatorOptions& coordinator_options)
      : random(seed),
        options(coordinator_options),
        coordinator(coordinator_options),
        servers(coordinator_options.leases.slices) {}

  bool Happens(double probability) { return random.Uniform() < probability; }
  bool is_sync() const { return options.leases.mode == TrainMode::kSync; }
};

// One worker, as a machine of small steps, so that anything may happen between two of them.
class Worker {
 public:
  Worker(Schedule* schedule, int index) : s_(*schedule), index_(index) { StartAgain(); }

  bool has_gone() const { return has_gone_; }

  void Turn() {
    if (has_gone_) return;
    if (hangs_until_ > s_.now) return;
    if (is_dead_) {
      if (s_.Happens(0.05)) StartAgain();
      return;
    }
    if (s_.Happens(s_.trouble)) {
      is_dead_ = true;
      // Now and then for good, if somebody is left.
      has_gone_ = s_.living > 1 && s_.Happens(0.3);
      s_.living -= has_gone_ ? 1 : 0;
      return;
    }
    if (s_.Happens(s_.trouble)) {  // long enough to be taken for lost, or not
      hangs_until_ = s_.now + milliseconds(s_.random.Below(200));
      return;
    }
    if (pushes_.empty()) {
      Ask();
    } else {
      Push();
    }
  }

 private:
  struct OnePush {
    int server = 0;
    int64_t step = 0;
    int32_t slice = 0;
    uint64_t lease = 0;
    int64_t index = 0;
  };

  void StartAgain() {
    is_dead_ = false;
    ++incarnation_;
    run_ = RunId();
    pushes_.clear();
    report_ = pending_ = LeaseRequest();
    waits_for_ = -1;
  }

  void Ask() {
    // The pull is answered.
    if (s_.servers.applied_step() >= waits_for_) waits_for_ = -1;
    LeaseRequest request = report_;
    request.run = run_;
    request.worker = index_;
    request.incarnation = 1000 * (index_ + 1) + incarnation_;
    request.max_slices = 1 + static_cast<int>(s_.random.Below(3));
    request.up_to_step = waits_for_;
    const StatusOr<LeaseAnswer> answer = s_.coordinator.Lease(request, s_.now);
    ASSERT_TRUE(answer.ok()) << answer.status();
    if (s_.Happens(s_.trouble)) {  // the network delivers a request twice
      ASSERT_TRUE(s_.coordinator.Lease(request, s_.now).ok());
    }
    if (s_.Happens(s_.trouble)) return;  // the answer is lost: asks again with the same report
    report_ = LeaseRequest();
    if (answer->run != run_) {
      run_ = answer->run;
      waits_for_ = -1;
      return;
    }
    if (answer->kind == Kind::kDone) has_gone_ = true;
    if (answer->kind == Kind::kSlices) TakeSlices(*answer);
    if (answer->kind == Kind::kBlock) TakeBatch(answer->block);
  }

  void TakeSlices(const LeaseAnswer& answer) {
    if (answer.step > s_.steps) {
      report_.last_step = s_.steps;
      return;
    }
    // Its pull waits: meanwhile it asks for slices of the step it waits for.
    if (s_.servers.applied_step() < answer.step - 1) {
      waits_for_ = answer.step - 1;
      return;
    }
    waits_for_ = -1;
    for (const int32_t slice : answer.slices) {
      for (int server = 0; server < kServers; ++server) {
        pushes_.push_back({.server = server, .step = answer.step, .slice = slice});
      }
      pending_.slices.push_back({.step = answer.step, .slice = slice, .examples = 1});
    }
    InputPosition position;
    position.record = answer.step;
    pending_.positions = {{answer.step, position}};
  }

  void TakeBatch(const BlockLease& block) {
    const int64_t index = block.first_index;
    const int64_t left = block.examples - block.start.example;
    for (int server = 0; server < kServers; ++server) {
      if (left > 0) pushes_.push_back({.server = server, .lease = block.id, .index = index});
    }
    pending_.block = block.id;
    pending_.block_index = left > 0 ? index : -1;
    pending_.examples = std::min<int64_t>(kBatch, left);
    pending_.pushes = left > 0 ? 1 : 0;
    pending_.block_done = left <= kBatch;
    if (left <= 0) Report();
  }

  void Push() {
    if (run_ != s_.run) {  // servers refuse it
      pushes_.clear();
      pending_ = LeaseRequest();
      return;
    }
    const OnePush push = pushes_.front();
    pushes_.erase(pushes_.begin());
    const int times = s_.Happens(s_.trouble) ? 2 : 1;
    for (int i = 0; i < times; ++i) {
      if (s_.is_sync()) {
        s_.servers.PushSlice(push.server, push.step, push.slice);
      } else {
        s_.servers.PushBatch(push.server, push.lease, push.index);
      }
    }
    if (pushes_.empty()) Report();
  }

  void Report() {
    report_ = std::move(pending_);
    pending_ = LeaseRequest();
  }

  Schedule& s_;
  const int index_;
  uint64_t incarnation_ = 0;
  bool is_dead_ = false, has_gone_ = false;
  milliseconds hangs_until_{0};
  RunId run_;
  int64_t waits_for_ = -1;
  std::vector<OnePush> pushes_;
  LeaseRequest pending_;  // once all pushes are made
  LeaseRequest report_;   // until it is answered
};

CoordinatorOptions RandomOptions(TrainMode mode, uint64_t seed) {
  RandomStream random(MixBits(seed, 1));
  CoordinatorOptions options;
  options.workers = 1 + static_cast<int>(random.Below(5));
  options.worker_timeout = milliseconds(100);
  options.leases.mode = mode;
  options.leases.batch_size = kBatch;
  options.leases.slices = 1 + static_cast<int>(random.Below(5));
  options.leases.steps_ahead = static_cast<int>(random.Below(3));
  options.leases.backup_workers = static_cast<int>(random.Below(3));
  options.leases.late_after = milliseconds(random.Below(40));
  options.leases.max_staleness = static_cast<int64_t>(random.Below(4)) - 1;
  return options;
}

// The chief adds blocks little by little.
void AddBlocks(Schedule* schedule) {
  Schedule& s = *schedule;
  if (s.added == s.blocks.size() || !s.Happens(0.3)) return;
  s.coordinator.AddBlock(s.blocks[s.added++]);
  if (s.added == s.blocks.size()) s.coordinator.SetNoMoreBlocks();
}

// A generation from the last checkpoint on.
void BeginGeneration(Schedule* schedule) {
  Schedule& s = *schedule;
  s.coordinator.Suspend();
  s.servers.GoBack(s.note.step);
  ++s.run.generation;
  s.new_note = CheckpointNote();
  s.added = s.note.added;
  std::vector<BlockLease> open;
  s.examples = (s.steps - s.note.step) * s.options.leases.slices;
  for (const BlockLease& lease : s.note.open) {
    const int64_t mark = s.servers.lowest_mark(lease.id);
    EXPECT_GE(mark, lease.first_index - 1);
    open.push_back(BehindBatch(lease, mark, kBatch));
    s.examples += lease.examples - open.back().start.example;
  }
  for (size_t i = s.added; i < s.blocks.size(); ++i) s.examples += s.blocks[i].examples;
  s.coordinator.Begin(s.run, s.note.step, s.note.position, open);
  if (!s.is_sync() && s.added == s.blocks.size()) s.coordinator.SetNoMoreBlocks();
}

// Makes checkpoints, one server after the other, and now and then a server is lost.
void KeepServers(Schedule* schedule) {
  Schedule& s = *schedule;
  if (s.new_note.servers_to_cut > 0 && s.Happens(0.1)) {
    s.servers.Cut(--s.new_note.servers_to_cut);
    if (s.new_note.servers_to_cut == 0) s.note = s.new_note;
  } else if (s.new_note.servers_to_cut == 0 && s.Happens(0.02)) {
    s.new_note.step = s.is_sync() ? s.coordinator.finished_step() : 0;
    if (s.is_sync()) s.new_note.position = *s.coordinator.PositionAfter(s.new_note.step);
    s.new_note.open = s.coordinator.OpenBlocks();
    s.new_note.added = s.added;
    s.new_note.servers_to_cut = kServers;
  } else if (s.new_note.servers_to_cut == 0 && s.Happens(s.trouble / 10)) {
    BeginGeneration(&s);
  }
}

void RunToTheEnd(Schedule* schedule) {
  Schedule& s = *schedule;
  BeginGeneration(&s);
  s.living = s.options.workers;
  std::vector<Worker> workers;
  for (int i = 0; i < s.options.workers; ++i) workers.emplace_back(&s, i);
  for (int64_t turn = 0;; ++turn) {
    ASSERT_LT(turn, kMaxTurns) << "it does not end";
    workers[s.random.Below(workers.size())].Turn();
    s.now += milliseconds(s.random.Below(3));
    if (turn % 7 == 0) s.coordinator.Tick(s.now);
    if (!s.is_sync()) AddBlocks(&s);
    // Whoever is alive hears of the end.
    if (std::ranges::all_of(workers, [](const Worker& w) { return w.has_gone(); })) break;
    // Later nothing but the leases themselves may bring it to its end.
    if (turn < kTurnsWithServers && !s.coordinator.all_done()) KeepServers(&s);
  }
  EXPECT_TRUE(s.coordinator.all_done());
}

TEST(LeaseSchedulesTest, EverySliceOnce) {
  for (uint64_t seed = 0; seed < 3000 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Schedule schedule(seed, RandomOptions(TrainMode::kSync, seed));
    schedule.trouble = 0.04 * schedule.random.Uniform();
    schedule.steps = static_cast<int64_t>(schedule.random.Below(25));
    RunToTheEnd(&schedule);
    EXPECT_EQ(schedule.servers.applied_step(), schedule.steps);
    const Coordinator::Progress progress = schedule.coordinator.TakeProgress(schedule.now);
    EXPECT_EQ(progress.global_step, schedule.steps);
    EXPECT_EQ(progress.examples, schedule.examples);
    EXPECT_EQ(*schedule.coordinator.ExamplesAfter(schedule.steps), progress.examples);
    EXPECT_TRUE(schedule.coordinator.PositionAfter(schedule.steps).ok());
  }
}

TEST(LeaseSchedulesTest, EveryBatchOnce) {
  for (uint64_t seed = 0; seed < 3000 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Schedule schedule(seed, RandomOptions(TrainMode::kAsync, seed));
    schedule.trouble = 0.04 * schedule.random.Uniform();
    const int64_t count = 1 + static_cast<int64_t>(schedule.random.Below(12));
    for (int64_t i = 0; i < count; ++i) {
      BlockLease block;
      block.start.epoch = i / 4;
      block.start.block = i % 4;
      block.id = BlockLeaseId(block.start);
      block.examples = 1 + static_cast<int64_t>(schedule.random.Below(60));
      schedule.blocks.push_back(block);
    }
    RunToTheEnd(&schedule);
    for (const BlockLease& block : schedule.blocks) {
      const int64_t last = (block.examples - 1) / kBatch;
      for (int server = 0; server < kServers; ++server) {
        EXPECT_EQ(schedule.servers.mark(server, block.id), last);
      }
    }
    const Coordinator::Progress progress = schedule.coordinator.TakeProgress(schedule.now);
    EXPECT_EQ(progress.examples, schedule.examples);
    EXPECT_EQ(progress.twice, 0);
    EXPECT_EQ(progress.skipped, 0);
  }
}

}  // namespace
}  // namespace capstan
