#include "ps/file_service.h"

#include <algorithm>
#include <map>
#include <utility>

#include "ps/job_thread.h"
#include "ps/local_fault.h"

namespace capstan {
namespace {

constexpr size_t kLongestName = 255;
constexpr size_t kMostOpenFiles = 8;  // of one server
constexpr uint64_t kLargestFile = uint64_t{1} << 50;

bool TakeSuffix(std::string_view* name, std::string_view suffix) {
  if (!name->ends_with(suffix)) return false;
  name->remove_suffix(suffix.size());
  return true;
}

bool IsNumber(std::string_view text) {
  return !text.empty() && text.size() < 20 &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

bool IsBundleFile(std::string_view name) {
  return name.ends_with(".index") || name.find(".data-") != std::string_view::npos;
}

}  // namespace

Status CheckFileName(std::string_view name) {
  const bool is_plain = !name.empty() && name.size() <= kLongestName && name[0] != '.' &&
                        name.find('/') == std::string_view::npos &&
                        name.find('\0') == std::string_view::npos &&
                        name.find("..") == std::string_view::npos;
  if (is_plain) return OkStatus();
  return Error("file '{}': wanted a name in the chief's folder", name.substr(0, kLongestName));
}

// Touched on its thread only.
struct FileService::Client {
  uint64_t run = 0, incarnation = 0;
  uint64_t last_number = 0;
  Status last_status;
  std::map<std::string, std::unique_ptr<WritableFile>> open;  // by name
  JobThread thread;
};

FileService::FileService(FileSystem* fs, FileServiceOptions options)
    : fs_(fs), options_(std::move(options)), read_folder_(options_.folder) {
  for (int i = 0; i < options_.servers; ++i) clients_.push_back(std::make_unique<Client>());
}

FileService::~FileService() {
  for (const auto& client : clients_) client->thread.Stop();
}

void FileService::Handle(std::string request, Reply reply) {
  const auto message = std::make_shared<const std::string>(std::move(request));
  StatusOr<FileRequest> decoded = FileRequest::Decode(*message);
  if (!decoded.ok()) return reply(decoded.status());
  if (decoded->server < 0 || decoded->server >= options_.servers) {
    return reply(
        Error("file request of ps {}: there are {} servers", decoded->server, options_.servers));
  }
  Client* const client = clients_[decoded->server].get();
  client->thread.Add([this, client, message, request = *std::move(decoded),
                      reply = std::move(reply)](bool stopping) {
    if (stopping) return reply(MakeStatus(absl::StatusCode::kUnavailable, "the chief is going"));
    reply(Answer(request, client));
  });
}

void FileService::Admit(int server, uint64_t run, uint64_t incarnation) {
  Client* const client = clients_[server].get();
  client->thread.Add([client, run, incarnation](bool) {
    if (client->run == run && client->incarnation == incarnation) return;
    client->run = run;
    client->incarnation = incarnation;
    client->last_number = 0;
    client->open.clear();
  });
}

void FileService::SetReadFolder(const std::string& folder) {
  MutexLock lock(&mutex_);
  read_folder_ = folder;
}

StatusOr<std::string> FileService::Answer(const FileRequest& request, Client* client) const {
  if (request.run != client->run || request.incarnation != client->incarnation) {
    return MakeStatus(absl::StatusCode::kAborted,
                      fmt::format("file {}: ps {} has been started again, or asks of another run",
                                  request.name, request.server));
  }
  RETURN_IF_ERROR(CheckFileName(request.name));
  if (!IsChange(request.op)) return Read(request);
  if (request.number < client->last_number) {
    return MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        fmt::format("file {}: change {} of ps {} comes behind change {}", request.name,
                    request.number, request.server, client->last_number));
  }
  if (request.number > client->last_number) {
    client->last_number = request.number;
    client->last_status = LocalFault(Change(request, client));
  }
  RETURN_IF_ERROR(client->last_status);
  return FileAnswer{}.Encode();
}

StatusOr<std::string> FileService::Read(const FileRequest& request) const {
  if (!IsBundleFile(request.name)) {
    return Error("read file {}: it is no file of a checkpoint", request.name);
  }
  std::string folder = options_.folder;
  if (!IsPartOf(request.name, request.server)) {
    MutexLock lock(&mutex_);
    folder = read_folder_;
  }
  const std::string path = JoinPath(folder, request.name);
  FileAnswer answer;
  if (!fs_->Exists(path)) return answer.Encode();
  const auto file = fs_->OpenForRead(path);
  if (!file.ok()) return LocalFault(file.status());
  answer.exists = true;
  answer.file_bytes = (*file)->size_bytes();
  std::string bytes;
  if (request.op == FileOp::kRead && request.offset < answer.file_bytes) {
    bytes.resize(std::min<uint64_t>(request.size_bytes, answer.file_bytes - request.offset));
    const StatusOr<size_t> n = (*file)->Read(request.offset, bytes.size(), bytes.data());
    if (!n.ok()) return LocalFault(n.status());
    bytes.resize(*n);
  }
  answer.bytes = bytes;
  return answer.Encode();
}

Status FileService::Change(const FileRequest& request, Client* client) const {
  for (const std::string* name : {&request.name, &request.to}) {
    const bool is_meant = name == &request.name || request.op == FileOp::kRename;
    if (!is_meant || IsPartOf(*name, request.server)) continue;
    return Error("change file {}: it is no part of ps {}", *name, request.server);
  }
  const std::string path = JoinPath(options_.folder, request.name);
  const auto open = client->open.find(request.name);
  switch (request.op) {
    case FileOp::kCreate: {
      if (client->open.size() >= kMostOpenFiles) {
        return Error("create {}: ps {} has {} files open", path, request.server, kMostOpenFiles);
      }
      ASSIGN_OR_RETURN(client->open[request.name], fs_->Create(path));
      return OkStatus();
    }
    case FileOp::kRename:
      client->open.erase(request.name);
      return fs_->Rename(path, JoinPath(options_.folder, request.to));
    case FileOp::kRemove:
      client->open.erase(request.name);
      return fs_->Remove(path);
    default:
      break;
  }
  if (open == client->open.end()) return NotFoundError("write {}: it is not open", path);
  WritableFile& file = *open->second;
  if (request.op == FileOp::kSync) return file.Sync();
  if (request.op == FileOp::kClose) {
    const Status status = file.Close();
    client->open.erase(open);
    return status;
  }
  for (const FileRequest::Piece& piece : request.pieces) {
    if (piece.offset > kLargestFile) return Error("write {} at offset {}", path, piece.offset);
    RETURN_IF_ERROR(file.WriteAt(piece.offset, piece.bytes));
  }
  return OkStatus();
}

bool FileService::IsPartOf(std::string_view name, int server) const {
  if (!CheckFileName(name).ok()) return false;
  TakeSuffix(&name, ".tmp");
  if (!TakeSuffix(&name, ".index") && !TakeSuffix(&name, ".data-00000-of-00001")) return false;
  if (!TakeSuffix(&name, fmt::format(".part-{}", server))) return false;
  const std::string start = options_.base_name + "-";
  return name.starts_with(start) && IsNumber(name.substr(start.size()));
}

}  // namespace capstan
