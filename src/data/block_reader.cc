#include "data/block_reader.h"

#include <numeric>

#include "base/random.h"

namespace capstan {
namespace {

constexpr size_t kBlockBytes = size_t{128} << 20;
// So many records are read between looks at the stop flag.
constexpr size_t kStopInterval = 256;
// Stands for a block number where the files of an epoch are permuted.
constexpr uint64_t kFilesOfEpoch = ~uint64_t{0};

void Shuffle(uint64_t seed, std::vector<uint32_t>* order) {
  RandomStream random(seed);
  for (size_t i = order->size(); i > 1; --i) {
    std::swap((*order)[i - 1], (*order)[random.Below(i)]);
  }
}

}  // namespace

BlockReader::BlockReader(FileSystem& fs, const BlockReaderOptions& options)
    : fs_(fs), options_(options) {}

Status BlockReader::Start(const InputPosition& position) {
  epoch_ = position.epoch;
  block_ = position.block;
  BeginEpoch();
  const bool fits = position.epoch >= 0 && position.block >= 0 && position.record >= 0 &&
                    position.offset >= 0 && position.file >= 0 &&
                    position.file < static_cast<int64_t>(file_order_.size());
  if (!fits) {
    return Error("read on at file {} of {}, record {}: there is no such place", position.file,
                 file_order_.size(), position.record);
  }
  file_ = position.file;
  if (epoch_ >= options_.epochs) return OkStatus();
  if (position.offset > 0) {
    ASSIGN_OR_RETURN(reader_, OpenRecordReader(fs_, Path(), options_.format.format));
    const Status status = reader_->Seek({position.record, static_cast<uint64_t>(position.offset)});
    if (!status.ok()) return Annotate(status, "read on where a run before stopped");
    fresh_file_ = false;
  }
  has_pending_ = Fetch();
  return OkStatus();
}

bool BlockReader::Next(const std::atomic<bool>& stop, RecordBlock* block) {
  if (epoch_ >= options_.epochs) return false;
  block->Clear();
  block->file_order = file_order_;
  block->start = Here();
  const auto wanted = static_cast<size_t>(options_.block_records);
  while (has_pending_ && block->entries.size() < wanted &&
         block->arena.size_bytes() < kBlockBytes) {
    Add(block);
    has_pending_ = Fetch();
    if (block->entries.size() % kStopInterval == 0 && stop) return false;
  }
  block->ends_epoch = !has_pending_;
  Permute(block);
  if (block->ends_epoch) {
    ++epoch_;
    block_ = 0;
    BeginEpoch();
    if (epoch_ < options_.epochs) has_pending_ = Fetch();
  } else if (options_.permute) {
    ++block_;
  }
  block->next = Here();
  return true;
}

void BlockReader::BeginEpoch() {
  file_order_.resize(options_.paths.size());
  std::iota(file_order_.begin(), file_order_.end(), 0u);
  if (options_.permute) {
    Shuffle(MixBits(options_.seed, static_cast<uint64_t>(epoch_), kFilesOfEpoch), &file_order_);
  }
  file_ = 0;
  reader_ = nullptr;
}

const std::string& BlockReader::Path() const { return options_.paths[file_order_[file_]]; }

// The next record, or damage, of the epoch into pending_; false at its end.
bool BlockReader::Fetch() {
  for (; file_ < file_order_.size(); ++file_, reader_ = nullptr) {
    pending_file_ = file_;
    if (FetchFromFile()) return true;
  }
  return false;
}

bool BlockReader::FetchFromFile() {
  if (reader_ == nullptr) {
    const Status status = OpenFile();
    if (!status.ok()) {
      pending_place_ = RecordPlace();
      SetDamage(status);
      return true;
    }
  }
  const StatusOr<bool> more = reader_->Next(&pending_);
  pending_place_ = reader_->place();
  if (!more.ok()) {
    fresh_file_ = false;
    const bool lost = !reader_->can_continue();
    const Status damage = more.status();
    if (lost) {
      SetDamage(damage);
    } else {
      pending_damage_ = damage;
    }
    return true;
  }
  if (*more) {
    fresh_file_ = false;
    pending_damage_ = OkStatus();
    return true;
  }
  if (!fresh_file_) return false;
  pending_place_ = RecordPlace();
  SetDamage(Error("read {}: has no records", Path()));
  return true;
}

// The pending entry is damage, and the file is done with.
void BlockReader::SetDamage(const Status& damage) {
  pending_damage_ = damage;
  reader_ = nullptr;
  ++file_;
}

Status BlockReader::OpenFile() {
  ASSIGN_OR_RETURN(reader_, OpenRecordReader(fs_, Path(), options_.format.format));
  fresh_file_ = true;
  const std::string& header = options_.format.header;
  if (header.empty()) return OkStatus();
  std::string_view line;
  ASSIGN_OR_RETURN(const bool more, reader_->Next(&line));
  if (!more || line == header) return OkStatus();
  return Error("read {} at line {}: the header is '{}', wanted '{}' as in {}", Path(),
               reader_->place().record + 1, line.substr(0, 80), header.substr(0, 80),
               options_.paths[0]);
}

// Where the pending record is.
InputPosition BlockReader::Here() const {
  InputPosition position;
  position.epoch = epoch_;
  position.block = block_;
  if (epoch_ >= options_.epochs || !has_pending_) return position;
  position.file = static_cast<int64_t>(pending_file_);
  position.record = pending_place_.record;
  position.offset = static_cast<int64_t>(pending_place_.offset);
  return position;
}

void BlockReader::Add(RecordBlock* block) {
  RecordBlock::Entry entry;
  entry.file = static_cast<uint32_t>(pending_file_);
  entry.record = pending_place_.record;
  entry.offset = pending_place_.offset;
  if (pending_damage_.ok()) {
    entry.data = block->arena.Add(pending_);
    entry.size_bytes = static_cast<uint32_t>(pending_.size());
  } else {
    entry.damage = static_cast<int32_t>(block->damages.size());
    block->damages.push_back(pending_damage_);
  }
  block->entries.push_back(entry);
}

void BlockReader::Permute(RecordBlock* block) const {
  block->order.resize(block->entries.size());
  std::iota(block->order.begin(), block->order.end(), 0u);
  if (!options_.permute) return;
  const InputPosition& start = block->start;
  Shuffle(MixBits(options_.seed, static_cast<uint64_t>(start.epoch),
                  static_cast<uint64_t>(start.block)),
          &block->order);
}

}  // namespace capstan
