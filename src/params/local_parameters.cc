#include "params/local_parameters.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

namespace capstan {
namespace {
constexpr size_t kKeysPerPull = 2048;
constexpr size_t kKeysPerPush = 512;
constexpr int64_t kFloatsPerPush = 16384;
constexpr int64_t kRowsAhead = 16;  // a row is fetched so many rows before its update

float RateFactor(std::string_view name, const StepRates& rates) {
  return name == "wide" || name.starts_with("wide/") ? rates.wide_factor : rates.deep_factor;
}

UpdateConstants ConstantsOf(const OptimizerSpec& spec, float factor, int64_t step, float scale) {
  UpdateScalars scalars{.learning_rate = spec.learning_rate * factor, .gradient_scale = scale};
  if (spec.kind == OptimizerKind::kAdam) {
    scalars.beta1_power = static_cast<float>(std::pow(double{spec.beta1}, step));
    scalars.beta2_power = static_cast<float>(std::pow(double{spec.beta2}, step));
  }
  return MakeUpdateConstants(spec, scalars);
}

}  // namespace

// The constants of a table's parts at one step.
struct LocalParameters::TableUpdate {
  std::vector<UpdateConstants> parts;
};

StatusOr<std::unique_ptr<LocalParameters>> LocalParameters::Create(std::vector<TableSpec> tables,
                                                                   std::vector<DenseSpec> dense,
                                                                   uint64_t seed,
                                                                   WorkerPool* pool) {
  ASSIGN_OR_RETURN(DenseBlock block, DenseBlock::Create(std::move(dense), seed));
  std::unique_ptr<LocalParameters> parameters(new LocalParameters(std::move(block), pool));
  parameters->dense_ranges_ = parameters->dense_.Ranges(kFloatsPerPush);
  for (const TableSpec& spec : tables) {
    ASSIGN_OR_RETURN(std::unique_ptr<RowTable> table, RowTable::Create(spec, seed));
    PulledRowFormat& format = parameters->formats_.emplace_back();
    for (int part = 0; part < table->layout().part_count(); ++part) {
      format.part_offset.push_back(table->layout().weights_offset(part));
    }
    parameters->row_tables_.push_back(std::move(table));
  }
  parameters->pulled_rows_.resize(tables.size());
  parameters->statuses_.resize(tables.size());
  parameters->specs_ = std::move(tables);
  return parameters;
}

LocalParameters::~LocalParameters() {
  for (auto& table : row_tables_) table->EndCut();
}

Status LocalParameters::CheckKeys(std::span<const TableKeys> keys) const {
  if (keys.size() != specs_.size()) {
    return Error("pull rows: keys of {} tables, wanted {}", keys.size(), specs_.size());
  }
  return OkStatus();
}

// Fills ranges_: the tables with the most keys first, so that the last ones to end are short.
void LocalParameters::CutIntoRanges(std::span<const TableKeys> keys, size_t length) {
  std::vector<int> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return keys[a].keys.size() > keys[b].keys.size(); });
  ranges_.clear();
  for (const int table : order) {
    const size_t count = keys[table].keys.size();
    for (size_t begin = 0; begin < count; begin += length) {
      ranges_.push_back({.table = table, .begin = begin, .end = std::min(count, begin + length)});
    }
  }
}

Status LocalParameters::Pull(int64_t step, std::span<const TableKeys> keys, PulledRows* rows) {
  RETURN_IF_ERROR(CheckKeys(keys));
  DropFinishedSnapshot();
  CutIntoRanges(keys, kKeysPerPull);
  rows->rows.resize(keys.size());
  std::vector<std::atomic<int>> unfinished(keys.size());
  for (const KeyRange& range : ranges_) ++unfinished[range.table];
  for (size_t t = 0; t < keys.size(); ++t) {
    row_tables_[t]->BeginStep(step);
    pulled_rows_[t].resize(keys[t].keys.size());
    rows->rows[t].resize(keys[t].keys.size());
    statuses_[t] = OkStatus();
  }
  pool_->ParallelFor(static_cast<int64_t>(ranges_.size()), [&](int64_t index, int worker) {
    KeyRange& range = ranges_[index];
    const int t = range.table;
    const size_t count = range.end - range.begin;
    row_tables_[t]->FindAndCount(keys[t].keys.subspan(range.begin, count),
                                 keys[t].counts.subspan(range.begin, count),
                                 pulled_rows_[t].data() + range.begin, &range.missing);
    // New rows come when all of the table's keys have been looked for, in the order of the keys.
    if (unfinished[t].fetch_sub(1, std::memory_order_acq_rel) == 1) {
      statuses_[t] = InsertMissing(t, keys[t], rows);
    }
  });
  for (Status& status : statuses_) RETURN_IF_ERROR(status);
  pulled_ = true;
  return OkStatus();
}

Status LocalParameters::InsertMissing(int table, const TableKeys& keys, PulledRows* rows) {
  char** const pulled = pulled_rows_[table].data();
  for (const KeyRange& range : ranges_) {
    if (range.table != table || range.missing.empty()) continue;
    const size_t count = range.end - range.begin;
    RETURN_IF_ERROR(row_tables_[table]->InsertMissing(keys.keys.subspan(range.begin, count),
                                                      keys.counts.subspan(range.begin, count),
                                                      range.missing, pulled + range.begin));
  }
  std::vector<const float*>& out = rows->rows[table];
  for (size_t i = 0; i < out.size(); ++i) out[i] = reinterpret_cast<const float*>(pulled[i]);
  return OkStatus();
}

Status LocalParameters::Lookup(std::span<const TableKeys> keys, PulledRows* rows) {
  RETURN_IF_ERROR(CheckKeys(keys));
  CutIntoRanges(keys, kKeysPerPull);
  rows->rows.resize(keys.size());
  for (size_t t = 0; t < keys.size(); ++t) rows->rows[t].resize(keys[t].keys.size());
  pool_->ParallelFor(static_cast<int64_t>(ranges_.size()),
                     [&](int64_t index, int worker) { LookUpRange(&ranges_[index], keys, rows); });
  return OkStatus();
}

void LocalParameters::LookUpRange(KeyRange* range, std::span<const TableKeys> keys,
                                  PulledRows* rows) {
  const RowTable& table = *row_tables_[range->table];
  const auto wanted = keys[range->table].keys.subspan(range->begin, range->end - range->begin);
  std::vector<const char*> found(wanted.size());
  table.Find(wanted, found.data());
  if (table.spec().dense_size > 0) {
    const size_t row_bytes = static_cast<size_t>(table.layout().row_bytes());
    const size_t unknown = std::count(found.begin(), found.end(), nullptr);
    range->initial_rows.resize(unknown * row_bytes);
    char* next = range->initial_rows.data();
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i] != nullptr) continue;
      table.InitializeRow(wanted[i], next);
      found[i] = next;
      next += row_bytes;
    }
  }
  for (size_t i = 0; i < found.size(); ++i) {
    rows->rows[range->table][range->begin + i] = reinterpret_cast<const float*>(found[i]);
  }
}

std::vector<LocalParameters::TableUpdate> LocalParameters::UpdatesOf(const StepRates& rates,
                                                                     float scale) const {
  std::vector<TableUpdate> updates(specs_.size());
  for (size_t t = 0; t < specs_.size(); ++t) {
    for (const RowPart& part : specs_[t].parts) {
      updates[t].parts.push_back(
          ConstantsOf(part.optimizer, RateFactor(part.name, rates), rates.step, scale));
    }
  }
  return updates;
}

Status LocalParameters::CheckGradients(const StepRates& rates, const Gradients& gradients) const {
  if (!pulled_) {
    return MakeStatus(absl::StatusCode::kFailedPrecondition,
                      fmt::format("push step {}: nothing was pulled for it", rates.step));
  }
  if (gradients.rows.size() != specs_.size()) {
    return Error("push step {}: gradients of {} tables, wanted {}", rates.step,
                 gradients.rows.size(), specs_.size());
  }
  for (size_t t = 0; t < specs_.size(); ++t) {
    const size_t wanted = pulled_rows_[t].size() * row_tables_[t]->layout().gradient_dim();
    if (gradients.rows[t].size() != wanted) {
      return Error("push step {}: table {}: {} gradients, wanted {}", rates.step, specs_[t].name,
                   gradients.rows[t].size(), wanted);
    }
  }
  if (static_cast<int64_t>(gradients.dense.size()) != dense_.size()) {
    return Error("push step {}: {} dense gradients, wanted {}", rates.step, gradients.dense.size(),
                 dense_.size());
  }
  return OkStatus();
}

Status LocalParameters::Push(const StepRates& rates, const Gradients& gradients) {
  RETURN_IF_ERROR(CheckGradients(rates, gradients));
  const std::vector<TableUpdate> updates = UpdatesOf(rates, gradients.scale);
  std::vector<UpdateConstants> dense_updates;
  for (const DenseSpec& variable : dense_.variables()) {
    dense_updates.push_back(ConstantsOf(variable.optimizer, RateFactor(variable.variable, rates),
                                        rates.step, gradients.scale));
  }
  std::vector<KeyRange> ranges;
  for (size_t t = 0; t < specs_.size(); ++t) {
    const size_t count = pulled_rows_[t].size();
    for (size_t begin = 0; begin < count; begin += kKeysPerPush) {
      ranges.push_back({.table = static_cast<int>(t),
                        .begin = begin,
                        .end = std::min(count, begin + kKeysPerPush)});
    }
  }
  const int64_t row_ranges = static_cast<int64_t>(ranges.size());
  const int64_t dense_ranges = static_cast<int64_t>(dense_ranges_.size());
  pool_->ParallelFor(row_ranges + dense_ranges, [&](int64_t index, int worker) {
    if (index < row_ranges) {
      PushRange(ranges[index], updates[ranges[index].table], gradients);
    } else {
      const DenseBlock::Range& range = dense_ranges_[index - row_ranges];
      dense_.Update(range, dense_updates[range.variable], gradients.dense);
    }
  });
  pulled_ = false;
  step_ = rates.step;
  return OkStatus();
}

void LocalParameters::PushRange(const KeyRange& range, const TableUpdate& update,
                                const Gradients& gradients) {
  constexpr size_t kBlock = 32;  // rows whose parts are updated one after the other
  const RowLayout& layout = row_tables_[range.table]->layout();
  char* const* const rows = pulled_rows_[range.table].data();
  const int gradient_dim = layout.gradient_dim();
  for (size_t begin = range.begin; begin < range.end; begin += kBlock) {
    const size_t count = std::min(kBlock, range.end - begin);
    for (int part = 0; part < layout.part_count(); ++part) {
      const int slots = SlotCount(layout.part(part).optimizer.kind);
      UpdateRows(update.parts[part],
                 {.rows = static_cast<int64_t>(count),
                  .row = rows + begin,
                  .dim = layout.part(part).dim,
                  .weights_offset = layout.weights_offset(part),
                  .slot_offset = {slots > 0 ? layout.slot_offset(part, 0) : 0,
                                  slots > 1 ? layout.slot_offset(part, 1) : 0},
                  .gradients = gradients.rows[range.table].data() + begin * gradient_dim +
                               layout.gradient_offset(part),
                  .gradient_stride = gradient_dim,
                  .prefetch_bytes = part == 0 ? layout.row_bytes() : 0,
                  .prefetch_ahead = kRowsAhead,
                  .prefetch_rows = static_cast<int64_t>(range.end - begin)});
    }
  }
}

// Forgets a snapshot that nobody reads any more. True if there is none now.
bool LocalParameters::DropFinishedSnapshot() {
  if (snapshot_ == nullptr) return true;
  if (!snapshot_->buffer.finished()) return false;
  for (auto& table : row_tables_) table->EndCut();
  snapshot_ = nullptr;
  return true;
}

void LocalParameters::Expire(int64_t step, int64_t max_rows) {
  if (!DropFinishedSnapshot()) return;
  for (auto& table : row_tables_) {
    if (table->spec().expiry_steps <= 0) continue;
    table->BeginStep(step);
    table->Sweep(max_rows);
  }
}

StatusOr<std::unique_ptr<Snapshot>> LocalParameters::Cut(int64_t buffer_bytes) {
  if (pulled_ || !DropFinishedSnapshot()) {
    return MakeStatus(absl::StatusCode::kFailedPrecondition,
                      fmt::format("take a snapshot after step {}: {}", step_,
                                  pulled_ ? "the next one has begun" : "another one lives"));
  }
  snapshot_ = std::make_shared<SnapshotState>(buffer_bytes);
  SnapshotState& state = *snapshot_;
  state.step = step_;
  state.variables = dense_.variables();
  const std::span<const float> weights = std::as_const(dense_).weights();
  state.dense.emplace_back(weights.begin(), weights.end());
  for (int slot = 0; slot < dense_.slot_arrays(); ++slot) {
    const std::span<const float> values = dense_.slot_array(slot);
    state.dense.emplace_back(values.begin(), values.end());
  }
  state.buffer.TakeAnyway(dense_.memory_bytes());
  for (auto& table : row_tables_) state.tables.push_back(table->Cut(&state.buffer));
  return std::make_unique<Snapshot>(snapshot_);
}

void LocalParameters::SetStep(int64_t step) {
  step_ = step;
  for (auto& table : row_tables_) table->BeginStep(step);
}

int64_t LocalParameters::memory_bytes() const {
  int64_t bytes = dense_.memory_bytes();
  for (const auto& table : row_tables_) bytes += table->memory_bytes();
  return bytes;
}

int64_t LocalParameters::row_count() const {
  int64_t rows = 0;
  for (const auto& table : row_tables_) rows += table->row_count();
  return rows;
}

}  // namespace capstan
