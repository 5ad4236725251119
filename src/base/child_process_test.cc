#include "base/child_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace capstan {
namespace {

using std::chrono::hours;

std::unique_ptr<ChildProcess> Shell(const std::string& script) {
  auto child = ChildProcess::Start({.command = {"sh", "-c", script}});
  EXPECT_TRUE(child.ok()) << Message(child.status());
  return *std::move(child);
}

// Until the end of the pipe.
std::string ReadAll(int fd) {
  std::string text;
  char buffer[4096];
  for (;;) {
    const ssize_t bytes = ::read(fd, buffer, sizeof(buffer));
    if (bytes == 0) return text;
    if (bytes > 0) {
      text.append(buffer, static_cast<size_t>(bytes));
    } else {
      pollfd file{.fd = fd, .events = POLLIN};
      ::poll(&file, 1, -1);
    }
  }
}

// Blocks until a first line is there.
std::string ReadLine(int fd) {
  std::string line;
  char letter = 0;
  while (letter != '\n') {
    pollfd file{.fd = fd, .events = POLLIN};
    ::poll(&file, 1, -1);
    if (::read(fd, &letter, 1) <= 0) return line;
    if (letter != '\n') line.push_back(letter);
  }
  return line;
}

// A file that all who run hold open: its end is the end of all of them.
struct Witness {
  int ends[2];
  Witness() { EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0); }
};

TEST(ChildProcessTest, GivesOutputAndExitCode) {
  auto child = Shell("echo out; echo err >&2; exit 7");
  EXPECT_EQ(ReadAll(child->stdout_fd()), "out\n");
  EXPECT_EQ(ReadAll(child->stderr_fd()), "err\n");
  EXPECT_EQ(child->Wait(), 7);
  EXPECT_EQ(child->Poll(), 7);
}

TEST(ChildProcessTest, AProgramThatASignalEndedGives128AndTheSignal) {
  EXPECT_EQ(Shell("kill -KILL $$")->Wait(), 137);
  EXPECT_EQ(Shell("kill -TERM $$")->Wait(), 143);
}

TEST(ChildProcessTest, WhatCannotBeStartedIsASentence) {
  const auto in_path = ChildProcess::Start({.command = {"no-such-program-anywhere"}});
  EXPECT_EQ(Message(in_path.status()), "run no-such-program-anywhere: no such program in PATH");
  const auto by_path = ChildProcess::Start({.command = {"/no/such"}});
  EXPECT_EQ(Message(by_path.status()), "run /no/such: No such file or directory");
  const auto folder = ChildProcess::Start({.command = {"true"}, .working_folder = "/no/folder"});
  EXPECT_EQ(Message(folder.status()), "run true in folder /no/folder: No such file or directory");
  EXPECT_FALSE(ChildProcess::Start({}).ok());
  const auto no_program = ChildProcess::Start({.command = {"/etc/passwd"}});
  EXPECT_EQ(Message(no_program.status()), "run /etc/passwd: Permission denied");
}

TEST(ChildProcessTest, EnvironmentAndFolder) {
  ASSERT_EQ(::setenv("CAPSTAN_KEPT", "kept", 1), 0);
  auto child = ChildProcess::Start({.command = {"sh", "-c", "echo $CAPSTAN_KEPT $MADE; pwd"},
                                    .env = {{"MADE", "a b=c"}},
                                    .working_folder = "/"});
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(ReadAll((*child)->stdout_fd()), "kept a b=c\n/\n");
}

TEST(ChildProcessTest, TerminateReachesTheWholeGroup) {
  auto child = Shell("sleep 1000 & sleep 1000 & echo there; wait");
  EXPECT_EQ(ReadLine(child->stdout_fd()), "there");
  child->Terminate(hours(1));
  EXPECT_EQ(child->Wait(), 143);
  EXPECT_EQ(ReadAll(child->stdout_fd()), "");  // nobody has the pipe any more
}

TEST(ChildProcessTest, WhoIgnoresTermIsKilledAfterTheGrace) {
  auto child = Shell("trap '' TERM; echo there; while :; do sleep 1000; done");
  EXPECT_EQ(ReadLine(child->stdout_fd()), "there");
  child->Terminate(std::chrono::milliseconds(20));
  EXPECT_EQ(child->Wait(), 137);
}

TEST(ChildProcessTest, ASignalToTheProgramAlone) {
  auto child = Shell("trap 'echo got; exit 5' USR1; echo there; while :; do sleep 0.01; done");
  EXPECT_EQ(ReadLine(child->stdout_fd()), "there");
  child->Signal(SIGUSR1, /*group=*/false);
  EXPECT_EQ(child->Wait(), 5);
  EXPECT_EQ(ReadAll(child->stdout_fd()), "got\n");
}

TEST(ChildProcessTest, WhatAProgramLeavesBehindEndsWithIt) {
  // One in its group, one in a session of its own whose parent is gone.
  auto child = Shell("sleep 1000 & (setsid sleep 1000 &) ; exit 3");
  EXPECT_EQ(child->Wait(), 3);
  EXPECT_EQ(ReadAll(child->stdout_fd()), "");
}

TEST(ChildProcessTest, TheDestructorKills) {
  Witness witness;
  {
    auto child = ChildProcess::Start(
        {.command = {"sh", "-c", "setsid sleep 1000 & sleep 1000"}, .pipe_output = false});
    ASSERT_TRUE(child.ok());
  }
  // Waited for: nothing of it is a child of ours.
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(ChildProcessTest, NothingOutlivesAKillOfOurs) {
  // "We" are a fork that is killed with SIGKILL in mid-life. The pipe ends when all are gone.
  Witness witness;
  const pid_t we = ::fork();
  ASSERT_GE(we, 0);
  if (we == 0) {
    ::dup2(witness.ends[1], STDERR_FILENO);
    ::close(witness.ends[0]);
    ::close(witness.ends[1]);
    auto first = ChildProcess::Start(
        {.command = {"sh", "-c",
                     "setsid sh -c 'trap \"\" TERM HUP; echo 1 >&2; sleep 1000' & wait"},
         .pipe_output = false});
    auto second = ChildProcess::Start(
        {.command = {"sh", "-c", "echo 2 >&2; sleep 1000"}, .pipe_output = false});
    ::pause();
    ::_exit(first.ok() && second.ok());
  }
  ::close(witness.ends[1]);
  ReadLine(witness.ends[0]);
  ReadLine(witness.ends[0]);
  ::kill(we, SIGKILL);
  ::waitpid(we, nullptr, 0);
  EXPECT_EQ(ReadAll(witness.ends[0]), "");
}

TEST(ChildProcessTest, TheEndIsSeenByPoll) {
  auto child = Shell("read line");  // stdin is /dev/null
  pollfd file{.fd = child->end_fd(), .events = POLLIN};
  ASSERT_EQ(::poll(&file, 1, -1), 1);
  EXPECT_EQ(child->Poll(), 1);
}

TEST(ChildProcessTest, AKilledGuardTakesTheProgramAlong) {
  auto child = Shell("echo there; exec sleep 1000");
  EXPECT_EQ(ReadLine(child->stdout_fd()), "there");
  ::kill(child->guard_pid(), SIGKILL);
  EXPECT_EQ(child->Wait(), 137);
  EXPECT_EQ(ReadAll(child->stdout_fd()), "");
}

}  // namespace
}  // namespace capstan
