#include "base/memory_use.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

namespace capstan {
namespace {

// A cgroup hierarchy with memory limits: where it is mounted, and how its files are called.
struct Hierarchy {
  const char *mount, *limit, *usage, *droppable;  // droppable: its name in memory.stat
};
constexpr Hierarchy kVersion1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                 "memory.usage_in_bytes", "total_inactive_file"};
constexpr Hierarchy kVersion2 = {"/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};

// Files of the kernel have no size until they are read.
StatusOr<std::string> ReadKernelFile(FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ReadableFile> file, fs.OpenForRead(path));
  std::string text(size_t{1} << 16, '\0');
  ASSIGN_OR_RETURN(const size_t size, file->Read(0, text.size(), text.data()));
  text.resize(size);
  return text;
}

// The number that `text` begins with, after blanks.
std::optional<int64_t> NumberAt(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

// Of the line "name 123" or "name:  123 kB".
std::optional<int64_t> NumberOf(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.size() <= name.size() || !line.starts_with(name)) continue;
    const char behind = line[name.size()];
    if (behind == ' ' || behind == ':') return NumberAt(line.substr(name.size() + 1));
  }
  return std::nullopt;
}

std::optional<int64_t> ReadNumber(FileSystem& fs, const std::string& path) {
  const StatusOr<std::string> text = ReadKernelFile(fs, path);
  return text.ok() ? NumberAt(*text) : std::nullopt;
}

// Lines of /proc/self/cgroup: "4:cpu,memory:/path" (version 1), "0::/path" (version 2).
std::optional<std::string> PathOfLine(std::string_view line, const Hierarchy& hierarchy) {
  const size_t first = line.find(':');
  const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::string controllers =
      "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
  const bool is_it = hierarchy.mount == kVersion2.mount
                         ? controllers == ",,"
                         : controllers.find(",memory,") != std::string::npos;
  if (!is_it || !line.substr(second + 1).starts_with('/')) return std::nullopt;
  return std::string(line.substr(second + 1));
}

// Of one cgroup; none: it has no limit, or no such files.
std::optional<MemoryUse> UseOf(FileSystem& fs, const Hierarchy& hierarchy,
                               const std::string& folder, int64_t machine_bytes) {
  const std::optional<int64_t> limit = ReadNumber(fs, JoinPath(folder, hierarchy.limit));
  if (!limit.has_value() || *limit <= 0 || *limit >= machine_bytes) return std::nullopt;
  const std::optional<int64_t> usage = ReadNumber(fs, JoinPath(folder, hierarchy.usage));
  if (!usage.has_value()) return std::nullopt;
  const StatusOr<std::string> stat = ReadKernelFile(fs, JoinPath(folder, "memory.stat"));
  const int64_t droppable = stat.ok() ? NumberOf(*stat, hierarchy.droppable).value_or(0) : 0;
  return MemoryUse{.used_bytes = std::max<int64_t>(*usage - droppable, 0), .limit_bytes = *limit};
}

}  // namespace

StatusOr<MemoryUse> ReadMemoryUse(FileSystem& fs) {
  ASSIGN_OR_RETURN(const std::string machine, ReadKernelFile(fs, "/proc/meminfo"));
  const std::optional<int64_t> total_kb = NumberOf(machine, "MemTotal");
  if (!total_kb.has_value() || *total_kb <= 0) return Error("read /proc/meminfo: no MemTotal");
  const int64_t machine_bytes = *total_kb * 1024;

  std::optional<MemoryUse> nearest;
  std::string groups = ReadKernelFile(fs, "/proc/self/cgroup").value_or("");
  for (std::string_view rest = groups; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    for (const Hierarchy& hierarchy : {kVersion1, kVersion2}) {
      std::optional<std::string> path = PathOfLine(line, hierarchy);
      // In a container the path may be the host's; then only the mount itself is there.
      while (path.has_value()) {
        const auto use = UseOf(fs, hierarchy, hierarchy.mount + *path, machine_bytes);
        if (use.has_value() && (!nearest || use->fraction() > nearest->fraction())) nearest = use;
        if (path->empty()) break;
        path->resize(*path == "/" ? 0 : path->rfind('/'));
      }
    }
  }
  if (nearest.has_value()) return *nearest;

  ASSIGN_OR_RETURN(const std::string pages, ReadKernelFile(fs, "/proc/self/statm"));
  // "size resident shared …", in pages.
  const std::string_view resident =
      std::string_view(pages).substr(std::min(pages.find(' '), pages.size()));
  return MemoryUse{.used_bytes = NumberAt(resident).value_or(0) * ::sysconf(_SC_PAGESIZE),
                   .limit_bytes = machine_bytes};
}

}  // namespace capstan
