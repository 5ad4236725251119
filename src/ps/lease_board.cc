#include "ps/lease_board.h"

#include <fmt/format.h>

#include <algorithm>

#include "params/slice_tree.h"

namespace capstan {
namespace {

using std::chrono::milliseconds;

int64_t Seconds(milliseconds time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

// "worker 2", "worker 2 and worker 5"
std::string NamesOf(const std::set<int>& workers) {
  std::string text;
  for (const int worker : workers) {
    text += fmt::format("{}worker {}", text.empty() ? "" : " and ", worker);
  }
  return text;
}

// One more than the last batch of the block.
int64_t EndIndex(const BlockLease& lease, int batch_size) {
  const int64_t left = lease.examples - lease.start.example;
  return lease.first_index + (left + batch_size - 1) / batch_size;
}

}  // namespace

uint64_t BlockLeaseId(const InputPosition& start) {
  return static_cast<uint64_t>(start.epoch) << 32 | static_cast<uint32_t>(start.block);
}

BlockLease BehindBatch(BlockLease lease, int64_t index, int batch_size) {
  InputPosition& start = lease.start;
  start.example += (index + 1 - lease.first_index) * batch_size;
  if (lease.examples >= 0) start.example = std::min(start.example, lease.examples);
  lease.first_index = index + 1;
  start.batch = lease.first_index;
  return lease;
}

LeaseBoard::LeaseBoard(const LeaseBoardOptions& options) : options_(options) {}

void LeaseBoard::StartSync(int64_t next_step) {
  done_ = 0;
  finished_step_ = next_step - 1;
  last_step_ = -1;
  steps_.clear();
}

void LeaseBoard::SetLastStep(int64_t last_step) {
  last_step_ = last_step;
  steps_.erase(steps_.upper_bound(last_step), steps_.end());
}

void LeaseBoard::StartAsync(const std::vector<BlockLease>& open) {
  done_ = 0;
  blocks_.clear();
  free_.clear();
  workers_.clear();
  next_id_ = 0;
  no_more_blocks_ = false;
  for (const BlockLease& lease : open) Add(lease);
}

bool LeaseBoard::Add(const BlockLease& lease) {
  if (lease.id < next_id_ || no_more_blocks_) return false;
  next_id_ = lease.id + 1;
  Block& block = blocks_[lease.id];
  block.lease = lease;
  block.lease.start.batch = lease.first_index;
  free_.insert(lease.id);
  return true;
}

LeaseBoard::Grant LeaseBoard::Take(int worker, int max_slices, milliseconds now,
                                   int64_t up_to_step) {
  if (all_done()) return {.kind = Grant::Kind::kDone};
  if (max_slices <= 0) return {};
  return options_.mode == TrainMode::kSync ? TakeSlices(worker, max_slices, now, up_to_step)
                                           : TakeBlock(worker, now);
}

// Whether the slice of the oldest unfinished step is for this worker in round 0: its own, 1: free,
// 2: late.
bool LeaseBoard::MayTake(int worker, const Slice& slice, int round, milliseconds now) const {
  const bool is_own = slice.owners.contains(worker);
  if (slice.done || is_own != (round == 0)) return false;
  if (round < 2) return is_own || slice.owners.empty();
  return !slice.owners.empty() && now - slice.given >= options_.late_after &&
         static_cast<int>(slice.owners.size()) <= options_.backup_workers;
}

// How many of `may_take` slices.
int LeaseBoard::ShareOf(int worker, int64_t step, int max_slices, int may_take) const {
  const int of = paces_.HasHad(worker, step) ? may_take : options_.slices;
  return std::min({paces_.ShareOf(worker, of), max_slices, may_take});
}

LeaseBoard::Grant LeaseBoard::TakeSlices(int worker, int max_slices, milliseconds now,
                                         int64_t up_to_step) {
  paces_.Meet(worker);
  Grant grant;
  const int64_t oldest = finished_step_ + 1;
  int64_t last = oldest + options_.steps_ahead;
  if (last_step_ >= 0) last = std::min(last, last_step_);
  if (up_to_step >= 0) last = std::min(last, up_to_step);
  for (grant.step = oldest; grant.step <= last; ++grant.step) {
    std::vector<Slice>& slices = steps_[grant.step];
    slices.resize(options_.slices);
    const int rounds = grant.step == oldest ? 3 : 2;
    for (int round = 0; round < rounds; ++round) {
      std::vector<bool> may(options_.slices);
      for (int i = 0; i < options_.slices; ++i) may[i] = MayTake(worker, slices[i], round, now);
      const int count = static_cast<int>(std::ranges::count(may, true));
      if (count == 0) continue;
      const bool is_own = round == 0;
      grant.slices = ChooseNeighbours(
          may, is_own ? max_slices : ShareOf(worker, grant.step, max_slices, count));
      for (const int32_t i : grant.slices) {
        if (round == 1) slices[i].given = now;
        slices[i].owners.insert(worker);
      }
      if (!is_own) paces_.Given(worker, grant.step, static_cast<int>(grant.slices.size()), now);
      grant.kind = Grant::Kind::kSlices;
      return grant;
    }
  }
  return {};
}

bool LeaseBoard::SliceDone(int64_t step, int32_t slice) {
  const auto found = steps_.find(step);
  if (found == steps_.end() || slice < 0 || slice >= options_.slices) return false;
  Slice& done = found->second[slice];
  if (done.done) return false;
  done.done = true;
  ++done_;
  done.owners.clear();
  const auto is_done = [](const Slice& s) { return s.done; };
  while (!steps_.empty() && steps_.begin()->first == finished_step_ + 1 &&
         std::all_of(steps_.begin()->second.begin(), steps_.begin()->second.end(), is_done)) {
    steps_.erase(steps_.begin());
    ++finished_step_;
  }
  return true;
}

LeaseBoard::Block* LeaseBoard::BlockOf(int worker) {
  for (auto& [id, block] : blocks_) {
    if (block.owner == worker) return &block;
  }
  return nullptr;
}

int64_t LeaseBoard::SlowestClock() const {
  int64_t slowest = -1;
  for (const auto& [index, worker] : workers_) {
    if (!worker.has_block) continue;
    slowest = slowest < 0 ? worker.clock : std::min(slowest, worker.clock);
  }
  return slowest;
}

LeaseBoard::Grant LeaseBoard::TakeBlock(int worker, milliseconds now) {
  Block* block = BlockOf(worker);
  if (block == nullptr && free_.empty()) return {};
  Worker& taker = workers_[worker];
  const int64_t slowest = SlowestClock();
  // Who had no block for a while does not make the others wait until it has caught up.
  if (!taker.has_block) taker.clock = std::max(taker.clock, slowest);
  const bool is_ahead =
      options_.max_staleness >= 0 && slowest >= 0 && taker.clock - slowest > options_.max_staleness;
  if (is_ahead) return {};
  if (block == nullptr) {
    block = &blocks_[*free_.begin()];
    Give(block, worker, now);
  }
  return {.kind = Grant::Kind::kBlock, .block = block->lease};
}

void LeaseBoard::Give(Block* block, int worker, milliseconds now) {
  free_.erase(block->lease.id);
  block->owner = worker;
  block->owner_index = block->lease.first_index - 1;
  block->since = now;
  workers_[worker].has_block = true;
}

LeaseBoard::Grant LeaseBoard::TakeThis(int worker, uint64_t lease, milliseconds now) {
  const auto found = blocks_.find(lease);
  if (found == blocks_.end()) return {};
  Block& block = found->second;
  if (block.owner >= 0 && block.owner != worker) return {};
  if (block.owner < 0) {
    Lost(worker);  // what it has is free again
    Give(&block, worker, now);
  }
  return {.kind = Grant::Kind::kBlock, .block = block.lease};
}

bool LeaseBoard::BatchDone(int worker, uint64_t lease, int64_t index, milliseconds now) {
  const auto found = blocks_.find(lease);
  if (found == blocks_.end()) return false;
  Block& block = found->second;
  if (block.lease.examples >= 0 && index >= EndIndex(block.lease, options_.batch_size)) {
    return false;
  }
  if (block.owner == worker && index > block.owner_index) {
    ++workers_[worker].clock;
    block.owner_index = index;
    block.since = now;
  }
  if (index < block.lease.first_index) return false;
  block.lease = BehindBatch(block.lease, index, options_.batch_size);
  return true;
}

bool LeaseBoard::BlockDone(uint64_t lease) {
  const auto found = blocks_.find(lease);
  if (found == blocks_.end()) return false;
  Release(found->second);
  free_.erase(lease);
  blocks_.erase(found);
  ++done_;
  return true;
}

void LeaseBoard::Release(const Block& block) {
  if (block.owner >= 0) workers_[block.owner].has_block = false;
}

void LeaseBoard::Lost(int worker) {
  paces_.Lost(worker);
  for (auto& [step, slices] : steps_) {
    for (Slice& slice : slices) slice.owners.erase(worker);
  }
  Block* const block = BlockOf(worker);
  if (block == nullptr) return;
  Release(*block);
  block->owner = -1;
  free_.insert(block->lease.id);
}

bool LeaseBoard::all_done() const {
  if (options_.mode == TrainMode::kSync) return last_step_ >= 0 && finished_step_ >= last_step_;
  return no_more_blocks_ && blocks_.empty();
}

std::vector<BlockLease> LeaseBoard::OpenBlocks() const {
  std::vector<BlockLease> open;
  for (const auto& [id, block] : blocks_) open.push_back(block.lease);
  return open;
}

// Only of the oldest step: the others wait for it.
void LeaseBoard::AddLateSlices(milliseconds now, milliseconds older_than,
                               std::vector<std::string>* texts) const {
  const auto oldest = steps_.find(finished_step_ + 1);
  if (oldest == steps_.end()) return;
  struct Group {
    std::string slices;
    int count = 0;
    milliseconds given{0};
  };
  std::map<std::set<int>, Group> groups;
  for (size_t i = 0; i < oldest->second.size(); ++i) {
    const Slice& slice = oldest->second[i];
    if (slice.done || slice.owners.empty() || now - slice.given < older_than) continue;
    Group& group = groups[slice.owners];
    group.slices += fmt::format("{}{}", group.count == 0 ? "" : ", ", i);
    group.given = group.count == 0 ? slice.given : std::min(group.given, slice.given);
    ++group.count;
  }
  for (const auto& [owners, group] : groups) {
    texts->push_back(fmt::format("step {}: slice{} {} of {} since {} s", oldest->first,
                                 group.count == 1 ? "" : "s", group.slices, NamesOf(owners),
                                 Seconds(now - group.given)));
  }
}

std::vector<std::string> LeaseBoard::LateLeases(milliseconds now, milliseconds older_than) const {
  std::vector<std::string> texts;
  AddLateSlices(now, older_than, &texts);
  for (const auto& [id, block] : blocks_) {
    if (block.owner < 0 || now - block.since < older_than) continue;
    texts.push_back(fmt::format("epoch {}, block {}: batch {} of worker {} since {} s", id >> 32,
                                id & 0xffffffff, block.lease.first_index, block.owner,
                                Seconds(now - block.since)));
  }
  return texts;
}

LeaseBoard::Counts LeaseBoard::Count(milliseconds now, milliseconds older_than) const {
  Counts counts{.done = done_};
  const auto add = [&](bool is_free, milliseconds since) {
    ++(is_free ? counts.free : counts.granted);
    if (!is_free && now - since >= older_than) ++counts.late;
  };
  for (const auto& [id, block] : blocks_) add(block.owner < 0, block.since);
  for (const auto& [step, slices] : steps_) {
    for (const Slice& slice : slices) {
      if (!slice.done) add(slice.owners.empty(), slice.given);
    }
  }
  // Nobody has asked for the next step yet.
  const bool is_untouched =
      options_.mode == TrainMode::kSync && !all_done() && !steps_.contains(finished_step_ + 1);
  if (is_untouched) counts.free += options_.slices;
  return counts;
}

}  // namespace capstan
