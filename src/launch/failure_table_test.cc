#include "launch/failure_table.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

TEST(FailureTable, DefaultIsTfJobsRule) {
  const FailureTable table;
  EXPECT_EQ(table.ActionFor(0), FailureAction::kSucceed);
  EXPECT_EQ(table.ActionFor(1), FailureAction::kFailJob);
  EXPECT_EQ(table.ActionFor(127), FailureAction::kFailJob);
  EXPECT_EQ(table.ActionFor(128), FailureAction::kRetry);
  EXPECT_EQ(table.ActionFor(143), FailureAction::kRetry);
  EXPECT_EQ(table.Ranges(), (std::vector<FailureRule>{{1, 127, FailureAction::kFailJob},
                                                      {128, 255, FailureAction::kRetry}}));
}

TEST(FailureTable, FirstRuleCounts) {
  const FailureTable table{.rules = {{137, 137, FailureAction::kGiveUp},
                                     {1, 200, FailureAction::kRetry},
                                     {42, 42, FailureAction::kSucceed}}};
  EXPECT_EQ(table.ActionFor(137), FailureAction::kGiveUp);
  EXPECT_EQ(table.ActionFor(42), FailureAction::kRetry);
  EXPECT_EQ(table.ActionFor(201), FailureAction::kRetry);
  EXPECT_EQ(table.Ranges(), (std::vector<FailureRule>{{1, 136, FailureAction::kRetry},
                                                      {137, 137, FailureAction::kGiveUp},
                                                      {138, 255, FailureAction::kRetry}}));
}

TEST(FailureTable, LimitEndsRetriesAndEvictionIsFree) {
  FailureTable table{.retry_limit = 2};
  EXPECT_EQ(table.ActionFor({.exit_code = 137}, 1), FailureAction::kRetry);
  EXPECT_EQ(table.ActionFor({.exit_code = 137}, 2), FailureAction::kFailJob);
  EXPECT_EQ(table.ActionFor({.exit_code = 1, .evicted = true}, 9), FailureAction::kRetry);
  EXPECT_EQ(table.ActionFor({.exit_code = 0}, 9), FailureAction::kSucceed);
  table.at_limit = FailureAction::kGiveUp;
  EXPECT_EQ(table.ActionFor({.exit_code = 137}, 2), FailureAction::kGiveUp);
}

TEST(RetryCount, ProgressGivesTheLimitBack) {
  RetryCount count;
  count.NoteStep(10);
  count.AddRetry();
  count.AddRetry();
  count.NoteStep(5);  // again what was done before
  EXPECT_EQ(count.retries(), 2);
  count.NoteStep(11);
  EXPECT_EQ(count.retries(), 0);
}

TEST(RetryDelay, DoublesUpToAMinute) {
  EXPECT_EQ(RetryDelay(1).count(), 1000);
  EXPECT_EQ(RetryDelay(2).count(), 2000);
  EXPECT_EQ(RetryDelay(100).count(), 60'000);
}

TEST(ParseExitCodes, NumbersAndRanges) {
  EXPECT_EQ(*ParseExitCodes("137"), (FailureRule{.first = 137, .last = 137}));
  EXPECT_EQ(*ParseExitCodes("1-127"), (FailureRule{.first = 1, .last = 127}));
  for (const char* bad :
       {"", "0", "256", "1-", "-5", "5-3", "1-300", "x", "1 - 2", "999999999999"}) {
    EXPECT_FALSE(ParseExitCodes(bad).ok()) << bad;
  }
}

TEST(ParseFailureAction, NamesTheNearest) {
  EXPECT_EQ(*ParseFailureAction("give_up"), FailureAction::kGiveUp);
  EXPECT_NE(Message(ParseFailureAction("retyr").status()).find("nearest is 'retry'"),
            std::string::npos);
}

}  // namespace
}  // namespace capstan
