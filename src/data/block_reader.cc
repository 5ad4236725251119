#include "data/block_reader.h"

#include <numeric>

#include "base/random.h"

namespace capstan {
namespace {
// So many records are read between looks at the stop flag.
constexpr size_t kStopInterval = 256;
}  // namespace

BlockReader::BlockReader(FileSystem& fs, const BlockReaderOptions& options)
    : permute_(options.permute), seed_(options.records.seed), walk_(fs, options.records) {}

Status BlockReader::Start(const InputPosition& position) { return walk_.Start(position); }

bool BlockReader::Next(const std::atomic<bool>& stop, RecordBlock* block) {
  if (walk_.at_end()) return false;
  block->Clear();
  block->file_order = walk_.file_order();
  block->start = walk_.position();
  for (walk_.BeginBlock(); walk_.in_block(); walk_.Advance()) {
    Add(block);
    if (block->entries.size() % kStopInterval == 0 && stop) return false;
  }
  block->ends_epoch = walk_.at_epoch_end();
  PermuteBlock(block);
  walk_.EndBlock();
  block->next = walk_.position();
  return true;
}

void BlockReader::Add(RecordBlock* block) const {
  RecordBlock::Entry entry;
  entry.file = walk_.file();
  entry.record = walk_.place().record;
  entry.offset = walk_.place().offset;
  if (walk_.damage().ok()) {
    entry.data = block->arena.Add(walk_.bytes());
    entry.size_bytes = static_cast<uint32_t>(walk_.bytes().size());
  } else {
    entry.damage = static_cast<int32_t>(block->damages.size());
    block->damages.push_back(walk_.damage());
  }
  block->entries.push_back(entry);
}

void BlockReader::PermuteBlock(RecordBlock* block) const {
  block->order.resize(block->entries.size());
  std::iota(block->order.begin(), block->order.end(), 0u);
  if (!permute_) return;
  const InputPosition& start = block->start;
  Permute(MixBits(seed_, static_cast<uint64_t>(start.epoch), static_cast<uint64_t>(start.block)),
          &block->order);
}

}  // namespace capstan
