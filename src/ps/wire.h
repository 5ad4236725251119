// Our messages' flat encoding: little-endian, no padding, lengths before arrays. Every read checks
// the bytes that are left before memory is taken.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

// The version of all messages of `ps/`; part of the handshake.
constexpr uint32_t kWireVersion = 3;

class WireWriter {
 public:
  void PutU8(uint8_t value);
  void PutU32(uint32_t value);
  void PutU64(uint64_t value);
  void PutI64(int64_t value) { PutU64(static_cast<uint64_t>(value)); }
  void PutDouble(double value);
  void PutVarint(uint64_t value);
  void PutString(std::string_view text);          // u32 length, bytes
  void PutFloats(std::span<const float> values);  // bytes only: the reader knows the count
  void PutBytes(std::string_view bytes);          // bytes only
  std::string Take() { return std::move(bytes_); }
  size_t size() const { return bytes_.size(); }
  void Reserve(size_t size_bytes) { bytes_.reserve(size_bytes); }

 private:
  std::string bytes_;
};

// Reads what a WireWriter wrote. After the first read that does not fit, all reads give zeros and
// empty views, and status() says where.
class WireReader {
 public:
  // `what` names the message in errors: "pull request".
  WireReader(std::string_view bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  uint8_t GetU8();
  uint32_t GetU32();
  uint64_t GetU64();
  int64_t GetI64() { return static_cast<int64_t>(GetU64()); }
  double GetDouble();
  uint64_t GetVarint();
  std::string_view GetString();
  std::string_view GetBytes(size_t size_bytes);
  // A count of things that take at least `least_bytes` each: larger than what is left is an error.
  uint64_t GetCount(size_t least_bytes);
  size_t left() const { return bytes_.size() - position_; }
  Status status() const { return status_; }
  // Also an error when bytes are left over.
  Status Finish();
  void Fail(const std::string& reason);

 private:
  const std::string_view bytes_;
  const std::string_view what_;
  size_t position_ = 0;
  Status status_;
};

}  // namespace capstan
