#include "formats/tensor_bundle.h"

#include <fmt/format.h>

namespace capstan {

std::string BundleIndexPath(const std::string& prefix) { return prefix + ".index"; }

std::string BundleDataPath(const std::string& prefix, int shard, int shard_count) {
  return fmt::format("{}.data-{:05d}-of-{:05d}", prefix, shard, shard_count);
}

}  // namespace capstan
