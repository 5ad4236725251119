#include "launch/shell_words.h"

#include <algorithm>
#include <cctype>

namespace capstan {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kOnlyShells = "|;&<>`()";

class Splitter {
 public:
  explicit Splitter(std::string_view line) : line_(line) {}

  StatusOr<std::vector<std::string>> Split() {
    while (at_ < line_.size()) {
      const char c = line_[at_];
      if (kBlanks.find(c) != std::string_view::npos) {
        EndWord();
        ++at_;
      } else if (c == '#' && !in_word_) {
        at_ = std::min(line_.find('\n', at_), line_.size());
      } else {
        RETURN_IF_ERROR(TakePiece(c));
      }
    }
    EndWord();
    return std::move(words_);
  }

 private:
  Status TakePiece(char c) {
    if (line_.substr(at_).starts_with("\\\n")) {  // the line goes on
      at_ += 2;
      return OkStatus();
    }
    in_word_ = true;
    if (c == '\'') {
      const size_t end = line_.find('\'', at_ + 1);
      if (end == std::string_view::npos) return NotClosed('\'');
      word_ += line_.substr(at_ + 1, end - at_ - 1);
      at_ = end + 1;
      return OkStatus();
    }
    if (c == '"') return TakeDoubleQuoted();
    if (c == '\\') {
      if (at_ + 1 == line_.size()) return Error("command '{}' ends with a backslash", line_);
      word_ += line_[at_ + 1];
      at_ += 2;
      return OkStatus();
    }
    if (kOnlyShells.find(c) != std::string_view::npos) return NeedsShell(std::string(1, c));
    RETURN_IF_ERROR(CheckDollar());
    word_ += c;
    ++at_;
    return OkStatus();
  }

  Status TakeDoubleQuoted() {
    for (++at_; at_ < line_.size(); ++at_) {
      const char c = line_[at_];
      if (c == '"') {
        ++at_;
        return OkStatus();
      }
      if (c == '`') return NeedsShell("`");
      RETURN_IF_ERROR(CheckDollar());
      if (c == '\\' && at_ + 1 < line_.size() &&
          std::string_view("\"\\$`\n").find(line_[at_ + 1]) != std::string_view::npos) {
        ++at_;
        if (line_[at_] == '\n') continue;
      }
      word_ += line_[at_];
    }
    return NotClosed('"');
  }

  Status CheckDollar() const {
    if (line_[at_] != '$' || at_ + 1 == line_.size()) return OkStatus();
    const char next = line_[at_ + 1];
    if (std::isalnum(static_cast<unsigned char>(next)) != 0 || next == '_' || next == '{' ||
        next == '(') {
      return NeedsShell(fmt::format("${}", next));
    }
    return OkStatus();
  }

  Status NeedsShell(const std::string& what) const {
    return Error(
        "command '{}': {} needs a shell, and none runs: quote it for the text itself, or "
        "write [sh, -c, '…']",
        line_, what);
  }
  Status NotClosed(char quote) const {
    return Error("command '{}': a {} is not closed", line_, quote);
  }
  void EndWord() {
    if (in_word_) words_.push_back(std::move(word_));
    word_.clear();
    in_word_ = false;
  }

  const std::string_view line_;
  size_t at_ = 0;
  bool in_word_ = false;
  std::string word_;
  std::vector<std::string> words_;
};

bool IsPlain(const std::string& word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("-_=./,:@%+{}[]*?^~").find(static_cast<char>(c)) !=
               std::string_view::npos;
  });
}

}  // namespace

StatusOr<std::vector<std::string>> SplitShellWords(std::string_view line) {
  return Splitter(line).Split();
}

std::string JoinShellWords(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    if (IsPlain(word)) {
      line += word;
      continue;
    }
    line += '\'';
    for (const char c : word) {
      if (c == '\'') {
        line += "'\\''";
      } else {
        line += c;
      }
    }
    line += '\'';
  }
  return line;
}

}  // namespace capstan
