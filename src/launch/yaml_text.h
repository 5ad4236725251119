// JSON as YAML that people read and that any YAML parser reads back as the same JSON.
#pragma once

#include <string>

namespace capstan {

// `json` must be valid. Block style, two blanks of indentation, keys in the order given, short
// lists of numbers on one line, text in quotes only where it must be. Ends with a line's end.
std::string YamlOfJson(const std::string& json);

}  // namespace capstan
