// Files of records for the tests of this room.
#pragma once

#include <zlib.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crc32c.h"
#include "formats/example_builder.h"
#include "formats/little_endian.h"

namespace capstan::testing {

inline void AppendRecord(std::string_view payload, std::string* file) {
  std::string header;
  AppendLittle64(payload.size(), &header);
  AppendLittle32(MaskCrc(Crc32c(header.data(), 8)), &header);
  file->append(header);
  file->append(payload);
  AppendLittle32(MaskCrc(Crc32c(payload)), file);
}

inline std::string Gzip(std::string_view bytes, bool zlib = false) {
  z_stream stream = {};
  deflateInit2(&stream, 6, Z_DEFLATED, zlib ? 15 : 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = bytes.size();
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = out.size();
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// Records number first … first+count-1: "id" is the number, "x" half of it, "tags" has number % 4
// words, "label" is number % 2.
inline std::string NumberedFile(int first, int count) {
  std::string file;
  ExampleBuilder builder;
  for (int i = first; i < first + count; ++i) {
    const int64_t id = i, label = i % 2;
    const float x = 0.5f * static_cast<float>(i);
    std::vector<std::string> words;
    for (int k = 0; k < i % 4; ++k) words.push_back("w" + std::to_string(i + k));
    const std::vector<std::string_view> tags(words.begin(), words.end());
    builder.AddInts("id", {&id, 1});
    builder.AddInts("label", {&label, 1});
    builder.AddBytes("tags", tags);
    builder.AddFloats("x", {&x, 1});
    AppendRecord(builder.Finish(), &file);
  }
  return file;
}

}  // namespace capstan::testing
