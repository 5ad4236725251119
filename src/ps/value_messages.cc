// The messages with rows and gradients. Each is a head, the byte arrays, zeros up to a multiple of
// 16, and the value arrays: so floats are aligned in a message that is.
#include <algorithm>
#include <limits>
#include <utility>

#include "ps/key_codec.h"
#include "ps/messages.h"
#include "ps/wire.h"

namespace capstan {
namespace {
constexpr size_t kAlignment = 16;

constexpr uint8_t kTraining = 1;
constexpr uint8_t kWantsDense = 2;
constexpr uint8_t kKeysOnly = 4;
constexpr uint8_t kWaiting = 1;

ValueFormat GetFormat(WireReader* reader) {
  const uint8_t format = reader->GetU8();
  if (format > static_cast<uint8_t>(ValueFormat::kBfloat16)) {
    reader->Fail(fmt::format("value format {}", format));
    return ValueFormat::kFloat32;
  }
  return static_cast<ValueFormat>(format);
}

uint8_t GetFlags(uint8_t known, WireReader* reader) {
  const uint8_t flags = reader->GetU8();
  if ((flags & ~known) != 0) reader->Fail(fmt::format("flags {:#x}", flags));
  return flags;
}

void CheckTables(uint64_t count, size_t tables, WireReader* reader) {
  if (reader->status().ok() && count != tables) {
    reader->Fail(fmt::format("{} tables, wanted {}", count, tables));
  }
}

size_t PaddingAt(size_t position) { return (kAlignment - position % kAlignment) % kAlignment; }

void SkipPadding(size_t message_bytes, WireReader* reader) {
  const std::string_view padding = reader->GetBytes(PaddingAt(message_bytes - reader->left()));
  if (padding.find_first_not_of('\0') != std::string_view::npos) {
    reader->Fail("the padding is not zeros");
  }
}

// The sizes of arrays that come later in the message; together no more than what is left.
class ArraySizes {
 public:
  explicit ArraySizes(WireReader* reader) : reader_(reader) {}

  size_t Next() {
    const uint64_t size = reader_->GetVarint();
    if (reader_->status().ok() && size > reader_->left() - std::min(total_, reader_->left())) {
      reader_->Fail(fmt::format("an array of {} bytes, {} are left", size, reader_->left()));
    }
    if (!reader_->status().ok()) return 0;
    total_ += size;
    return size;
  }

 private:
  WireReader* const reader_;
  size_t total_ = 0;
};

// Part heads and sizes of all arrays; the arrays themselves come behind them.
class PushRequestReader {
 public:
  PushRequestReader(std::string_view bytes, size_t tables)
      : bytes_(bytes), tables_(tables), reader_(bytes, "push request"), sizes_(&reader_) {}

  StatusOr<PushRequest> Read() {
    request_.run = GetRun(&reader_);
    request_.worker = static_cast<int32_t>(reader_.GetU32());
    request_.pull_id = reader_.GetU64();
    request_.rates_step = reader_.GetI64();
    request_.format = GetFormat(&reader_);
    RETURN_IF_ERROR(ReadParts());
    RETURN_IF_ERROR(ReadNodes());
    ReadArrays();
    RETURN_IF_ERROR(reader_.Finish());
    return std::move(request_);
  }

 private:
  Status ReadParts() {
    constexpr size_t kPartHeadBytes = 36;
    const uint64_t table_count = reader_.GetVarint();
    const uint64_t parts = reader_.GetCount(kPartHeadBytes + 3 * tables_);
    if (parts > 0) CheckTables(table_count, tables_, &reader_);
    RETURN_IF_ERROR(reader_.status());
    request_.parts.resize(parts);
    for (PushPart& part : request_.parts) {
      part.identity.step = reader_.GetI64();
      part.identity.slice = static_cast<int32_t>(reader_.GetU32());
      part.identity.lease = reader_.GetU64();
      part.identity.index = reader_.GetI64();
      part.weight_sum = reader_.GetDouble();
      for (size_t i = 0; i < 3 * tables_; ++i) part_sizes_.push_back(sizes_.Next());
      RETURN_IF_ERROR(reader_.status());
    }
    return OkStatus();
  }

  Status ReadNodes() {
    constexpr size_t kNodeHeadBytes = 3;
    const uint64_t nodes = reader_.GetCount(kNodeHeadBytes);
    if (reader_.status().ok() && nodes > request_.parts.size()) {
      reader_.Fail(fmt::format("{} dense sums of {} parts", nodes, request_.parts.size()));
    }
    RETURN_IF_ERROR(reader_.status());
    request_.dense.resize(nodes);
    for (PushDense& sum : request_.dense) {
      sum.node.first = GetSlice();
      sum.node.count = GetSlice();
      dense_sizes_.push_back(sizes_.Next());
    }
    return reader_.status();
  }

  int32_t GetSlice() {
    const uint64_t slice = reader_.GetVarint();
    if (slice <= std::numeric_limits<int32_t>::max()) return static_cast<int32_t>(slice);
    reader_.Fail(fmt::format("slice {}", slice));
    return 0;
  }

  void ReadArrays() {
    const size_t* size = part_sizes_.data();
    for (PushPart& part : request_.parts) {
      for (size_t t = 0; t < tables_; ++t, size += 3) {
        part.touched.push_back(reader_.GetBytes(size[0]));
        part.counts.push_back(reader_.GetBytes(size[1]));
      }
    }
    SkipPadding(bytes_.size(), &reader_);
    size = part_sizes_.data();
    for (PushPart& part : request_.parts) {
      for (size_t t = 0; t < tables_; ++t, size += 3)
        part.rows.push_back(reader_.GetBytes(size[2]));
    }
    for (size_t n = 0; n < request_.dense.size(); ++n) {
      request_.dense[n].values = reader_.GetBytes(dense_sizes_[n]);
    }
  }

  const std::string_view bytes_;
  const size_t tables_;
  WireReader reader_;
  ArraySizes sizes_;
  PushRequest request_;
  std::vector<size_t> part_sizes_;   // by part: of each table touched, counts, rows
  std::vector<size_t> dense_sizes_;  // by node
};

}  // namespace

std::string PullRequest::Encode() const {
  WireWriter writer;
  size_t key_count = 0;
  for (const auto& table : keys) key_count += table.size();
  writer.Reserve(64 + keys.size() * 8 + key_count * 8);
  PutRun(run, &writer);
  writer.PutU32(static_cast<uint32_t>(worker));
  writer.PutU64(pull_id);
  writer.PutI64(after_step);
  writer.PutU8(static_cast<uint8_t>((training ? kTraining : 0) | (wants_dense ? kWantsDense : 0) |
                                    (keys_only ? kKeysOnly : 0)));
  writer.PutU8(static_cast<uint8_t>(format));
  writer.PutVarint(keys.size());
  std::string bytes;
  for (const auto& table : keys) {
    bytes.clear();
    EncodeKeys(table, &bytes);
    writer.PutVarint(table.size());
    writer.PutVarint(bytes.size());
    writer.PutBytes(bytes);
  }
  return writer.Take();
}

StatusOr<PullRequest> PullRequest::Decode(std::string_view bytes, size_t tables) {
  WireReader reader(bytes, "pull request");
  PullRequest request;
  request.run = GetRun(&reader);
  request.worker = static_cast<int32_t>(reader.GetU32());
  request.pull_id = reader.GetU64();
  request.after_step = reader.GetI64();
  const uint8_t flags = GetFlags(kTraining | kWantsDense | kKeysOnly, &reader);
  request.training = (flags & kTraining) != 0;
  request.wants_dense = (flags & kWantsDense) != 0;
  request.keys_only = (flags & kKeysOnly) != 0;
  request.format = GetFormat(&reader);
  CheckTables(reader.GetVarint(), tables, &reader);
  RETURN_IF_ERROR(reader.status());
  request.keys.resize(tables);
  for (size_t t = 0; t < tables && reader.status().ok(); ++t) {
    const uint64_t count = reader.GetVarint();
    std::string_view key_bytes = reader.GetBytes(reader.GetVarint());
    RETURN_IF_ERROR(reader.status());
    RETURN_IF_ERROR(Annotate(DecodeKeys(count, &key_bytes, &request.keys[t]),
                             fmt::format("pull request: table {}", t)));
    if (!key_bytes.empty()) {
      reader.Fail(fmt::format("table {}: {} bytes behind the keys", t, key_bytes.size()));
    }
  }
  RETURN_IF_ERROR(reader.Finish());
  return request;
}

PullAnswer::Arrays PullAnswer::EncodeSpace(const Sizes& sizes, std::string* bytes) const {
  WireWriter writer;
  writer.PutI64(applied_step);
  writer.PutU8(waiting ? kWaiting : 0);
  writer.PutU8(static_cast<uint8_t>(format));
  writer.PutVarint(sizes.rows.size());
  size_t bits = 0, values = sizes.dense;
  for (size_t t = 0; t < sizes.rows.size(); ++t) {
    writer.PutVarint(sizes.present[t]);
    writer.PutVarint(sizes.rows[t]);
    bits += sizes.present[t];
    values += sizes.rows[t];
  }
  writer.PutVarint(sizes.dense);
  *bytes = writer.Take();
  const size_t bits_at = bytes->size();
  const size_t values_at = bits_at + bits + PaddingAt(bits_at + bits);
  bytes->resize(values_at + values);
  Arrays arrays;
  char* next = bytes->data() + bits_at;
  for (const size_t size : sizes.present)
    arrays.present.push_back(std::exchange(next, next + size));
  next = bytes->data() + values_at;
  for (const size_t size : sizes.rows) arrays.rows.push_back(std::exchange(next, next + size));
  arrays.dense = next;
  return arrays;
}

std::string PullAnswer::Encode() const {
  Sizes sizes{.dense = dense.size()};
  for (const std::string_view array : present) sizes.present.push_back(array.size());
  for (const std::string_view array : rows) sizes.rows.push_back(array.size());
  std::string bytes;
  const Arrays arrays = EncodeSpace(sizes, &bytes);
  for (size_t t = 0; t < rows.size(); ++t) {
    present[t].copy(arrays.present[t], present[t].size());
    rows[t].copy(arrays.rows[t], rows[t].size());
  }
  dense.copy(arrays.dense, dense.size());
  return bytes;
}

StatusOr<PullAnswer> PullAnswer::Decode(std::string_view bytes) {
  WireReader reader(bytes, "pull answer");
  PullAnswer answer;
  answer.applied_step = reader.GetI64();
  answer.waiting = GetFlags(kWaiting, &reader) != 0;
  answer.format = GetFormat(&reader);
  const uint64_t tables = reader.GetCount(2);
  std::vector<size_t> present(tables), rows(tables);
  ArraySizes sizes(&reader);
  for (uint64_t t = 0; t < tables; ++t) {
    present[t] = sizes.Next();
    rows[t] = sizes.Next();
  }
  const size_t dense = sizes.Next();
  for (const size_t size : present) answer.present.push_back(reader.GetBytes(size));
  SkipPadding(bytes.size(), &reader);
  for (const size_t size : rows) answer.rows.push_back(reader.GetBytes(size));
  answer.dense = reader.GetBytes(dense);
  RETURN_IF_ERROR(reader.Finish());
  return answer;
}

PushRequest::Arrays PushRequest::EncodeSpace(const Sizes& sizes, std::string* bytes) const {
  WireWriter writer;
  PutRun(run, &writer);
  writer.PutU32(static_cast<uint32_t>(worker));
  writer.PutU64(pull_id);
  writer.PutI64(rates_step);
  writer.PutU8(static_cast<uint8_t>(format));
  writer.PutVarint(parts.empty() ? 0 : parts[0].counts.size());
  writer.PutVarint(parts.size());
  size_t values = 0;
  for (size_t p = 0; p < parts.size(); ++p) {
    const PushPart& part = parts[p];
    writer.PutI64(part.identity.step);
    writer.PutU32(static_cast<uint32_t>(part.identity.slice));
    writer.PutU64(part.identity.lease);
    writer.PutI64(part.identity.index);
    writer.PutDouble(part.weight_sum);
    for (size_t t = 0; t < part.counts.size(); ++t) {
      writer.PutVarint(part.touched[t].size());
      writer.PutVarint(part.counts[t].size());
      writer.PutVarint(sizes.rows[p][t]);
      values += sizes.rows[p][t];
    }
  }
  writer.PutVarint(dense.size());
  for (size_t n = 0; n < dense.size(); ++n) {
    writer.PutVarint(static_cast<uint32_t>(dense[n].node.first));
    writer.PutVarint(static_cast<uint32_t>(dense[n].node.count));
    writer.PutVarint(sizes.dense[n]);
    values += sizes.dense[n];
  }
  for (const PushPart& part : parts) {
    for (size_t t = 0; t < part.counts.size(); ++t) {
      writer.PutBytes(part.touched[t]);
      writer.PutBytes(part.counts[t]);
    }
  }
  *bytes = writer.Take();
  const size_t values_at = bytes->size() + PaddingAt(bytes->size());
  bytes->resize(values_at + values);
  char* next = bytes->data() + values_at;
  Arrays arrays;
  for (const std::vector<size_t>& part : sizes.rows) {
    std::vector<char*>& rows = arrays.rows.emplace_back();
    for (const size_t size : part) rows.push_back(std::exchange(next, next + size));
  }
  for (const size_t size : sizes.dense) arrays.dense.push_back(std::exchange(next, next + size));
  return arrays;
}

std::string PushRequest::Encode() const {
  Sizes sizes;
  for (const PushPart& part : parts) {
    std::vector<size_t>& rows = sizes.rows.emplace_back();
    for (const std::string_view array : part.rows) rows.push_back(array.size());
  }
  for (const PushDense& sum : dense) sizes.dense.push_back(sum.values.size());
  std::string bytes;
  const Arrays arrays = EncodeSpace(sizes, &bytes);
  for (size_t p = 0; p < parts.size(); ++p) {
    for (size_t t = 0; t < parts[p].rows.size(); ++t) {
      parts[p].rows[t].copy(arrays.rows[p][t], parts[p].rows[t].size());
    }
  }
  for (size_t n = 0; n < dense.size(); ++n) {
    dense[n].values.copy(arrays.dense[n], dense[n].values.size());
  }
  return bytes;
}

StatusOr<PushRequest> PushRequest::Decode(std::string_view bytes, size_t tables) {
  return PushRequestReader(bytes, tables).Read();
}

std::string PushAnswer::Encode() const {
  WireWriter writer;
  writer.PutI64(applied_step);
  writer.PutU32(static_cast<uint32_t>(applied));
  writer.PutU32(static_cast<uint32_t>(dropped));
  return writer.Take();
}

StatusOr<PushAnswer> PushAnswer::Decode(std::string_view bytes) {
  WireReader reader(bytes, "push answer");
  PushAnswer answer;
  answer.applied_step = reader.GetI64();
  answer.applied = static_cast<int32_t>(reader.GetU32());
  answer.dropped = static_cast<int32_t>(reader.GetU32());
  RETURN_IF_ERROR(reader.Finish());
  return answer;
}

}  // namespace capstan
