#include "data/input_format.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/crc32c.h"
#include "data/text_fields.h"
#include "formats/little_endian.h"
#include "formats/tfrecord.h"

namespace capstan {
namespace {

constexpr size_t kHeadBytes = 1 << 16;
constexpr size_t kSampleBytes = 1 << 20;
constexpr size_t kSampleRecords = 1000;
constexpr size_t kCriteoColumns = 40;

struct Head {
  Compression compression = Compression::kNone;
  std::string bytes;  // decompressed
  bool is_tfrecord = false;
};

bool BeginsWithRecord(std::string_view bytes) {
  return bytes.size() >= kRecordHeaderBytes &&
         MaskCrc(Crc32c(bytes.data(), 8)) == LoadLittle32(bytes.data() + 8);
}

StatusOr<std::string> ReadHead(FileSystem& fs, const std::string& path, Compression compression) {
  ASSIGN_OR_RETURN(auto source, OpenByteSource(fs, path, compression));
  std::string bytes(kHeadBytes, '\0');
  ASSIGN_OR_RETURN(const size_t n, source->Read(bytes.size(), bytes.data()));
  bytes.resize(n);
  return bytes;
}

StatusOr<Head> LookAtHead(FileSystem& fs, const std::string& path) {
  Head head;
  ASSIGN_OR_RETURN(head.bytes, ReadHead(fs, path, Compression::kNone));
  head.is_tfrecord = BeginsWithRecord(head.bytes);
  // A record's length may look like a compressed stream: its CRC decides.
  if (head.is_tfrecord) return head;
  ASSIGN_OR_RETURN(head.compression, DetectCompression(fs, path));
  if (head.compression == Compression::kNone) return head;
  ASSIGN_OR_RETURN(head.bytes, ReadHead(fs, path, head.compression));
  head.is_tfrecord = BeginsWithRecord(head.bytes);
  return head;
}

// The first line that is not blank.
std::string_view FirstLine(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = Trimmed(text.substr(0, end));
    if (!line.empty()) return text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return text;
}

bool IsText(std::string_view bytes) {
  return std::none_of(bytes.begin(), bytes.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r';
  });
}

// "label id:value …": a number, and behind it a word with a colon between numbers.
bool LooksLikeLibsvm(std::string_view line) {
  line = Trimmed(line);
  const size_t label_end = std::min(line.find_first_of(" \t"), line.size());
  float number = 0;
  if (!ParseFloat(line.substr(0, label_end), &number)) return false;
  const std::string_view rest = Trimmed(line.substr(label_end));
  const std::string_view word = rest.substr(0, rest.find_first_of(" \t"));
  const size_t colon = word.find(':');
  if (colon == std::string_view::npos) return false;
  int64_t id = 0;
  return (word.substr(0, colon) == "qid" || ParseInt(word.substr(0, colon), &id)) &&
         ParseFloat(word.substr(colon + 1), &number);
}

StatusOr<RecordFormat> Sniff(const Head& head, const std::string& path) {
  if (head.is_tfrecord) return RecordFormat::kTfRecord;
  if (!IsText(head.bytes)) {
    const std::string_view bytes = head.bytes;
    if (bytes.size() < kRecordHeaderBytes) {
      return CorruptionError(
          "read {}: neither text nor tfrecord: {} bytes, a record has {} or more", path,
          bytes.size(), kRecordHeaderBytes + kRecordFooterBytes);
    }
    return CorruptionError(
        "read {}: neither text nor tfrecord: length crc {:#010x} at offset 0, expected {:#010x}",
        path, LoadLittle32(bytes.data() + 8), MaskCrc(Crc32c(bytes.data(), 8)));
  }
  const std::string_view line = FirstLine(head.bytes);
  if (std::count(line.begin(), line.end(), '\t') == kCriteoColumns - 1) {
    return RecordFormat::kCriteo;
  }
  return LooksLikeLibsvm(line) ? RecordFormat::kLibsvm : RecordFormat::kCsv;
}

bool IsNumber(std::string_view field) {
  float value = 0;
  return ParseFloat(field, &value);
}

// A header has no field that is empty or a number, and no name twice.
bool IsHeader(const std::vector<std::string>& fields) {
  std::set<std::string_view> seen;
  return std::all_of(fields.begin(), fields.end(), [&](const std::string& field) {
    return !field.empty() && !IsNumber(field) && seen.insert(field).second;
  });
}

Status LookAtCsv(std::string_view line, const std::string& path,
                 const std::vector<std::string>& csv_columns, InputFormat* format) {
  const bool has_commas = line.find(',') != std::string_view::npos;
  if (!has_commas && line.find('\t') != std::string_view::npos) format->separator = '\t';
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  const std::vector<std::string> fields = FieldsOf(line, format->separator);
  format->columns = static_cast<int>(fields.size());
  if (csv_columns.empty() ? IsHeader(fields) : fields == csv_columns) {
    format->header = line;
    format->names = fields;
  } else {
    format->names = csv_columns;
    if (!csv_columns.empty() && csv_columns.size() != fields.size()) {
      return Error("read {}: the first line has {} columns, wanted {}", path, fields.size(),
                   csv_columns.size());
    }
  }
  return OkStatus();
}

}  // namespace

std::string Describe(const InputFormat& format) {
  std::string text = NameOf(format.format);
  if (!format.header.empty()) text += " with header";
  return text;
}

StatusOr<InputSample> LookAtInput(FileSystem& fs, const std::string& path,
                                  const std::string& wanted,
                                  const std::vector<std::string>& csv_columns) {
  InputSample sample;
  InputFormat& format = sample.format;
  if (!wanted.empty()) {
    ASSIGN_OR_RETURN(format.format, RecordFormatByName(wanted));
  }
  ASSIGN_OR_RETURN(const Head head, LookAtHead(fs, path));
  format.compression = head.compression;
  const std::string_view line = FirstLine(head.bytes);
  const bool is_text = !wanted.empty() ? format.format != RecordFormat::kTfRecord
                                       : !head.is_tfrecord && IsText(head.bytes);
  if (is_text ? line.empty() : head.bytes.empty()) return Error("read {}: has no records", path);
  if (wanted.empty()) {
    ASSIGN_OR_RETURN(format.format, Sniff(head, path));
  }
  if (format.format == RecordFormat::kCsv) {
    RETURN_IF_ERROR(LookAtCsv(line, path, csv_columns, &format));
  }
  ASSIGN_OR_RETURN(auto reader, OpenRecordReader(fs, path, format.format));
  size_t bytes = 0;
  std::string_view record;
  bool at_header = !format.header.empty();
  while (sample.records.size() < kSampleRecords && bytes < kSampleBytes) {
    const StatusOr<bool> more = reader->Next(&record);
    sample.damage = more.status();
    if (!more.ok() || !*more) break;
    bytes += record.size();
    if (!at_header) sample.records.emplace_back(record);
    at_header = false;
  }
  return sample;
}

int FindLabelColumn(const InputSample& sample, int classes) {
  const int last = sample.format.columns - 1;
  FieldCutter cutter;
  std::set<float> values[2];
  bool whole[2] = {true, true};
  for (const std::string& record : sample.records) {
    const auto& fields = cutter.Cut(record, sample.format.separator);
    if (static_cast<int>(fields.size()) != last + 1) continue;
    for (const int side : {0, 1}) {
      float value = 0;
      const bool fits = ParseFloat(side == 0 ? fields.front() : fields.back(), &value) &&
                        value >= 0 && value == std::floor(value) &&
                        (classes == 0 || value < static_cast<float>(classes));
      whole[side] &= fits;
      if (fits) values[side].insert(value);
    }
  }
  if (whole[0] && !whole[1]) return 0;
  if (whole[0] && whole[1] && values[0].size() < values[1].size()) return 0;
  return last;
}

}  // namespace capstan
