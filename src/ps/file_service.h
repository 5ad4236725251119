// The chief's files for servers that do not see its folder: what they restore from, and the parts
// of checkpoints that they write. The other side is RemoteFiles.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"
#include "ps/file_messages.h"
#include "ps/transport.h"

namespace capstan {

struct FileServiceOptions {
  std::string folder;     // of checkpoints; nothing else can be written
  std::string base_name;  // of checkpoints: "model.ckpt"
  int servers = 1;
};

// Thread-safe. The rules:
//  - A name is a file's in one folder. Server i reads files of bundles, and changes only those of
//    its own parts: BASE-STEP.part-i.index and .data-00000-of-00001, with or without .tmp behind.
//  - A change is made once by its number: sent again it gets the same answer, and one that comes
//    behind its successor is refused.
//  - What a server has open is dropped when it is started again.
// Each server's requests are worked off in order on a thread of its own.
class FileService {
 public:
  // `fs` outlives it.
  FileService(FileSystem* fs, FileServiceOptions options);
  // Waits for what is being done; what is behind it is answered with kUnavailable.
  ~FileService();

  void Handle(std::string request, Reply reply);

  // From now on only this incarnation of the server is served, in this run.
  void Admit(int server, uint64_t run, uint64_t incarnation);
  // Where files are read that are no parts: the folder of the checkpoint that is restored. At first
  // that of the options.
  void SetReadFolder(const std::string& folder) EXCLUDES(mutex_);

 private:
  struct Client;

  StatusOr<std::string> Answer(const FileRequest& request, Client* client) const;
  StatusOr<std::string> Read(const FileRequest& request) const EXCLUDES(mutex_);
  Status Change(const FileRequest& request, Client* client) const;
  bool IsPartOf(std::string_view name, int server) const;

  FileSystem* const fs_;
  const FileServiceOptions options_;
  mutable Mutex mutex_;
  std::string read_folder_ GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Client>> clients_;  // [server]
};

// Why this is no name of a file in a folder; OK if it is.
Status CheckFileName(std::string_view name);

}  // namespace capstan
