#include "task/supervisor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <map>

namespace capstan {
namespace {

constexpr char kNeverEnds[] = "while :; do sleep 1000; done";

// A task of a job whose supervisors run on threads here and whose programs are real.
class RunningTask {
 public:
  RunningTask(const std::string& script, TaskLifeOptions life, int lead_port, Socket listener,
              const std::string& token = "secret",
              std::chrono::milliseconds farewell = std::chrono::seconds(10)) {
    EXPECT_EQ(::pipe2(signals_, O_CLOEXEC), 0);
    life.call_interval = life.retry_interval = std::chrono::milliseconds(20);
    life.finish_grace = std::chrono::milliseconds(50);
    life.farewell_timeout = farewell;
    SupervisorOptions options{.life = life};
    options.lead_hosts.assign(life.leads.size(), {.host = "127.0.0.1", .port = lead_port});
    options.link.job = "job";
    options.link.token = token;
    options.program = {.command = {"sh", "-c", script}, .pipe_output = false};
    options.log = [this](const std::string& line) { log += line + "\n"; };
    thread_ = std::thread([this, options, listening = std::move(listener)]() mutable {
      Supervisor supervisor(options, std::move(listening), &clock_);
      exit_code_ = supervisor.Run(signals_[0]);
    });
  }
  ~RunningTask() {
    if (thread_.joinable()) {
      Signal(SIGKILL);
      thread_.join();
    }
    ::close(signals_[0]);
    ::close(signals_[1]);
  }
  void Signal(int number) {
    const auto byte = static_cast<unsigned char>(number);
    EXPECT_EQ(::write(signals_[1], &byte, 1), 1);
  }
  int Wait() {
    thread_.join();
    return exit_code_;
  }
  std::string log;  // after Wait()

 private:
  SystemClock clock_;
  int signals_[2];
  int exit_code_ = -1;
  std::thread thread_;
};

constexpr TaskId kChief{TaskKind::kChief, 0};
constexpr TaskId kPs0{TaskKind::kPs, 0}, kPs1{TaskKind::kPs, 1};
constexpr TaskId kWorker{TaskKind::kWorker, 0};

TaskLifeOptions LifeOf(const TaskId& self) {
  return {.self = self, .leads = {kChief}, .followers = {kWorker, kPs0, kPs1}};
}

struct Listening {
  Socket socket;
  int port;
  Listening() {
    StatusOr<Socket> listener = Listen(0, /*loopback_only=*/true);
    EXPECT_TRUE(listener.ok());
    socket = *std::move(listener);
    port = PortOf(socket);
  }
};

TEST(SupervisorTest, ServersThatNeverEndAreEndedWhenTheChiefIsDone) {
  Listening at;
  RunningTask ps0(kNeverEnds, LifeOf(kPs0), at.port, Socket());
  RunningTask ps1(kNeverEnds, LifeOf(kPs1), at.port, Socket());
  RunningTask worker(kNeverEnds, LifeOf(kWorker), at.port, Socket());
  RunningTask chief("exit 0", LifeOf(kChief), at.port, std::move(at.socket));
  EXPECT_EQ(chief.Wait(), 0);
  EXPECT_EQ(ps0.Wait(), 0);
  EXPECT_EQ(ps1.Wait(), 0);
  EXPECT_EQ(worker.Wait(), 0);
}

TEST(SupervisorTest, AFailureForGoodReachesAll) {
  Listening at;
  RunningTask ps0(kNeverEnds, LifeOf(kPs0), at.port, Socket());
  RunningTask ps1("exit 5", LifeOf(kPs1), at.port, Socket());
  RunningTask worker(kNeverEnds, LifeOf(kWorker), at.port, Socket());
  RunningTask chief(kNeverEnds, LifeOf(kChief), at.port, std::move(at.socket));
  EXPECT_EQ(ps1.Wait(), 5);
  EXPECT_EQ(chief.Wait(), 3);
  EXPECT_EQ(ps0.Wait(), 3);
  EXPECT_EQ(worker.Wait(), 3);
  EXPECT_NE(chief.log.find("ps-1 has failed for good (exit code 5)"), std::string::npos);
}

TEST(SupervisorTest, AnotherTokenIsNotHeard) {
  Listening at;
  TaskLifeOptions impatient = LifeOf(kPs0);
  impatient.start_timeout = std::chrono::milliseconds(500);
  RunningTask ps(kNeverEnds, impatient, at.port, Socket(), "guess", std::chrono::milliseconds(0));
  RunningTask chief(kNeverEnds, LifeOf(kChief), at.port, std::move(at.socket));
  EXPECT_EQ(ps.Wait(), 3);
  EXPECT_NE(ps.log.find("chief-0: refused: a task with another token"), std::string::npos)
      << ps.log;
  chief.Signal(SIGTERM);
  EXPECT_EQ(chief.Wait(), 143);
  EXPECT_NE(chief.log.find("call from 127.0.0.1: a task with another token"), std::string::npos);
  EXPECT_EQ((ps.log + chief.log).find("guess"), std::string::npos);
}

TEST(SupervisorTest, SignalsReachTheProgram) {
  Listening at;
  RunningTask chief("trap 'exit 9' USR1; kill -USR1 $$; while :; do sleep 0.01; done",
                    LifeOf(kChief), at.port, std::move(at.socket), "secret",
                    std::chrono::milliseconds(0));
  EXPECT_EQ(chief.Wait(), 9);
}

TEST(SupervisorTest, AProgramThatIsNotThere) {
  Listening at;
  TaskLifeOptions life{.self = kChief, .leads = {kChief}};
  SupervisorOptions options{.life = life, .lead_hosts = {{"127.0.0.1", at.port}}};
  std::string log;
  options.program.command = {"/no/such/program"};
  options.log = [&](const std::string& line) { log += line + "\n"; };
  SystemClock clock;
  EXPECT_EQ(Supervisor(options, std::move(at.socket), &clock).Run(-1), 127);
  EXPECT_NE(log.find("run /no/such/program: No such file or directory"), std::string::npos);
}

TEST(PeerLinkTest, HostsAndPorts) {
  EXPECT_EQ(ParseHostPort("a.b:22")->host, "a.b");
  EXPECT_EQ(ParseHostPort("[::1]:22")->host, "::1");
  for (const char* bad : {"", "a", "a:", ":1", "a:0", "a:65536", "a:1x"}) {
    EXPECT_FALSE(ParseHostPort(bad).ok()) << bad;
  }
}

TEST(PeerLinkTest, WhatIsNoReportGetsNoAnswer) {
  for (const std::string& line :
       {std::string("GET / HTTP/1.1\r\n"), std::string("job=job from=ps-0 state=failed mac=none\n"),
        std::string(300 << 10, 'x'), std::string()}) {
    Listening at;
    LinkOptions options{.job = "job", .token = "secret", .timeout = std::chrono::milliseconds(500)};
    std::thread stranger([&] {
      IpAddress loopback;
      ParseIpAddress("127.0.0.1", &loopback);
      const auto socket = Connect(loopback, at.port, SOCK_STREAM, options.timeout);
      if (socket.ok()) socket->Write(line, Deadline(options.timeout)).IgnoreError();
    });
    IpAddress from;
    const StatusOr<Socket> caller = Accept(at.socket, &from);
    bool heard = false;
    EXPECT_FALSE(AnswerPeer(*caller, from, options, [&](const TaskReport& report) {
                   heard = true;
                   return report;
                 }).ok());
    EXPECT_FALSE(heard);
    stranger.join();
  }
}

}  // namespace
}  // namespace capstan
