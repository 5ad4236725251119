#include "ps/worker_paces.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStart{5000};

// A step in which the worker does so many slices in so many milliseconds.
void DoStep(WorkerPaces* paces, int worker, int64_t step, int slices, int ms) {
  paces->Given(worker, step, slices, kStart);
  paces->Reported(worker, step, slices, kStart + milliseconds(ms));
}

TEST(WorkerPacesTest, EqualSharesRoundedUpAtFirst) {
  WorkerPaces paces;
  EXPECT_EQ(paces.ShareOf(0, 8), 8);
  for (int worker = 0; worker < 3; ++worker) paces.Meet(worker);
  paces.Meet(1);
  EXPECT_EQ(paces.ShareOf(0, 8), 3);
  EXPECT_EQ(paces.ShareOf(2, 1), 1);
  paces.Lost(1);
  EXPECT_EQ(paces.ShareOf(0, 8), 4);
}

TEST(WorkerPacesTest, SharesFollowThePace) {
  WorkerPaces paces;
  DoStep(&paces, 0, 1, 4, 100);
  DoStep(&paces, 1, 1, 4, 300);
  EXPECT_EQ(paces.ShareOf(0, 8), 6);
  EXPECT_EQ(paces.ShareOf(1, 8), 2);
  // A newcomer is an average one: 3 : 1 : 2.
  paces.Meet(2);
  EXPECT_EQ(paces.ShareOf(2, 12), 4);
  EXPECT_EQ(paces.ShareOf(0, 12), 6);
  EXPECT_EQ(paces.ShareOf(1, 12), 2);
  // One that has been lost begins anew.
  paces.Lost(1);
  paces.Meet(1);
  EXPECT_EQ(paces.ShareOf(1, 9), 3);
}

TEST(WorkerPacesTest, NearlyANodeIsANode) {
  WorkerPaces paces;
  DoStep(&paces, 0, 1, 4, 100);
  DoStep(&paces, 1, 1, 4, 140);  // 4.67 and 3.33 of 8
  EXPECT_EQ(paces.ShareOf(0, 8), 4);
  EXPECT_EQ(paces.ShareOf(1, 8), 4);
  EXPECT_EQ(paces.ShareOf(0, 3), 2);
  EXPECT_EQ(paces.ShareOf(1, 3), 1);
  // Never more than there are, never none.
  DoStep(&paces, 2, 1, 1, 1'000'000);
  EXPECT_EQ(paces.ShareOf(2, 8), 1);
  DoStep(&paces, 3, 1, 4, 8);
  EXPECT_EQ(paces.ShareOf(3, 8), 7);
  WorkerPaces alone;
  DoStep(&alone, 0, 1, 7, 100);
  EXPECT_EQ(alone.ShareOf(0, 7), 7);
}

TEST(WorkerPacesTest, ThePaceIsAMovingAverage) {
  WorkerPaces paces;
  DoStep(&paces, 0, 1, 4, 100);
  DoStep(&paces, 1, 1, 4, 100);
  for (int64_t step = 2; step < 4; ++step) {
    DoStep(&paces, 0, step, 4, 100);
    DoStep(&paces, 1, step, 4, 400);
  }
  EXPECT_EQ(paces.ShareOf(0, 9), 6);  // twice as fast: one step of three was as fast
  for (int64_t step = 4; step < 80; ++step) DoStep(&paces, 1, step, 4, 400);
  EXPECT_EQ(paces.ShareOf(0, 10), 8);
  EXPECT_EQ(paces.ShareOf(1, 10), 2);
}

TEST(WorkerPacesTest, WhatIsNoMeasureChangesNothing) {
  WorkerPaces paces;
  paces.Meet(1);
  const auto reports = [&](int64_t step, int slices, int ms) {
    paces.Reported(0, step, slices, kStart + milliseconds(ms));
  };
  paces.Given(0, 1, 4, kStart);
  EXPECT_TRUE(paces.HasHad(0, 1));
  EXPECT_FALSE(paces.HasHad(0, 2));
  EXPECT_FALSE(paces.HasHad(7, 1));
  reports(1, 3, 10);
  reports(2, 4, 10);
  reports(1, 0, 10);
  paces.Reported(7, 1, 4, kStart);
  paces.Given(0, 1, 1, kStart);  // what others have left
  reports(1, 1, 10);
  paces.Given(0, 2, 4, kStart);
  reports(2, 4, 0);  // no time has passed
  reports(2, 4, 10);
  EXPECT_EQ(paces.ShareOf(0, 9), 5);
  EXPECT_EQ(paces.ShareOf(1, 9), 5);
}

}  // namespace
}  // namespace capstan
