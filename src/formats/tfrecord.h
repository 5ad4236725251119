// The TFRecord format. A file is a row of records without header, index or sync marks:
//
//   record := length   uint64 LE
//             masked CRC-32C of the 8 length bytes   uint32 LE
//             payload  `length` bytes
//             masked CRC-32C of the payload          uint32 LE
//
// optionally the whole file in one gzip or zlib stream. docs/formats/tfrecord.md says more.
#pragma once

#include <cstddef>
#include <cstdint>

namespace capstan {

constexpr size_t kRecordHeaderBytes = 12;
constexpr size_t kRecordFooterBytes = 4;
// A length above this is taken for damage (protobuf messages end at 2 GB).
constexpr uint64_t kMaxRecordBytes = uint64_t{1} << 31;

}  // namespace capstan
