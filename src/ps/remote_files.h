// The chief's folder over a wire, for a server on another host: restores and parts of checkpoints
// are read and written as if it were here. The other side is FileService.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "ps/file_messages.h"
#include "ps/server_calls.h"
#include "ps/transport.h"

namespace capstan {

struct RemoteFilesOptions {
  std::string chief;  // address
  uint64_t run = 0;
  int server = 0;            // who asks
  uint64_t incarnation = 0;  // of it
  // A chief that does not answer for so long is gone …
  std::chrono::milliseconds peer_timeout{60'000};
  // … but so long it may take for bringing a file to its disk.
  std::chrono::milliseconds sync_timeout{600'000};
  std::chrono::milliseconds retry_delay{100};
};

// Of a path only the last component counts. A broken connection is tried again, for peer_timeout.
// Thread-safe; files are as FileSystem says. Reading is in chunks, with the next one on its way;
// writes are put together, so that their errors may come with a later one, at the latest with Sync.
class RemoteFiles : public FileSystem {
 public:
  // `transport` and `clock` outlive it; it outlives its files.
  RemoteFiles(RemoteFilesOptions options, Transport* transport, Clock* clock);

  StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override;
  StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  bool Exists(const std::string& path) override;
  bool IsFolder(const std::string& path) override { return false; }
  // Refused: there is one folder, and it is the chief's.
  Status RemoveTree(const std::string& path) override;
  Status CreateFolder(const std::string& path) override;
  StatusOr<std::vector<std::string>> List(const std::string& path) override;

  // From any thread: all that waits and all that comes ends with kCancelled.
  void Stop();

 private:
  class Reader;
  class Writer;

  FileRequest NewRequest(FileOp op, const std::string& path) const;
  // A request under way; its answer is taken by Wait, as the bytes of a FileAnswer.
  std::shared_ptr<ServerCalls::Round> Start(const FileRequest& request);
  StatusOr<std::string> Wait(ServerCalls::Round* round);
  Status Change(FileRequest request) EXCLUDES(change_mutex_);

  const RemoteFilesOptions options_;
  ServerCalls calls_, sync_calls_;
  Mutex change_mutex_;  // one change at a time
  uint64_t last_number_ GUARDED_BY(change_mutex_) = 0;
};

}  // namespace capstan
