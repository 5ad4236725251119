// How `capstan inspect` writes numbers, bytes and tables.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/inspect_parts.h"

namespace capstan {

std::string AlignColumns(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += "  " + row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size(), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string ShortNumber(double number) { return fmt::format("{:.6g}", number); }

std::string Printable(std::string_view bytes, size_t max_bytes) {
  std::string text;
  for (const char c : bytes.substr(0, max_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') {
      text += "\\\\";
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  return bytes.size() > max_bytes ? text + "…" : text;
}

std::string JsonText(std::string_view bytes) {
  // The library refuses to write what is not UTF-8.
  try {
    const nlohmann::json text = std::string(bytes);
    text.dump();
    return std::string(bytes);
  } catch (const nlohmann::json::exception&) {
    return Printable(bytes, bytes.size());
  }
}

}  // namespace capstan
