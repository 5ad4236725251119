#include "ps/memory_checkpoints.h"

#include <algorithm>
#include <cstring>
#include <memory>

namespace capstan {
namespace {

int64_t RowSize(const DenseSpec& variable) {
  return variable.shape.empty() ? 1 : std::max<int64_t>(1, variable.shape.back());
}

// Where a piece's slot begins in the whole variable's.
int64_t SlotStart(const DenseSpec& piece) {
  return IsRowWise(piece.optimizer.kind) ? piece.first_element / RowSize(piece)
                                         : piece.first_element;
}

std::string SlotKey(const DenseSpec& piece, int slot) {
  return piece.variable + "/" + std::to_string(slot);
}

}  // namespace

ParameterServer::Storage MemoryCheckpoints::StorageOf(int server, int servers) {
  const auto sharding = std::make_shared<const Sharding>(tables_, dense_, servers);
  ParameterServer::Storage storage;
  storage.restore = [this, server, sharding](const std::string& prefix, LocalParameters* parameters,
                                             int64_t* step, std::vector<LeaseMark>* marks) {
    return Restore(prefix, server, *sharding, parameters, step, marks);
  };
  storage.write = [this, server, sharding](
                      const std::string& prefix, int64_t step, const std::vector<LeaseMark>& marks,
                      std::unique_ptr<Snapshot> snapshot) -> StatusOr<std::string> {
    RETURN_IF_ERROR(Write(prefix, DensePieceSpecs(*sharding, server, dense_), snapshot.get()));
    MutexLock lock(&mutex_);
    checkpoints_[prefix].marks[server] = marks;
    checkpoints_[prefix].steps[server] = step;
    return prefix + ".part" + std::to_string(server);
  };
  return storage;
}

Status MemoryCheckpoints::Write(const std::string& prefix, const std::vector<DenseSpec>& pieces,
                                Snapshot* snapshot) {
  MutexLock lock(&mutex_);
  CheckpointContents& contents = checkpoints_[prefix].contents;
  contents.step = snapshot->step();
  contents.rows.resize(tables_.size());
  contents.filtered.resize(tables_.size());
  for (size_t t = 0; t < tables_.size(); ++t) {
    const RowLayout layout(tables_[t].parts);
    // Padding is whatever it was.
    int used = RowLayout::kHeaderBytes;
    for (int part = 0; part < layout.part_count(); ++part) {
      const RowPart& row_part = layout.part(part);
      used += row_part.dim * 4;
      for (int slot = 0; slot < SlotCount(row_part.optimizer.kind); ++slot) {
        used += (IsRowWise(row_part.optimizer.kind) ? 1 : row_part.dim) * 4;
      }
    }
    RETURN_IF_ERROR(snapshot->ReadRows(static_cast<int>(t), [&](std::span<const char* const> rows) {
      for (const char* row : rows) {
        contents.rows[t][RowLayout::Key(row)] = std::string(row, static_cast<size_t>(used));
      }
      return OkStatus();
    }));
    RETURN_IF_ERROR(snapshot->ReadFiltered(
        static_cast<int>(t), [&](std::span<const uint64_t> keys, std::span<const uint32_t> counts,
                                 std::span<const uint32_t> steps) {
          for (size_t i = 0; i < keys.size(); ++i) {
            contents.filtered[t][keys[i]] = {counts[i], steps[i]};
          }
          return OkStatus();
        }));
  }
  const auto copy = [&](const std::string& key, int64_t start, std::span<const float> values) {
    std::vector<float>& whole = contents.dense[key];
    whole.resize(std::max(whole.size(), start + values.size()));
    std::copy(values.begin(), values.end(), whole.begin() + start);
  };
  for (size_t v = 0; v < pieces.size(); ++v) {
    const DenseSpec& piece = pieces[v];
    copy(piece.variable, piece.first_element,
         snapshot->dense().subspan(piece.offset, ElementCount(piece.shape)));
    if (!piece.trainable) continue;
    for (int slot = 0; slot < SlotCount(piece.optimizer.kind); ++slot) {
      copy(SlotKey(piece, slot), SlotStart(piece), snapshot->dense_slot(static_cast<int>(v), slot));
    }
  }
  return OkStatus();
}

Status MemoryCheckpoints::Restore(const std::string& prefix, int server, const Sharding& sharding,
                                  LocalParameters* parameters, int64_t* step,
                                  std::vector<LeaseMark>* marks) {
  MutexLock lock(&mutex_);
  if (!checkpoints_.contains(prefix)) return NotFoundError("restore {}: there is none", prefix);
  const Checkpoint& checkpoint = checkpoints_[prefix];
  const CheckpointContents& contents = checkpoint.contents;
  const auto own_step = checkpoint.steps.find(server);
  *step = own_step == checkpoint.steps.end() ? contents.step : own_step->second;
  const auto own = checkpoint.marks.find(server);
  if (own != checkpoint.marks.end()) *marks = own->second;
  for (size_t t = 0; t < tables_.size(); ++t) {
    RowTable& table = parameters->table(static_cast<int>(t));
    for (const auto& [key, bytes] : contents.rows[t]) {
      if (sharding.ServerOf(static_cast<int>(t), key) != server) continue;
      ASSIGN_OR_RETURN(char* const row, table.Insert(key, RowLayout::Count(bytes.data()),
                                                     RowLayout::LastStep(bytes.data())));
      std::memcpy(row, bytes.data(), bytes.size());
    }
    for (const auto& [key, seen] : contents.filtered[t]) {
      if (sharding.ServerOf(static_cast<int>(t), key) != server) continue;
      RETURN_IF_ERROR(table.InsertFiltered(key, seen.first, seen.second));
    }
  }
  DenseBlock& block = parameters->dense_block();
  for (size_t v = 0; v < block.variables().size(); ++v) {
    const DenseSpec& piece = block.variables()[v];
    const float* from = contents.dense.at(piece.variable).data() + piece.first_element;
    std::copy(from, from + ElementCount(piece.shape), block.weights().data() + piece.offset);
    if (!piece.trainable) continue;
    for (int slot = 0; slot < SlotCount(piece.optimizer.kind); ++slot) {
      const std::span<float> to = block.slot(static_cast<int>(v), slot);
      from = contents.dense.at(SlotKey(piece, slot)).data() + SlotStart(piece);
      std::copy(from, from + to.size(), to.data());
    }
  }
  return OkStatus();
}

void MemoryCheckpoints::Add(const std::string& prefix, const CheckpointContents& contents) {
  MutexLock lock(&mutex_);
  checkpoints_[prefix].contents = contents;
}

CheckpointContents MemoryCheckpoints::Contents(const std::string& prefix) {
  MutexLock lock(&mutex_);
  return checkpoints_[prefix].contents;
}

std::vector<LeaseMark> MemoryCheckpoints::MarksOf(const std::string& prefix, int server) {
  MutexLock lock(&mutex_);
  return checkpoints_[prefix].marks[server];
}

}  // namespace capstan
