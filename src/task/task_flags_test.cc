#include "task/task_flags.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

using Words = std::vector<std::string>;

StatusOr<TaskFlags> Parse(Words words) {
  words.insert(words.end(), {"--", "python3", "train.py"});
  return ParseTaskFlags(words);
}

TEST(TaskFlagsTest, AServerOfAJobWithAChief) {
  const auto flags =
      Parse({"--job=clicks", "--role=ps", "--index=1", "--tasks=chief:1,worker:2,ps:2",
             "--leaders=clicks-chief-0.clicks.ns.svc", "--codes=42:0,50-59:1",
             "--final_codes=1-127,200", "--peer_timeout=1.5"});
  ASSERT_TRUE(flags.ok()) << Message(flags.status());
  EXPECT_EQ(flags->life.self.Text(), "ps-1");
  ASSERT_EQ(flags->life.leads.size(), 1u);
  EXPECT_EQ(flags->life.leads[0].Text(), "chief-0");
  EXPECT_EQ(flags->life.followers.size(), 4u);
  EXPECT_EQ(flags->lead_hosts[0].host, "clicks-chief-0.clicks.ns.svc");
  EXPECT_EQ(flags->lead_hosts[0].port, 2221);
  EXPECT_FALSE(flags->life.all_workers);
  EXPECT_EQ(flags->life.peer_timeout.count(), 1500);
  EXPECT_EQ(flags->ExitCodeFor(42), 0);
  EXPECT_EQ(flags->ExitCodeFor(55), 1);
  EXPECT_EQ(flags->ExitCodeFor(7), 7);
  EXPECT_EQ(flags->life.final_codes.size(), 2u);
  EXPECT_EQ(flags->command, (Words{"python3", "train.py"}));
  EXPECT_FALSE(flags->fills_place);
}

TEST(TaskFlagsTest, LeadersAreWorkersWithoutAChief) {
  const auto one = Parse({"--job=j", "--role=worker", "--index=1", "--tasks=worker:2,ps:1",
                          "--leaders=127.0.0.1:4001"});
  ASSERT_TRUE(one.ok()) << Message(one.status());
  EXPECT_EQ(one->life.leads[0].Text(), "worker-0");
  EXPECT_EQ(one->lead_hosts[0].port, 4001);
  EXPECT_EQ(one->life.followers[0].Text(), "worker-1");
  const auto all =
      Parse({"--job=j", "--role=ps", "--index=0", "--tasks=worker:2,ps:1", "--leaders=a,b"});
  EXPECT_TRUE(all->life.all_workers);
  EXPECT_EQ(all->life.followers.size(), 1u);
}

TEST(TaskFlagsTest, TheIndexOverAllTasksFindsTheRole) {
  const auto flags =
      Parse({"--job=j", "--index=3", "--tasks=chief:1,worker:2,ps:2", "--leaders=a"});
  ASSERT_TRUE(flags.ok()) << Message(flags.status());
  EXPECT_EQ(flags->life.self.Text(), "ps-0");
  EXPECT_TRUE(flags->fills_place);
  EXPECT_EQ(FillPlace("--job_name={job_name} --task_index={task_index} {x}", flags->life.self),
            "--job_name=ps --task_index=0 {x}");
}

TEST(TaskFlagsTest, WhatIsWrongIsNamed) {
  const auto message = [](Words words) { return Message(Parse(std::move(words)).status()); };
  const Words good = {"--job=j", "--role=ps", "--index=0", "--tasks=worker:1,ps:1", "--leaders=a"};
  const auto with = [&](const std::string& word) {
    Words words = good;
    words.push_back(word);
    return words;
  };
  EXPECT_EQ(message(with("--leader=a")), "unknown flag '--leader=a', nearest is '--leaders'");
  EXPECT_EQ(message(with("--index=x")), "flag --index=x: wanted a number from 0");
  EXPECT_EQ(message(with("--index=1")), "task ps 1 is none of those of --tasks");
  EXPECT_EQ(message(with("--role=boss")),
            "flag --role=boss: role 'boss', wanted chief, worker, ps or evaluator");
  EXPECT_EQ(message(with("--final_codes=9-1")), "flag --final_codes=9-1: wanted as 1-127,130");
  EXPECT_EQ(message({"--job=j"}), "flag --tasks is missing: wanted as chief:1,worker:2,ps:2");
  EXPECT_EQ(Message(ParseTaskFlags(good).status()), "no command behind --");
  for (const char* bad :
       {"--tasks=ps", "--tasks=ps:", "--tasks=:", "--tasks=ps:-1", "--codes=:", "--codes=1",
        "--port=0", "--peer_timeout=x", "--insecure=maybe", "--job"}) {
    EXPECT_FALSE(Parse(with(bad)).ok()) << bad;
  }
}

}  // namespace
}  // namespace capstan
