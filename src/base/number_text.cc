#include "base/number_text.h"

namespace capstan {

std::string WithCommas(int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool is_first = i == 0 || digits[i - 1] == '-';
    if (!is_first && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace capstan
