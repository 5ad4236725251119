#include "ps/wire.h"

#include <bit>
#include <cstring>

namespace capstan {

void WireWriter::PutU8(uint8_t value) { bytes_.push_back(static_cast<char>(value)); }

void WireWriter::PutU32(uint32_t value) {
  char bytes[4];
  std::memcpy(bytes, &value, sizeof(bytes));
  bytes_.append(bytes, sizeof(bytes));
}

void WireWriter::PutU64(uint64_t value) {
  char bytes[8];
  std::memcpy(bytes, &value, sizeof(bytes));
  bytes_.append(bytes, sizeof(bytes));
}

void WireWriter::PutDouble(double value) { PutU64(std::bit_cast<uint64_t>(value)); }

void WireWriter::PutVarint(uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<char>(value));
}

void WireWriter::PutString(std::string_view text) {
  PutU32(static_cast<uint32_t>(text.size()));
  bytes_.append(text);
}

void WireWriter::PutFloats(std::span<const float> values) {
  bytes_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

void WireWriter::PutBytes(std::string_view bytes) { bytes_.append(bytes); }

void WireReader::Fail(const std::string& reason) {
  if (!status_.ok()) return;
  status_ = CorruptionError("{} at byte {}: {}", what_, position_, reason);
}

std::string_view WireReader::GetBytes(size_t size_bytes) {
  if (!status_.ok()) return {};
  if (size_bytes > left()) {
    Fail(fmt::format("wants {} bytes, {} are left", size_bytes, left()));
    return {};
  }
  const std::string_view bytes = bytes_.substr(position_, size_bytes);
  position_ += size_bytes;
  return bytes;
}

uint8_t WireReader::GetU8() {
  const std::string_view bytes = GetBytes(1);
  return bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
}

uint32_t WireReader::GetU32() {
  uint32_t value = 0;
  const std::string_view bytes = GetBytes(sizeof(value));
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

uint64_t WireReader::GetU64() {
  uint64_t value = 0;
  const std::string_view bytes = GetBytes(sizeof(value));
  if (!bytes.empty()) std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

double WireReader::GetDouble() { return std::bit_cast<double>(GetU64()); }

uint64_t WireReader::GetVarint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = GetU8();
    if (!status_.ok()) return 0;
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  Fail("a varint has more than 10 bytes");
  return 0;
}

std::string_view WireReader::GetString() { return GetBytes(GetU32()); }

uint64_t WireReader::GetCount(size_t least_bytes) {
  const uint64_t count = GetVarint();
  if (status_.ok() && least_bytes > 0 && count > left() / least_bytes) {
    Fail(fmt::format("counts {} things, {} bytes are left", count, left()));
    return 0;
  }
  return count;
}

Status WireReader::Finish() {
  if (status_.ok() && left() > 0) Fail(fmt::format("{} bytes are left over", left()));
  return status_;
}

}  // namespace capstan
