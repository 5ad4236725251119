#include "data/record_walk.h"

#include <numeric>

#include "base/random.h"
#include "data/record_skimmer.h"

namespace capstan {
namespace {

constexpr uint64_t kBlockBytes = uint64_t{128} << 20;
// Stands for a block number where the files of an epoch are permuted.
constexpr uint64_t kFilesOfEpoch = ~uint64_t{0};

}  // namespace

void Permute(uint64_t seed, std::vector<uint32_t>* order) {
  RandomStream random(seed);
  for (size_t i = order->size(); i > 1; --i) {
    std::swap((*order)[i - 1], (*order)[random.Below(i)]);
  }
}

RecordWalk::RecordWalk(FileSystem& fs, const RecordWalkOptions& options)
    : fs_(fs), options_(options) {}

Status RecordWalk::Start(const InputPosition& position) {
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
  if (at_end()) return OkStatus();
  if (position.offset > 0) {
    RETURN_IF_ERROR(OpenFile());
    const Status status = reader_->Seek({position.record, static_cast<uint64_t>(position.offset)});
    if (!status.ok()) return Annotate(status, "read on where a run before stopped");
    fresh_file_ = false;
  }
  has_record_ = Fetch();
  return OkStatus();
}

InputPosition RecordWalk::position() const {
  InputPosition position;
  position.epoch = epoch_;
  position.block = block_;
  if (at_end() || !has_record_) return position;
  position.file = static_cast<int64_t>(record_file_);
  position.record = place_.record;
  position.offset = static_cast<int64_t>(place_.offset);
  return position;
}

void RecordWalk::BeginBlock() {
  block_records_ = 0;
  block_bytes_ = 0;
}

bool RecordWalk::in_block() const {
  return has_record_ && block_records_ < options_.block_records && block_bytes_ < kBlockBytes;
}

void RecordWalk::EndBlock() {
  if (!at_epoch_end()) {
    if (options_.number_blocks) ++block_;
    return;
  }
  ++epoch_;
  block_ = 0;
  BeginEpoch();
  if (!at_end()) has_record_ = Fetch();
}

void RecordWalk::Advance() {
  ++block_records_;
  block_bytes_ += size_bytes_;
  has_record_ = Fetch();
}

void RecordWalk::BeginEpoch() {
  file_order_.resize(options_.paths.size());
  std::iota(file_order_.begin(), file_order_.end(), 0u);
  if (options_.permute_files) {
    Permute(MixBits(options_.seed, static_cast<uint64_t>(epoch_), kFilesOfEpoch), &file_order_);
  }
  file_ = 0;
  reader_ = nullptr;
}

const std::string& RecordWalk::Path() const { return options_.paths[file_order_[file_]]; }

// The next record, or damage; false at the end of the epoch.
bool RecordWalk::Fetch() {
  for (; file_ < file_order_.size(); ++file_, reader_ = nullptr) {
    record_file_ = file_;
    if (FetchFromFile()) return true;
  }
  return false;
}

bool RecordWalk::FetchFromFile() {
  if (reader_ == nullptr) {
    const Status status = OpenFile();
    if (!status.ok()) {
      place_ = RecordPlace();
      LoseFile(status);
      return true;
    }
  }
  const StatusOr<bool> more = reader_->Next(&bytes_);
  place_ = reader_->place();
  if (!more.ok()) {
    fresh_file_ = false;
    if (reader_->can_continue()) {
      damage_ = more.status();
      size_bytes_ = reader_->size_bytes();
    } else {
      LoseFile(more.status());
    }
    return true;
  }
  if (*more) {
    fresh_file_ = false;
    damage_ = OkStatus();
    size_bytes_ = reader_->size_bytes();
    return true;
  }
  if (!fresh_file_) return false;
  place_ = RecordPlace();
  LoseFile(Error("read {}: has no records", Path()));
  return true;
}

// The record is damage, and the file is done with.
void RecordWalk::LoseFile(const Status& damage) {
  damage_ = damage;
  size_bytes_ = 0;
  reader_ = nullptr;
  ++file_;
}

Status RecordWalk::OpenFile() {
  const RecordFormat format = options_.format.format;
  if (options_.skim) {
    ASSIGN_OR_RETURN(reader_, OpenRecordSkimmer(fs_, Path(), format));
  } else {
    ASSIGN_OR_RETURN(reader_, OpenRecordReader(fs_, Path(), format));
  }
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

}  // namespace capstan
