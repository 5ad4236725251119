// The flags of `capstan inspect`, for the command and the manual.
#pragma once

#include <string>
#include <vector>

namespace capstan {

class FlagSet;
struct InspectOptions;

void AddInspectFlags(FlagSet* flags, InspectOptions* options, std::vector<std::string>* paths);

}  // namespace capstan
