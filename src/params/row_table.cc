#include "params/row_table.h"

#include <algorithm>

#include "params/initial_values.h"

namespace capstan {
namespace {
constexpr size_t kBatch = 64;
}

RowTable::RowTable(const TableSpec& spec, uint64_t seed) : spec_(spec), layout_(spec.parts) {
  int end = RowLayout::kHeaderBytes;
  for (int part = 0; part < layout_.part_count(); ++part) {
    streams_.push_back(ValueStream(seed, spec.name, layout_.part(part).name));
    const int floats = layout_.weights_offset(part) + layout_.part(part).dim;
    end = std::max(end, floats * static_cast<int>(sizeof(float)));
  }
  weights_bytes_ = end;
}

StatusOr<std::unique_ptr<RowTable>> RowTable::Create(const TableSpec& spec, uint64_t seed) {
  std::unique_ptr<RowTable> table(new RowTable(spec, seed));
  auto rows = KeyedRows::Create(table->layout_.row_bytes(), spec.expiry_steps);
  if (!rows.ok()) return Annotate(rows.status(), "make table " + spec.name);
  table->rows_ = std::move(rows).value();
  if (spec.admission_count > 1) {
    auto filtered = KeyedRows::Create(RowLayout::kHeaderBytes, spec.expiry_steps);
    if (!filtered.ok()) return Annotate(filtered.status(), "make table " + spec.name);
    table->filtered_ = std::move(filtered).value();
  }
  return table;
}

void RowTable::BeginStep(int64_t step) {
  rows_->BeginStep(RowStep(step));
  if (filtered_ != nullptr) filtered_->BeginStep(RowStep(step));
}

Status RowTable::FindOrInsert(std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                              int64_t step, char** rows) {
  BeginStep(step);
  std::vector<uint32_t> missing;
  FindAndCount(keys, counts, rows, &missing);
  return InsertMissing(keys, counts, missing, rows);
}

void RowTable::FindAndCount(std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                            char** rows, std::vector<uint32_t>* missing) {
  uint32_t found[kBatch];
  for (size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, keys.size() - begin);
    rows_->FindBatch(keys.subspan(begin, count), weights_bytes_, found);
    size_t seen = 0;
    for (size_t i = 0; i < count; ++i) {
      rows[begin + i] = nullptr;
      if (found[i] == RowArena::kNoRow || rows_->Expired(found[i])) {
        missing->push_back(static_cast<uint32_t>(begin + i));
        continue;
      }
      rows[begin + i] = rows_->Address(found[i]);
      found[seen++] = found[i];
    }
    rows_->Preserve({found, seen});
    seen = 0;
    for (size_t i = 0; i < count; ++i) {
      if (rows[begin + i] != nullptr) rows_->Seen(found[seen++], counts[begin + i]);
    }
  }
}

Status RowTable::InsertMissing(std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                               std::span<const uint32_t> missing, char** rows) {
  if (filtered_ != nullptr) {
    missing_keys_.clear();
    for (const uint32_t i : missing) missing_keys_.push_back(keys[i]);
    missing_rows_.resize(missing.size());
    filtered_->FindBatch(missing_keys_, RowLayout::kHeaderBytes, missing_rows_.data());
  }
  for (size_t m = 0; m < missing.size(); ++m) {
    const uint32_t i = missing[m];
    if (filtered_ == nullptr) {
      ASSIGN_OR_RETURN(rows[i], AddRow(keys[i], counts[i], RowStep(rows_->step())));
    } else {
      ASSIGN_OR_RETURN(rows[i], CountOrAdmit(keys[i], counts[i], missing_rows_[m]));
    }
  }
  return OkStatus();
}

// The new row, or null while the key was seen too seldom.
StatusOr<char*> RowTable::CountOrAdmit(uint64_t key, uint32_t count, uint32_t filter_row) {
  const bool known = filter_row != RowArena::kNoRow && !filtered_->Expired(filter_row);
  const uint32_t earlier = known ? RowLayout::Count(filtered_->Address(filter_row)) : 0;
  const uint32_t now = RowStep(rows_->step());
  if (earlier >= spec_.admission_count) {
    filtered_->Remove(filter_row);
    const uint64_t total = uint64_t{earlier} + count;
    return AddRow(key, static_cast<uint32_t>(std::min<uint64_t>(total, 0xffffffffu)), now);
  }
  if (known) {
    filtered_->Preserve({&filter_row, 1});
    filtered_->Seen(filter_row, count);
    return nullptr;
  }
  RETURN_IF_ERROR(filtered_->Add(key, count, now).status());
  return nullptr;
}

Status RowTable::CheckId(uint64_t key) const {
  if (spec_.dense_size > 0 && key >= static_cast<uint64_t>(spec_.dense_size)) {
    return Error("table {}: id {}, wanted one below {}", spec_.name, key, spec_.dense_size);
  }
  return OkStatus();
}

StatusOr<char*> RowTable::AddRow(uint64_t key, uint32_t count, uint32_t last_step) {
  RETURN_IF_ERROR(CheckId(key));
  ASSIGN_OR_RETURN(const uint32_t row, rows_->Add(key, count, last_step));
  char* const address = rows_->Address(row);
  InitializeRow(key, address);
  return address;
}

void RowTable::InitializeRow(uint64_t key, char* row) const {
  float* const floats = reinterpret_cast<float*>(row);
  for (int p = 0; p < layout_.part_count(); ++p) {
    const RowPart& part = layout_.part(p);
    FillInitialValues(part.initializer, MixBits(streams_[p], key), 0,
                      {floats + layout_.weights_offset(p), static_cast<size_t>(part.dim)});
    for (int slot = 0; slot < SlotCount(part.optimizer.kind); ++slot) {
      const int count = IsRowWise(part.optimizer.kind) ? 1 : part.dim;
      std::fill_n(floats + layout_.slot_offset(p, slot), count,
                  InitialSlotValue(part.optimizer, slot));
    }
  }
}

void RowTable::Find(std::span<const uint64_t> keys, const char** rows) const {
  uint32_t found[kBatch];
  for (size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, keys.size() - begin);
    rows_->FindBatch(keys.subspan(begin, count), weights_bytes_, found);
    for (size_t i = 0; i < count; ++i) {
      const bool alive = found[i] != RowArena::kNoRow && !rows_->Expired(found[i]);
      rows[begin + i] = alive ? rows_->Address(found[i]) : nullptr;
    }
  }
}

Status RowTable::Peek(std::span<const uint64_t> keys, int64_t step, std::vector<char>* made,
                      const char** rows) const {
  const int64_t now = RowStep(step);
  uint32_t found[kBatch];
  std::vector<uint32_t> missing, admitted;
  for (size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, keys.size() - begin);
    rows_->FindBatch(keys.subspan(begin, count), weights_bytes_, found);
    for (size_t i = 0; i < count; ++i) {
      const bool alive = found[i] != RowArena::kNoRow && !rows_->ExpiredAt(found[i], now);
      rows[begin + i] = alive ? rows_->Address(found[i]) : nullptr;
      if (!alive) missing.push_back(static_cast<uint32_t>(begin + i));
    }
  }
  if (filtered_ != nullptr) {
    PeekFilter(keys, missing, now, &admitted);
    missing.swap(admitted);
  }
  const size_t row_bytes = static_cast<size_t>(layout_.row_bytes());
  made->resize(missing.size() * row_bytes);
  for (size_t m = 0; m < missing.size(); ++m) {
    const uint64_t key = keys[missing[m]];
    RETURN_IF_ERROR(CheckId(key));
    InitializeRow(key, made->data() + m * row_bytes);
    rows[missing[m]] = made->data() + m * row_bytes;
  }
  return OkStatus();
}

// Those of `missing` that have been counted often enough.
void RowTable::PeekFilter(std::span<const uint64_t> keys, std::span<const uint32_t> missing,
                          int64_t step, std::vector<uint32_t>* admitted) const {
  uint64_t wanted[kBatch];
  uint32_t found[kBatch];
  for (size_t begin = 0; begin < missing.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, missing.size() - begin);
    for (size_t i = 0; i < count; ++i) wanted[i] = keys[missing[begin + i]];
    filtered_->FindBatch({wanted, count}, RowLayout::kHeaderBytes, found);
    for (size_t i = 0; i < count; ++i) {
      if (found[i] == RowArena::kNoRow || filtered_->ExpiredAt(found[i], step)) continue;
      const char* const header = filtered_->Address(found[i]);
      if (RowLayout::Count(header) < spec_.admission_count) continue;
      admitted->push_back(missing[begin + i]);
    }
  }
}

Status RowTable::InsertBatch(std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                             std::span<const int64_t> last_steps, char** rows) {
  uint32_t found[kBatch];
  for (size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, keys.size() - begin);
    // Brings the places of the index here; a key that comes twice in the batch is found below.
    rows_->FindBatch(keys.subspan(begin, count), 0, found);
    for (size_t i = begin; i < begin + count; ++i) {
      ASSIGN_OR_RETURN(char* const row, Insert(keys[i], counts[i], last_steps[i]));
      if (rows != nullptr) rows[i] = row;
    }
  }
  return OkStatus();
}

StatusOr<char*> RowTable::Insert(uint64_t key, uint32_t count, int64_t last_step) {
  const uint32_t row = rows_->Find(key);
  if (row != RowArena::kNoRow) return Error("table {}: key {} comes twice", spec_.name, key);
  return AddRow(key, count, RowStep(last_step));
}

Status RowTable::InsertFiltered(uint64_t key, uint32_t count, int64_t last_step) {
  if (filtered_ == nullptr) return OkStatus();  // the table admits everything now
  if (filtered_->Find(key) != RowArena::kNoRow) {
    return Error("table {}: filtered key {} comes twice", spec_.name, key);
  }
  return filtered_->Add(key, count, RowStep(last_step)).status();
}

void RowTable::Sweep(int64_t max_rows) {
  rows_->Sweep(max_rows);
  if (filtered_ != nullptr) filtered_->Sweep(max_rows);
}

void RowTable::ForEachRow(const std::function<void(const char* row)>& visit) const {
  for (uint32_t row = 0; row < rows_->limit(); ++row) {
    if (rows_->IsAlive(row)) visit(rows_->Address(row));
  }
}

int64_t RowTable::memory_bytes() const {
  return rows_->memory_bytes() + (filtered_ == nullptr ? 0 : filtered_->memory_bytes());
}

TableCut RowTable::Cut(SnapshotBuffer* buffer) {
  TableCut cut;
  cut.rows = rows_->Cut(buffer);
  cut.row_count = row_count();
  cut.step = rows_->step();
  cut.expiry_steps = rows_->expires() ? spec_.expiry_steps : 0;
  if (filtered_ != nullptr) {
    cut.filtered = filtered_->Cut(buffer);
    cut.filtered_count = filtered_count();
  }
  return cut;
}

void RowTable::EndCut() {
  rows_->EndCut();
  if (filtered_ != nullptr) filtered_->EndCut();
}

}  // namespace capstan
