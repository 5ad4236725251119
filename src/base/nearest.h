// "Did you mean …?": the nearest known word to one that is not known.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace capstan {

// Levenshtein distance with adjacent transpositions counted as one edit.
int EditDistance(std::string_view a, std::string_view b);

// The word of `known` nearest to `word`, or "" if none is near enough (at most a third of its
// length, at least two edits, or one is a prefix of the other). Ties go to the earlier word.
std::string NearestWord(std::string_view word, std::span<const std::string> known);

// ", nearest is 'X'" or "".
std::string NearestHint(std::string_view word, std::span<const std::string> known);

}  // namespace capstan
