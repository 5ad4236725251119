#include "train/unique_keys.h"

#include <algorithm>
#include <bit>

#include "base/random.h"

namespace capstan {

UniqueKeys::UniqueKeys(const Model& model) : tables_(model.tables().size()) {
  int column = 0;
  for (const FeatureSpec& feature : model.spec().input.features) {
    if (!IsCategorical(feature)) continue;
    const int table = model.table_of(column);
    if (table >= 0) tables_[table].columns.push_back(column);
    ++column;
  }
  keys_.resize(tables_.size());
  index_.resize(column);
  index_pointers_.resize(column, nullptr);
}

void UniqueKeys::Build(const Batch& batch, WorkerPool* pool) {
  const Range all{0, batch.size};
  Build(batch, {&all, 1}, pool);
}

void UniqueKeys::Build(const Batch& batch, std::span<const Range> ranges, WorkerPool* pool) {
  pool->ParallelFor(static_cast<int64_t>(tables_.size()),
                    [&](int64_t table, int) { BuildTable(batch, ranges, &tables_[table]); });
  for (size_t i = 0; i < tables_.size(); ++i) keys_[i] = {tables_[i].keys, tables_[i].counts};
  for (size_t i = 0; i < index_.size(); ++i) index_pointers_[i] = index_[i].data();
}

UniqueKeys::Range UniqueKeys::ValuesOf(const KeyColumn& column, const Range& examples) {
  if (column.offsets.empty()) return examples;
  return {static_cast<int>(column.offsets[examples.begin]),
          static_cast<int>(column.offsets[examples.end])};
}

void UniqueKeys::BuildTable(const Batch& batch, std::span<const Range> ranges, Table* table) {
  size_t values = 0;
  for (const int column : table->columns) {
    for (const Range& range : ranges) {
      const Range part = ValuesOf(batch.columns[column], range);
      values += part.end - part.begin;
    }
  }
  const size_t capacity = std::bit_ceil(std::max<size_t>(values * 2, 64));
  const int shift = 64 - std::countr_zero(capacity);
  table->slots.assign(capacity, 0);
  table->keys.clear();
  table->counts.clear();
  table->keys.reserve(values);
  table->counts.reserve(values);
  for (const int column : table->columns) {
    const std::vector<uint64_t>& keys = batch.columns[column].keys;
    std::vector<uint32_t>& index = index_[column];
    index.resize(keys.size());
    for (const Range& range : ranges) {
      const Range part = ValuesOf(batch.columns[column], range);
      for (int i = part.begin; i < part.end; ++i) {
        const uint64_t key = keys[i];
        size_t slot = MixBits(key) >> shift;
        uint32_t number;
        while ((number = table->slots[slot]) != 0 && table->keys[number - 1] != key) {
          slot = (slot + 1) & (capacity - 1);
        }
        if (number == 0) {
          table->keys.push_back(key);
          table->counts.push_back(0);
          number = static_cast<uint32_t>(table->keys.size());
          table->slots[slot] = number;
        }
        ++table->counts[number - 1];
        index[i] = number - 1;
      }
    }
  }
}

}  // namespace capstan
