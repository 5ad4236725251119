// A command line as words.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

// Splits as a POSIX shell does: blanks, 'single' and "double" quotes, backslashes. There is no
// shell: what only one could do ($NAME, `…`, |, ;, &, <, >) is an error that names the character.
// Globs and {braces} are text.
StatusOr<std::vector<std::string>> SplitShellWords(std::string_view line);

// A line that SplitShellWords, and a shell, reads as these words.
std::string JoinShellWords(const std::vector<std::string>& words);

}  // namespace capstan
