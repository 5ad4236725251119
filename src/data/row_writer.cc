#include "data/row_writer.h"

#include <algorithm>
#include <charconv>

namespace capstan {
namespace {

constexpr int kClickNumbers = 13;

void AppendInt(int64_t value, std::string* out) {
  char digits[24];
  out->append(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr - digits);
}

// The numbers of generated rows are whole.
void AppendNumber(float value, std::string* out) { AppendInt(static_cast<int64_t>(value), out); }

void AppendHex(int64_t value, std::string* out) {
  constexpr char kDigits[] = "0123456789abcdef";
  char text[8];
  for (int i = 7; i >= 0; --i, value >>= 4) text[i] = kDigits[value & 15];
  out->append(text, sizeof(text));
}

std::vector<std::pair<std::string, int>> SortedNames(char letter, int count) {
  std::vector<std::pair<std::string, int>> names;
  for (int i = 0; i < count; ++i) names.emplace_back(fmt::format("{}{}", letter, i + 1), i);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Status RowWriter::Check(RowKind kind, RecordFormat format) {
  if (format == RecordFormat::kCriteo && kind != RowKind::kClicks) {
    return Error("only clicks can be written as criteo");
  }
  return OkStatus();
}

RowWriter::RowWriter(RowKind kind, RecordFormat format, const std::vector<int64_t>& cardinalities)
    : kind_(kind), format_(format) {
  int64_t first = kClickNumbers + 1;
  for (const int64_t cardinality : cardinalities) {
    first_ids_.push_back(first);
    first += cardinality;
  }
  if (kind == RowKind::kClicks) {
    int_names_ = SortedNames('C', static_cast<int>(cardinalities.size()));
    float_names_ = SortedNames('I', kClickNumbers);
  }
}

std::string RowWriter::Header() const {
  if (format_ != RecordFormat::kCsv) return "";
  std::string header = "label";
  switch (kind_) {
    case RowKind::kClicks:
      for (int i = 1; i <= kClickNumbers; ++i) header += fmt::format(",I{}", i);
      for (size_t i = 1; i <= first_ids_.size(); ++i) header += fmt::format(",C{}", i);
      break;
    case RowKind::kDense:
      for (int i = 1; i <= 9; ++i) header += fmt::format(",x{}", i);
      break;
    case RowKind::kSparse:
      header += ",ids,values";
      break;
  }
  return header + "\n";
}

void RowWriter::Append(const TeacherRow& row, std::string* out) {
  switch (format_) {
    case RecordFormat::kTfRecord:
      return AppendExample(row, out);
    case RecordFormat::kCsv:
      return AppendCsv(row, out);
    case RecordFormat::kLibsvm:
      return AppendLibsvm(row, out);
    case RecordFormat::kCriteo:
      return AppendCriteo(row, out);
  }
}

void RowWriter::AppendExample(const TeacherRow& row, std::string* out) {
  const int64_t label = row.label;
  switch (kind_) {
    case RowKind::kClicks:
      for (const auto& [name, i] : int_names_) builder_.AddInts(name, {&row.ids[i], 1});
      for (const auto& [name, i] : float_names_) builder_.AddFloats(name, {&row.numbers[i], 1});
      builder_.AddInts("label", {&label, 1});
      break;
    case RowKind::kDense:
      builder_.AddFloats("features", row.numbers);
      builder_.AddInts("label", {&label, 1});
      break;
    case RowKind::kSparse:
      ones_.assign(row.ids.size(), 1.0f);
      builder_.AddInts("ids", row.ids);
      builder_.AddInts("label", {&label, 1});
      builder_.AddFloats("values", ones_);
      break;
  }
  out->append(builder_.Finish());
}

void RowWriter::AppendCsv(const TeacherRow& row, std::string* out) {
  AppendInt(row.label, out);
  for (const float number : row.numbers) {
    out->push_back(',');
    AppendNumber(number, out);
  }
  if (kind_ == RowKind::kSparse) {
    for (size_t i = 0; i < row.ids.size(); ++i) {
      out->push_back(i == 0 ? ',' : '|');
      AppendInt(row.ids[i], out);
    }
    for (size_t i = 0; i < row.ids.size(); ++i) out->append(i == 0 ? ",1" : "|1");
  } else {
    for (const int64_t id : row.ids) {
      out->push_back(',');
      AppendInt(id, out);
    }
  }
  out->push_back('\n');
}

void RowWriter::AppendCriteo(const TeacherRow& row, std::string* out) {
  AppendInt(row.label, out);
  for (const float number : row.numbers) {
    out->push_back('\t');
    AppendNumber(number, out);
  }
  for (const int64_t id : row.ids) {
    out->push_back('\t');
    AppendHex(id, out);
  }
  out->push_back('\n');
}

void RowWriter::AppendLibsvm(const TeacherRow& row, std::string* out) {
  AppendInt(row.label, out);
  const auto append = [out](int64_t id, float value) {
    out->push_back(' ');
    AppendInt(id, out);
    out->push_back(':');
    AppendNumber(value, out);
  };
  for (size_t i = 0; i < row.numbers.size(); ++i)
    append(static_cast<int64_t>(i) + 1, row.numbers[i]);
  for (size_t i = 0; i < row.ids.size(); ++i) {
    append(first_ids_.empty() ? row.ids[i] : first_ids_[i] + row.ids[i], 1.0f);
  }
  out->push_back('\n');
}

}  // namespace capstan
