#include "base/memory_use.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/memory_file_system.h"

namespace capstan {
namespace {

class MemoryUseTest : public testing::Test {
 protected:
  MemoryUseTest() {
    fs_.Put("/proc/meminfo", "MemTotal:       16000 kB\nMemFree:         1 kB\n");
    fs_.Put("/proc/self/statm", "5000 30 20 1 0 10 0\n");
  }
  void Expect(int64_t used, int64_t limit) {
    const StatusOr<MemoryUse> use = ReadMemoryUse(fs_);
    ASSERT_TRUE(use.ok()) << use.status();
    EXPECT_EQ(use->used_bytes, used);
    EXPECT_EQ(use->limit_bytes, limit);
  }
  MemoryFileSystem fs_;
};

TEST_F(MemoryUseTest, NoCgroup) {
  Expect(30 * ::sysconf(_SC_PAGESIZE), 16000 * 1024);
  fs_.Put("/proc/self/cgroup", "0::/\n");
  Expect(30 * ::sysconf(_SC_PAGESIZE), 16000 * 1024);
}

TEST_F(MemoryUseTest, Version2) {
  fs_.Put("/proc/self/cgroup", "0::/pods/one\n");
  fs_.Put("/sys/fs/cgroup/pods/one/memory.max", "1000000\n");
  fs_.Put("/sys/fs/cgroup/pods/one/memory.current", "900000\n");
  fs_.Put("/sys/fs/cgroup/pods/one/memory.stat", "anon 1\nfile 2\ninactive_file 100000\n");
  Expect(800'000, 1'000'000);
}

TEST_F(MemoryUseTest, TheGroupAboveIsNearerToItsLimit) {
  fs_.Put("/proc/self/cgroup", "0::/pods/one\n");
  fs_.Put("/sys/fs/cgroup/pods/one/memory.max", "1000000\n");
  fs_.Put("/sys/fs/cgroup/pods/one/memory.current", "400000\n");
  fs_.Put("/sys/fs/cgroup/pods/memory.max", "2000000\n");
  fs_.Put("/sys/fs/cgroup/pods/memory.current", "1900000\n");
  Expect(1'900'000, 2'000'000);
}

TEST_F(MemoryUseTest, Version1) {
  fs_.Put("/proc/self/cgroup", "7:cpu,cpuacct:/a\n4:hugetlb,memory:/docker/f00\n0::/\n");
  fs_.Put("/sys/fs/cgroup/memory/docker/f00/memory.limit_in_bytes", "1000000\n");
  fs_.Put("/sys/fs/cgroup/memory/docker/f00/memory.usage_in_bytes", "500000\n");
  fs_.Put("/sys/fs/cgroup/memory/docker/f00/memory.stat",
          "inactive_file 1\ntotal_inactive_file 200000\n");
  fs_.Put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  fs_.Put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "15000000\n");
  Expect(300'000, 1'000'000);
}

// The path is the host's, the mount the container's own.
TEST_F(MemoryUseTest, Version1InAContainer) {
  fs_.Put("/proc/self/cgroup", "4:memory:/docker/f00\n");
  fs_.Put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n");
  fs_.Put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "500000\n");
  Expect(500'000, 1'000'000);
}

TEST_F(MemoryUseTest, LimitsThatAreNone) {
  fs_.Put("/proc/self/cgroup", "0::/a\n4:memory:/b\n");
  fs_.Put("/sys/fs/cgroup/a/memory.max", "max\n");
  fs_.Put("/sys/fs/cgroup/a/memory.current", "500000\n");
  fs_.Put("/sys/fs/cgroup/memory/b/memory.limit_in_bytes", "9223372036854771712\n");
  fs_.Put("/sys/fs/cgroup/memory/b/memory.usage_in_bytes", "500000\n");
  Expect(30 * ::sysconf(_SC_PAGESIZE), 16000 * 1024);
}

TEST_F(MemoryUseTest, StrangeFiles) {
  for (const char* text : {"", "\n", ":", "::", "0::", "0:::", "memory", "4:memory", "4:memory:"}) {
    fs_.Put("/proc/self/cgroup", text);
    Expect(30 * ::sysconf(_SC_PAGESIZE), 16000 * 1024);
  }
  fs_.Put("/proc/self/statm", "");
  Expect(0, 16000 * 1024);
  fs_.Put("/proc/meminfo", "MemTotal: many\n");
  EXPECT_FALSE(ReadMemoryUse(fs_).ok());
}

TEST(ThisMachinesMemoryTest, IsRead) {
  const StatusOr<MemoryUse> use = ReadMemoryUse(*NewLocalFileSystem());
  ASSERT_TRUE(use.ok()) << use.status();
  EXPECT_GT(use->used_bytes, 0);
  EXPECT_GT(use->limit_bytes, use->used_bytes);
}

}  // namespace
}  // namespace capstan
