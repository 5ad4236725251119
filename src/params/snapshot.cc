#include "params/snapshot.h"

namespace capstan {
namespace {

// Calls visit(rows of a chunk that hold something and had not expired at the cut).
Status ReadChunks(ArenaCut* cut, int64_t step, int64_t expiry_steps,
                  const Snapshot::RowSink& visit) {
  const int row_bytes = cut->row_bytes();
  std::vector<char> chunk(static_cast<size_t>(row_bytes) * ArenaCut::kChunkRows);
  std::vector<const char*> alive;
  while (const int64_t rows = cut->ReadChunk(chunk.data())) {
    alive.clear();
    for (int64_t i = 0; i < rows; ++i) {
      const char* const row = chunk.data() + i * row_bytes;
      const uint32_t last_step = RowLayout::LastStep(row);
      if (last_step == RowArena::kFreeStep) continue;
      if (expiry_steps > 0 && step - last_step > expiry_steps) continue;
      alive.push_back(row);
    }
    if (!alive.empty()) RETURN_IF_ERROR(visit(alive));
  }
  return OkStatus();
}

}  // namespace

Status Snapshot::ReadRows(int table, const RowSink& sink) {
  const TableCut& cut = state_->tables[table];
  return ReadChunks(cut.rows.get(), cut.step, cut.expiry_steps, sink);
}

Status Snapshot::ReadFiltered(int table, const FilteredSink& sink) {
  const TableCut& cut = state_->tables[table];
  if (cut.filtered == nullptr) return OkStatus();
  std::vector<uint64_t> keys;
  std::vector<uint32_t> counts, last_steps;
  return ReadChunks(cut.filtered.get(), cut.step, cut.expiry_steps,
                    [&](std::span<const char* const> rows) {
                      keys.clear();
                      counts.clear();
                      last_steps.clear();
                      for (const char* row : rows) {
                        keys.push_back(RowLayout::Key(row));
                        counts.push_back(RowLayout::Count(row));
                        last_steps.push_back(RowLayout::LastStep(row));
                      }
                      return sink(keys, counts, last_steps);
                    });
}

std::span<const float> Snapshot::dense_slot(int variable, int slot) const {
  const DenseSpec& spec = state_->variables[variable];
  return std::span<const float>(state_->dense[slot + 1]).subspan(spec.offset, DenseSlotSize(spec));
}

}  // namespace capstan
