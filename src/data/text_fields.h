// Numbers and fields in lines of text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace capstan {

// Without blanks at both ends.
std::string_view Trimmed(std::string_view text);

// The whole text (blanks around it aside) as a number; a leading + is fine; nan and inf are read.
bool ParseFloat(std::string_view text, float* value);
bool ParseInt(std::string_view text, int64_t* value);
// Hexadecimal digits without prefix.
bool ParseHex(std::string_view text, int64_t* value);

// Cuts a line at its separators. A field in double quotes may hold separators, and "" for a quote;
// line ends inside quotes are not supported.
class FieldCutter {
 public:
  // Valid until the next call, as long as the line lives.
  const std::vector<std::string_view>& Cut(std::string_view line, char separator);

 private:
  const char* CutQuoted(const char* p, const char* end, char separator);

  std::vector<std::string_view> fields_;
  std::string unquoted_;  // fields that had "" in them
};

// "a,b" of a header or a list → {"a", "b"}, trimmed and unquoted.
std::vector<std::string> FieldsOf(std::string_view line, char separator);

}  // namespace capstan
