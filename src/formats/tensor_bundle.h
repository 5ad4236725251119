// The tensor bundle: TensorFlow's checkpoint format V2, also the variables of a SavedModel.
//
//   bundle := PREFIX.index  PREFIX.data-00000-of-0000N … PREFIX.data-0000(N-1)-of-0000N
//
//   PREFIX.index  a sorted table (formats/sorted_table.h):
//     ""                 BundleHeaderProto{num_shards, endianness LITTLE, version{producer 1}}
//     slice keys         (first byte 00) BundleEntryProto of one slice of a partitioned variable
//     tensor names       BundleEntryProto{dtype, shape, shard_id, offset, size, masked crc32c}, or
//                        {dtype, shape, slices} for a partitioned variable, which has no bytes
//                        itself
//
//   PREFIX.data-…  tensors one behind the other, without header or padding:
//     numbers            little-endian, row major; the CRC covers these bytes
//     strings            length of each element   varint64
//                        masked CRC-32C of the lengths, each as uint32 LE (uint64 if it needs it)
//                        the elements' bytes
//                        the entry's CRC covers the lengths in that form, the 4 CRC bytes, the
//                        bytes
//
// Prose: docs/formats/tensor_bundle.md.
#pragma once

#include <cstdint>
#include <string>

namespace capstan {

// The version of the format that is written, and the newest that is read.
constexpr int kBundleVersion = 1;
constexpr int kMaxShards = 99'999;  // five digits in a file name
constexpr size_t kMaxRank = 254;
// Slices of one partitioned variable (each pair is checked for overlap).
constexpr size_t kMaxSlices = 16'384;

// "PREFIX.index"
std::string BundleIndexPath(const std::string& prefix);
// "PREFIX.data-00002-of-00010"
std::string BundleDataPath(const std::string& prefix, int shard, int shard_count);

}  // namespace capstan
