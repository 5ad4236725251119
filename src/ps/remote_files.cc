#include "ps/remote_files.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace capstan {
namespace {

constexpr uint64_t kReadBytes = 2 << 20;   // a chunk
constexpr uint64_t kWriteBytes = 2 << 20;  // are put together to one request
constexpr size_t kChunksKept = 4;

ServerCallsOptions CallsOf(const RemoteFilesOptions& options,
                           std::chrono::milliseconds peer_timeout) {
  return {.servers = {options.chief},
          .names = {"the chief"},
          .call_timeout = peer_timeout / 2,
          .peer_timeout = peer_timeout,
          .retry_delay = options.retry_delay};
}

Status Refusal(const std::string& what, const std::string& path) {
  return Error("{} {}: the chief's folder is not for this", what, path);
}

}  // namespace

// Chunks that were read last, and the next one on its way.
class RemoteFiles::Reader : public ReadableFile {
 public:
  Reader(RemoteFiles* files, std::string path, uint64_t size_bytes)
      : files_(files), path_(std::move(path)), size_bytes_(size_bytes) {}

  StatusOr<size_t> Read(uint64_t offset, size_t size_bytes, char* buffer) const override {
    if (offset >= size_bytes_) return size_t{0};
    const size_t wanted = std::min<uint64_t>(size_bytes, size_bytes_ - offset);
    MutexLock lock(&mutex_);
    for (size_t done = 0; done < wanted;) {
      const uint64_t at = offset + done;
      ASSIGN_OR_RETURN(const std::string* chunk, ChunkOf(at / kReadBytes));
      const uint64_t within = at % kReadBytes;
      if (within >= chunk->size()) return done;
      const size_t n = std::min<uint64_t>(wanted - done, chunk->size() - within);
      std::memcpy(buffer + done, chunk->data() + within, n);
      done += n;
    }
    return wanted;
  }
  uint64_t size_bytes() const override { return size_bytes_; }
  const std::string& path() const override { return path_; }

 private:
  struct Chunk {
    uint64_t number = ~uint64_t{0};
    std::string bytes;
  };

  std::shared_ptr<ServerCalls::Round> Ask(uint64_t number) const {
    FileRequest request = files_->NewRequest(FileOp::kRead, path_);
    request.offset = number * kReadBytes;
    request.size_bytes = kReadBytes;
    return files_->Start(request);
  }

  StatusOr<const std::string*> ChunkOf(uint64_t number) const REQUIRES(mutex_) {
    for (Chunk& chunk : chunks_) {
      if (chunk.number == number) return &chunk.bytes;
    }
    std::shared_ptr<ServerCalls::Round> round;
    if (number == next_) round = std::exchange(next_round_, nullptr);
    const bool is_sequence = round != nullptr || number == 0 || number == last_ + 1;
    if (round == nullptr) round = Ask(number);
    if (is_sequence && (number + 1) * kReadBytes < size_bytes_) {
      next_ = number + 1;
      next_round_ = Ask(next_);
    }
    ASSIGN_OR_RETURN(const std::string bytes, files_->Wait(round.get()));
    ASSIGN_OR_RETURN(const FileAnswer answer, FileAnswer::Decode(bytes));
    const uint64_t expected = std::min(kReadBytes, size_bytes_ - number * kReadBytes);
    if (answer.file_bytes != size_bytes_ || answer.bytes.size() != expected) {
      return CorruptionError("read {} of the chief at offset {}: the file has changed", path_,
                             number * kReadBytes);
    }
    last_ = number;
    Chunk& chunk = chunks_[oldest_];
    oldest_ = (oldest_ + 1) % kChunksKept;
    chunk.number = number;
    chunk.bytes.assign(answer.bytes);
    return &chunk.bytes;
  }

  RemoteFiles* const files_;
  const std::string path_;
  const uint64_t size_bytes_;
  mutable Mutex mutex_;
  mutable std::array<Chunk, kChunksKept> chunks_ GUARDED_BY(mutex_);
  mutable size_t oldest_ GUARDED_BY(mutex_) = 0;
  mutable uint64_t last_ GUARDED_BY(mutex_) = 0, next_ GUARDED_BY(mutex_) = 0;
  mutable std::shared_ptr<ServerCalls::Round> next_round_ GUARDED_BY(mutex_);
};

class RemoteFiles::Writer : public WritableFile {
 public:
  Writer(RemoteFiles* files, std::string path) : files_(files), path_(std::move(path)) {}

  Status Append(std::string_view bytes) override {
    RETURN_IF_ERROR(WriteAt(end_, bytes));
    end_ += bytes.size();
    return OkStatus();
  }
  Status WriteAt(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const std::string_view piece = bytes.substr(0, kWriteBytes);
      if (pending_bytes_ + piece.size() > kWriteBytes) RETURN_IF_ERROR(Flush());
      if (!pieces_.empty() && pieces_.back().first + pieces_.back().second.size() == offset) {
        pieces_.back().second.append(piece);
      } else {
        pieces_.emplace_back(offset, piece);
      }
      pending_bytes_ += piece.size();
      offset += piece.size();
      bytes.remove_prefix(piece.size());
    }
    return OkStatus();
  }
  Status Flush() override {
    if (pieces_.empty()) return OkStatus();
    FileRequest request = files_->NewRequest(FileOp::kWrite, path_);
    for (const auto& [offset, bytes] : pieces_) request.pieces.push_back({offset, bytes});
    const Status status = files_->Change(std::move(request));
    pieces_.clear();
    pending_bytes_ = 0;
    return status;
  }
  Status Sync() override {
    RETURN_IF_ERROR(Flush());
    return files_->Change(files_->NewRequest(FileOp::kSync, path_));
  }
  Status Close() override {
    RETURN_IF_ERROR(Flush());
    return files_->Change(files_->NewRequest(FileOp::kClose, path_));
  }
  const std::string& path() const override { return path_; }

 private:
  RemoteFiles* const files_;
  const std::string path_;
  std::vector<std::pair<uint64_t, std::string>> pieces_;  // offset, bytes
  uint64_t pending_bytes_ = 0, end_ = 0;
};

RemoteFiles::RemoteFiles(RemoteFilesOptions options, Transport* transport, Clock* clock)
    : options_(std::move(options)),
      calls_(CallsOf(options_, options_.peer_timeout), transport, clock),
      sync_calls_(CallsOf(options_, std::max(options_.peer_timeout, options_.sync_timeout)),
                  transport, clock) {}

FileRequest RemoteFiles::NewRequest(FileOp op, const std::string& path) const {
  FileRequest request;
  request.op = op;
  request.run = options_.run;
  request.server = options_.server;
  request.incarnation = options_.incarnation;
  request.name = FileNameOf(path);
  return request;
}

std::shared_ptr<ServerCalls::Round> RemoteFiles::Start(const FileRequest& request) {
  const bool is_slow = request.op == FileOp::kSync || request.op == FileOp::kClose;
  return (is_slow ? sync_calls_ : calls_).Start([bytes = request.Encode()](int) {
    return ServerCalls::Request{Method::kFile, bytes};
  });
}

StatusOr<std::string> RemoteFiles::Wait(ServerCalls::Round* round) {
  std::string answer;
  RETURN_IF_ERROR(calls_.Wait(round, [&](int, StatusOr<std::string> bytes) -> StatusOr<bool> {
    ASSIGN_OR_RETURN(answer, std::move(bytes));
    return true;
  }));
  return answer;
}

Status RemoteFiles::Change(FileRequest request) {
  MutexLock lock(&change_mutex_);
  request.number = ++last_number_;
  const std::shared_ptr<ServerCalls::Round> round = Start(request);
  const bool is_slow = request.op == FileOp::kSync || request.op == FileOp::kClose;
  return (is_slow ? sync_calls_ : calls_)
      .Wait(round.get(), [](int, StatusOr<std::string> bytes) -> StatusOr<bool> {
        RETURN_IF_ERROR(bytes.status());
        return true;
      });
}

StatusOr<std::unique_ptr<ReadableFile>> RemoteFiles::OpenForRead(const std::string& path) {
  const auto round = Start(NewRequest(FileOp::kStat, path));
  ASSIGN_OR_RETURN(const std::string bytes, Wait(round.get()));
  ASSIGN_OR_RETURN(const FileAnswer answer, FileAnswer::Decode(bytes));
  if (!answer.exists) return NotFoundError("open {} of the chief: there is no such file", path);
  return std::make_unique<Reader>(this, path, answer.file_bytes);
}

StatusOr<std::unique_ptr<WritableFile>> RemoteFiles::Create(const std::string& path) {
  RETURN_IF_ERROR(Change(NewRequest(FileOp::kCreate, path)));
  return std::make_unique<Writer>(this, path);
}

Status RemoteFiles::Rename(const std::string& from, const std::string& to) {
  FileRequest request = NewRequest(FileOp::kRename, from);
  request.to = FileNameOf(to);
  return Change(std::move(request));
}

Status RemoteFiles::Remove(const std::string& path) {
  return Change(NewRequest(FileOp::kRemove, path));
}

bool RemoteFiles::Exists(const std::string& path) {
  const auto round = Start(NewRequest(FileOp::kStat, path));
  const StatusOr<std::string> bytes = Wait(round.get());
  if (!bytes.ok()) return false;
  const StatusOr<FileAnswer> answer = FileAnswer::Decode(*bytes);
  return answer.ok() && answer->exists;
}

Status RemoteFiles::RemoveTree(const std::string& path) { return Refusal("remove", path); }
Status RemoteFiles::CreateFolder(const std::string& path) { return Refusal("create folder", path); }
StatusOr<std::vector<std::string>> RemoteFiles::List(const std::string& path) {
  return Refusal("list", path);
}

void RemoteFiles::Stop() {
  calls_.Stop();
  sync_calls_.Stop();
}

}  // namespace capstan
