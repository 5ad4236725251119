// The distinct keys of a batch, table by table: what is pulled and pushed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/worker_pool.h"
#include "data/batch.h"
#include "model/model.h"
#include "params/parameters.h"

namespace capstan {

// Keys are numbered in the order of their first appearance: columns of the table in feature order,
// values in example order. Memory is kept from batch to batch. One builder, one thread (the pool
// helps).
class UniqueKeys {
 public:
  explicit UniqueKeys(const Model& model);

  // Of all examples, or of those in some ranges; index() holds nothing for the others.
  struct Range {
    int begin = 0, end = 0;  // examples
  };
  void Build(const Batch& batch, WorkerPool* pool);
  void Build(const Batch& batch, std::span<const Range> ranges, WorkerPool* pool);

  // [table]; valid until the next Build.
  std::span<const TableKeys> tables() const { return keys_; }
  // [categorical feature]: for each of its values the index of its key in the table's keys
  const std::vector<const uint32_t*>& index() const { return index_pointers_; }

  // The values of a column that belong to some examples.
  static Range ValuesOf(const KeyColumn& column, const Range& examples);

 private:
  struct Table {
    std::vector<int> columns;
    std::vector<uint64_t> keys;
    std::vector<uint32_t> counts;
    std::vector<uint32_t> slots;  // open addressing: number of the key + 1, 0 is free
  };
  void BuildTable(const Batch& batch, std::span<const Range> ranges, Table* table);

  std::vector<Table> tables_;
  std::vector<TableKeys> keys_;
  std::vector<std::vector<uint32_t>> index_;
  std::vector<const uint32_t*> index_pointers_;
};

}  // namespace capstan
