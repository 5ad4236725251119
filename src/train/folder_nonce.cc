#include "train/folder_nonce.h"

#include "base/random.h"

namespace capstan {

StatusOr<std::string> WriteFolderNonce(FileSystem& fs, const std::string& folder, uint64_t random) {
  const std::string nonce = fmt::format("{:016x}", MixBits(random, 2));
  RETURN_IF_ERROR(WriteFileAtomically(fs, JoinPath(folder, kNonceFile), nonce + "\n"));
  return nonce;
}

bool FolderHasNonce(FileSystem& fs, const std::string& folder, const std::string& nonce) {
  if (nonce.empty()) return false;
  const StatusOr<std::string> found = ReadFile(fs, JoinPath(folder, kNonceFile), 64);
  return found.ok() && *found == nonce + "\n";
}

}  // namespace capstan
