// Parameters in this process: row tables and a dense block, worked on by the pool.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/worker_pool.h"
#include "params/dense_block.h"
#include "params/parameters.h"
#include "params/row_table.h"
#include "params/snapshot.h"

namespace capstan {

// The bits of all values depend on the seed and the calls, never on the number of workers.
class LocalParameters : public Parameters {
 public:
  // `pool` outlives it. Dense offsets are set as LayOutDense sets them.
  static StatusOr<std::unique_ptr<LocalParameters>> Create(std::vector<TableSpec> tables,
                                                           std::vector<DenseSpec> dense,
                                                           uint64_t seed, WorkerPool* pool);
  ~LocalParameters() override;

  const std::vector<TableSpec>& tables() const override { return specs_; }
  const std::vector<DenseSpec>& dense_variables() const override { return dense_.variables(); }
  const PulledRowFormat& row_format(int table) const override { return formats_[table]; }

  Status Pull(int64_t step, std::span<const TableKeys> keys, PulledRows* rows) override;
  // An unknown id of a table with dense_size gives its initial values, as its checkpoint would.
  Status Lookup(std::span<const TableKeys> keys, PulledRows* rows) override;
  std::span<const float> dense() const override { return dense_.weights(); }
  Status Push(const StepRates& rates, const Gradients& gradients) override;

  // The following stand between a Push and the next Pull.

  // Takes back memory of expired rows, at most `max_rows` looked at per table. Does nothing while a
  // snapshot lives. When it is called makes no difference to values or checkpoints.
  void Expire(int64_t step, int64_t max_rows = 4096);
  // The parameters as they are now. kFailedPrecondition between Pull and Push, or while another
  // snapshot lives. Dense weights are copied at once; rows as they change, `buffer_bytes` at most.
  StatusOr<std::unique_ptr<Snapshot>> Cut(int64_t buffer_bytes);
  // After a restore: the last step done.
  void SetStep(int64_t step);

  RowTable& table(int i) { return *row_tables_[i]; }
  const RowTable& table(int i) const { return *row_tables_[i]; }
  DenseBlock& dense_block() { return dense_; }
  const DenseBlock& dense_block() const { return dense_; }
  int64_t memory_bytes() const;
  int64_t row_count() const;

 private:
  // Keys [begin, end) of one table: one index of a parallel loop.
  struct KeyRange {
    int table = 0;
    size_t begin = 0, end = 0;
    std::vector<uint32_t> missing;
    std::vector<char> initial_rows;
  };
  struct TableUpdate;

  LocalParameters(DenseBlock dense, WorkerPool* pool) : dense_(std::move(dense)), pool_(pool) {}

  Status CheckKeys(std::span<const TableKeys> keys) const;
  Status CheckGradients(const StepRates& rates, const Gradients& gradients) const;
  void CutIntoRanges(std::span<const TableKeys> keys, size_t length);
  Status InsertMissing(int table, const TableKeys& keys, PulledRows* rows);
  void LookUpRange(KeyRange* range, std::span<const TableKeys> keys, PulledRows* rows);
  std::vector<TableUpdate> UpdatesOf(const StepRates& rates, float scale) const;
  void PushRange(const KeyRange& range, const TableUpdate& update, const Gradients& gradients);
  bool DropFinishedSnapshot();

  std::vector<TableSpec> specs_;
  std::vector<PulledRowFormat> formats_;
  std::vector<std::unique_ptr<RowTable>> row_tables_;
  DenseBlock dense_;
  std::vector<DenseBlock::Range> dense_ranges_;
  WorkerPool* const pool_;

  int64_t step_ = 0;     // of the last Push
  bool pulled_ = false;  // between Pull and Push
  std::vector<std::vector<char*>> pulled_rows_;
  std::vector<KeyRange> ranges_;
  std::vector<Status> statuses_;  // by table
  std::shared_ptr<SnapshotState> snapshot_;
};

}  // namespace capstan
