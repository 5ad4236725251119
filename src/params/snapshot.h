// All parameters as they were between two steps, read by another thread while training goes on.
// Rows are preserved by the trainer before their first change (copy on write), in a buffer of
// bounded size: when it is full, the trainer waits until the reader has passed the row, and that is
// counted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "params/dense_block.h"
#include "params/row_table.h"
#include "params/snapshot_buffer.h"

namespace capstan {

// What a snapshot and the parameters that it was cut from share.
struct SnapshotState {
  explicit SnapshotState(int64_t buffer_bytes) : buffer(buffer_bytes) {}

  SnapshotBuffer buffer;
  int64_t step = 0;
  std::vector<TableCut> tables;
  std::vector<std::vector<float>> dense;  // copies: weights, slot 0, slot 1
  std::vector<DenseSpec> variables;
};

// Each table's rows, and its filtered keys, are read once, in any order, by one thread. Destroying
// it, read to the end or not, lets the trainer go on without it. The parameters outlive it.
class Snapshot {
 public:
  // Rows as RowLayout has them, valid during the call. A sink's error ends the reading.
  using RowSink = std::function<Status(std::span<const char* const> rows)>;
  // Keys seen, but not admitted yet: times seen, and the step of the last time.
  using FilteredSink =
      std::function<Status(std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                           std::span<const uint32_t> last_steps)>;

  explicit Snapshot(std::shared_ptr<SnapshotState> state) : state_(std::move(state)) {}
  ~Snapshot() { state_->buffer.Finish(); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  // Of the last Push before the cut.
  int64_t step() const { return state_->step; }
  int64_t row_count(int table) const { return state_->tables[table].row_count; }
  int64_t filtered_count(int table) const { return state_->tables[table].filtered_count; }

  // row_count(table) rows, in arena order.
  Status ReadRows(int table, const RowSink& sink);
  Status ReadFiltered(int table, const FilteredSink& sink);

  // [dense size], and of one variable (as DenseBlock::slot).
  std::span<const float> dense() const { return state_->dense[0]; }
  std::span<const float> dense_slot(int variable, int slot) const;

  // How often training waited for the reader, and the most memory that the snapshot took.
  int64_t stalls() const { return state_->buffer.stalls(); }
  int64_t peak_bytes() const { return state_->buffer.peak_bytes(); }

 private:
  const std::shared_ptr<SnapshotState> state_;
};

}  // namespace capstan
