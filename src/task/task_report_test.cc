#include "task/task_report.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

const TaskReport kReport = {.from = {TaskKind::kWorker, 12},
                            .to = {TaskKind::kPs, 0},
                            .state = TaskReport::State::kReleased,
                            .ended = true,
                            .exit_code = 143,
                            .done = {{TaskKind::kWorker, 0}, {TaskKind::kWorker, 12}}};

TEST(TaskReportTest, ThereAndBack) {
  const std::string line = EncodeReport("clicks", kReport);
  EXPECT_EQ(line,
            "job=clicks from=worker-12 to=ps-0 state=released ended=1 code=143 "
            "done=worker-0,worker-12");
  const auto back = DecodeReport(line, "clicks");
  ASSERT_TRUE(back.ok()) << Message(back.status());
  EXPECT_EQ(*back, kReport);
  // Fields of a later version.
  EXPECT_EQ(*DecodeReport(line + " mood=good", "clicks"), kReport);
}

TEST(TaskReportTest, AnotherJobIsRefused) {
  const auto other = DecodeReport(EncodeReport("clicks", kReport), "clicks2");
  EXPECT_EQ(other.status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(TaskReportTest, EveryDamageIsAStatus) {
  const std::string line = EncodeReport("clicks", kReport);
  for (size_t i = 0; i < line.size(); ++i) {
    DecodeReport(line.substr(0, i), "clicks").status().IgnoreError();
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = line;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      DecodeReport(damaged, "clicks").status().IgnoreError();
    }
  }
  for (const char* bad :
       {"", "job=clicks", "job=clicks from=ps-0", "job=clicks from=ps state=failed",
        "job=clicks from=ps-0 state=happy", "job=clicks from=ps--1 state=failed",
        "job=clicks from=ps-0 state=failed code=256"}) {
    EXPECT_FALSE(DecodeReport(bad, "clicks").ok()) << bad;
  }
}

}  // namespace
}  // namespace capstan
