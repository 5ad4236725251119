#include "ps/file_messages.h"

#include "ps/wire.h"

namespace capstan {

std::string FileRequest::Encode() const {
  WireWriter writer;
  writer.PutU8(static_cast<uint8_t>(op));
  writer.PutU64(run);
  writer.PutU32(static_cast<uint32_t>(server));
  writer.PutU64(incarnation);
  writer.PutU64(number);
  writer.PutString(name);
  writer.PutString(to);
  writer.PutU64(offset);
  writer.PutU32(size_bytes);
  writer.PutVarint(pieces.size());
  for (const Piece& piece : pieces) {
    writer.PutU64(piece.offset);
    writer.PutString(piece.bytes);
  }
  return writer.Take();
}

StatusOr<FileRequest> FileRequest::Decode(std::string_view bytes) {
  WireReader reader(bytes, "file request");
  FileRequest request;
  const uint8_t op = reader.GetU8();
  if (op > static_cast<uint8_t>(FileOp::kRemove)) reader.Fail(fmt::format("operation {}", op));
  request.op = static_cast<FileOp>(op);
  request.run = reader.GetU64();
  request.server = static_cast<int32_t>(reader.GetU32());
  request.incarnation = reader.GetU64();
  request.number = reader.GetU64();
  request.name = reader.GetString();
  request.to = reader.GetString();
  request.offset = reader.GetU64();
  request.size_bytes = reader.GetU32();
  request.pieces.resize(reader.GetCount(12));
  uint64_t all = request.size_bytes;
  for (Piece& piece : request.pieces) {
    piece.offset = reader.GetU64();
    piece.bytes = reader.GetString();
    all += piece.bytes.size();
  }
  if (all > kMaxFileChunkBytes) {
    reader.Fail(fmt::format("{} bytes, at most {} are taken", all, kMaxFileChunkBytes));
  }
  RETURN_IF_ERROR(reader.Finish());
  return request;
}

std::string FileAnswer::Encode() const {
  WireWriter writer;
  writer.Reserve(bytes.size() + 16);
  writer.PutU8(exists ? 1 : 0);
  writer.PutU64(file_bytes);
  writer.PutString(bytes);
  return writer.Take();
}

StatusOr<FileAnswer> FileAnswer::Decode(std::string_view bytes) {
  WireReader reader(bytes, "file answer");
  FileAnswer answer;
  answer.exists = reader.GetU8() != 0;
  answer.file_bytes = reader.GetU64();
  answer.bytes = reader.GetString();
  RETURN_IF_ERROR(reader.Finish());
  return answer;
}

}  // namespace capstan
