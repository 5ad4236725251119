// The rows of one feature table: found by key, made where they are missing and admitted, gone when
// they have not been seen for too long. See docs/rows.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "params/keyed_rows.h"
#include "params/row_layout.h"
#include "params/table_spec.h"

namespace capstan {

// A table as it was at one step (see snapshot.h, which reads it).
struct TableCut {
  std::shared_ptr<ArenaCut> rows;
  std::shared_ptr<ArenaCut> filtered;  // null without admission
  int64_t row_count = 0, filtered_count = 0;
  int64_t step = 0, expiry_steps = 0;
};

// Rows stay where they are until they expire: a `char*` from FindOrInsert is good until then.
// Values depend on (seed, table, part, key) and what was applied, never on order or threads; the
// same sequence of calls also gives the same arena order. One thread at a time, except where said.
class RowTable {
 public:
  static StatusOr<std::unique_ptr<RowTable>> Create(const TableSpec& spec, uint64_t seed);

  const TableSpec& spec() const { return spec_; }
  const RowLayout& layout() const { return layout_; }

  // Training, at step `step` (not below earlier ones), for distinct keys. rows[i]: the row of
  // keys[i], its count and last step brought up to date; null where it is not admitted yet. A key
  // is admitted by what earlier steps counted, so it makes no difference who sees its counts of
  // this step first.
  Status FindOrInsert(std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                      int64_t step, char** rows);

  // The same in parts, for several threads. BeginStep, then any number of FindAndCount at once for
  // parts of the keys (`missing`: which of this part have no row, appended), then InsertMissing for
  // each part, in order.
  void BeginStep(int64_t step);
  void FindAndCount(std::span<const uint64_t> keys, std::span<const uint32_t> counts, char** rows,
                    std::vector<uint32_t>* missing);
  Status InsertMissing(std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                       std::span<const uint32_t> missing, char** rows);

  // Evaluation: rows[i] is null where there is none. Any number of threads at once.
  void Find(std::span<const uint64_t> keys, const char** rows) const;

  // What FindOrInsert at `step` would give, but nothing changes: rows[i] is the row of keys[i];
  // initial values that lie in `*made`, where FindOrInsert would make the row; null where the key
  // is not admitted. `step` is the current one or a later one. Any number of threads at once.
  Status Peek(std::span<const uint64_t> keys, int64_t step, std::vector<char>* made,
              const char** rows) const;

  // Restore: a row with initial weights and slots, for the caller to write over; a key that is
  // counted, but not admitted. Errors: the key has one already; an id that the table cannot have.
  StatusOr<char*> Insert(uint64_t key, uint32_t count, int64_t last_step);
  // The same for many keys, with their memory fetched at once. `rows` may be null.
  Status InsertBatch(std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                     std::span<const int64_t> last_steps, char** rows);
  Status InsertFiltered(uint64_t key, uint32_t count, int64_t last_step);

  // Takes back memory of rows that have expired: a bounded sweep, to be called each step.
  void Sweep(int64_t max_rows);

  // Writes all parts of a row as a new key's are; not its header.
  void InitializeRow(uint64_t key, char* row) const;

  // In arena order.
  void ForEachRow(const std::function<void(const char* row)>& visit) const;

  int64_t row_count() const { return rows_->alive(); }
  int64_t filtered_count() const { return filtered_ == nullptr ? 0 : filtered_->alive(); }
  int64_t memory_bytes() const;

  TableCut Cut(SnapshotBuffer* buffer);
  void EndCut();

 private:
  RowTable(const TableSpec& spec, uint64_t seed);

  Status CheckId(uint64_t key) const;
  void PeekFilter(std::span<const uint64_t> keys, std::span<const uint32_t> missing, int64_t step,
                  std::vector<uint32_t>* admitted) const;
  StatusOr<char*> AddRow(uint64_t key, uint32_t count, uint32_t last_step);
  StatusOr<char*> CountOrAdmit(uint64_t key, uint32_t count, uint32_t filter_row);

  const TableSpec spec_;
  const RowLayout layout_;
  std::vector<uint64_t> streams_;  // of initial values, by part
  int weights_bytes_ = 0;          // header and all weights lie within the first so many bytes
  std::unique_ptr<KeyedRows> rows_;
  std::unique_ptr<KeyedRows> filtered_;  // headers only: keys seen, but too seldom
  std::vector<uint64_t> missing_keys_;
  std::vector<uint32_t> missing_rows_;
};

}  // namespace capstan
