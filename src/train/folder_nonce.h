// Whether two tasks see one folder: the chief leaves a word of its own there at each start.
#pragma once

#include <cstdint>
#include <string>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

inline constexpr char kNonceFile[] = ".chief-nonce";

// Writes a new one over the old; returns it. `random`: new at each start of the chief.
StatusOr<std::string> WriteFolderNonce(FileSystem& fs, const std::string& folder, uint64_t random);

bool FolderHasNonce(FileSystem& fs, const std::string& folder, const std::string& nonce);

}  // namespace capstan
