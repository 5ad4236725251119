#include "data/text_fields.h"

#include <charconv>
#include <cstring>

namespace capstan {
namespace {

// from_chars takes no plus.
std::string_view WithoutPlus(std::string_view text) {
  text = Trimmed(text);
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  return text;
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

}  // namespace

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

bool ParseFloat(std::string_view text, float* value) {
  text = WithoutPlus(text);
  const char* const end = text.data() + text.size();
  auto result = std::from_chars(text.data(), end, *value);
  if (result.ec == std::errc::result_out_of_range) {
    // Too small or too large for a float: 0 or infinity, by way of a double.
    double wide = 0;
    result = std::from_chars(text.data(), end, wide);
    if (result.ec == std::errc()) *value = static_cast<float>(wide);
  }
  return result.ec == std::errc() && result.ptr == end;
}

bool ParseInt(std::string_view text, int64_t* value) {
  text = WithoutPlus(text);
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

bool ParseHex(std::string_view text, int64_t* value) {
  text = Trimmed(text);
  const char* const end = text.data() + text.size();
  uint64_t bits = 0;
  const auto result = std::from_chars(text.data(), end, bits, 16);
  *value = static_cast<int64_t>(bits);
  return result.ec == std::errc() && result.ptr == end;
}

const std::vector<std::string_view>& FieldCutter::Cut(std::string_view line, char separator) {
  fields_.clear();
  unquoted_.clear();
  // Views into it must stay: it never grows beyond the line.
  unquoted_.reserve(line.size());
  const char* p = line.data();
  const char* const end = p + line.size();
  for (;;) {
    if (p < end && *p == '"') {
      p = CutQuoted(p, end, separator);
    } else {
      const void* found = p == end ? nullptr : std::memchr(p, separator, end - p);
      const char* stop = found == nullptr ? end : static_cast<const char*>(found);
      fields_.emplace_back(p, stop - p);
      p = stop;
    }
    if (p == end) return fields_;
    ++p;  // the separator; a field follows, be it empty
  }
}

// Returns where the separator or the end is.
const char* FieldCutter::CutQuoted(const char* p, const char* end, char separator) {
  const size_t start = unquoted_.size();
  for (++p; p < end; ++p) {
    if (*p != '"') {
      unquoted_.push_back(*p);
    } else if (p + 1 < end && p[1] == '"') {
      unquoted_.push_back(*p++);
    } else {
      ++p;
      break;
    }
  }
  // What stands between the closing quote and the separator belongs to the field.
  while (p < end && *p != separator) unquoted_.push_back(*p++);
  fields_.emplace_back(unquoted_.data() + start, unquoted_.size() - start);
  return p;
}

std::vector<std::string> FieldsOf(std::string_view line, char separator) {
  FieldCutter cutter;
  std::vector<std::string> fields;
  for (const std::string_view field : cutter.Cut(line, separator)) {
    fields.emplace_back(Trimmed(field));
  }
  return fields;
}

}  // namespace capstan
