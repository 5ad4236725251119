// What a server asks of the chief's files when it does not see the chief's folder itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

// Of one request or answer.
constexpr uint32_t kMaxFileChunkBytes = 4 << 20;

enum class FileOp : uint8_t {
  kStat = 0,  // is it there, how big is it
  kRead,      // at most size_bytes at `offset`
  // These change something. A server makes one at a time and numbers them.
  kCreate,  // an existing file is emptied
  kWrite,   // `pieces` of a file that it has created and not closed
  kSync,    // to the disk
  kClose,
  kRename,  // `name` becomes `to`
  kRemove,
};
inline bool IsChange(FileOp op) { return op >= FileOp::kCreate; }

struct FileRequest {
  FileOp op = FileOp::kStat;
  uint64_t run = 0;
  int32_t server = 0;
  uint64_t incarnation = 0;  // of the server
  // Of a change: rises with each, and stays the same when one is sent again. Else 0.
  uint64_t number = 0;
  std::string name;  // in the one folder
  std::string to;    // kRename
  uint64_t offset = 0;
  uint32_t size_bytes = 0;
  struct Piece {
    uint64_t offset = 0;
    std::string_view bytes;  // into the message
  };
  std::vector<Piece> pieces;  // kMaxFileChunkBytes in all

  std::string Encode() const;
  static StatusOr<FileRequest> Decode(std::string_view bytes);
};

struct FileAnswer {
  bool exists = false;
  uint64_t file_bytes = 0;  // kStat, kRead: the size of the file
  std::string_view bytes;   // kRead; into the message

  std::string Encode() const;
  static StatusOr<FileAnswer> Decode(std::string_view bytes);
};

}  // namespace capstan
