#include "ps/in_process_network.h"

#include <gtest/gtest.h>

#include <atomic>

namespace capstan {
namespace {

// Answers with the request, or keeps the reply.
class Echo : public RequestHandler {
 public:
  void Handle(Method method, std::string request, Reply reply) override {
    ++handled;
    if (request == "keep") {
      MutexLock lock(&mutex);
      kept = std::move(reply);
      return;
    }
    reply(request + "!");
  }
  std::atomic<int> handled = 0;
  Mutex mutex;
  Reply kept GUARDED_BY(mutex);
};

// Counts answers and waits for them.
class Answers {
 public:
  Reply Next() {
    return [this](StatusOr<std::string> answer) {
      MutexLock lock(&mutex_);
      (answer.ok() ? ok_ : failed_) += 1;
      last_ = std::move(answer);
      changed_.NotifyAll();
    };
  }
  void WaitFor(int answers) {
    MutexLock lock(&mutex_);
    while (ok_ + failed_ < answers) changed_.Wait(&mutex_);
  }
  int ok() {
    MutexLock lock(&mutex_);
    return ok_;
  }
  int failed() {
    MutexLock lock(&mutex_);
    return failed_;
  }
  StatusOr<std::string> last() {
    MutexLock lock(&mutex_);
    return last_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int ok_ GUARDED_BY(mutex_) = 0, failed_ GUARDED_BY(mutex_) = 0;
  StatusOr<std::string> last_ GUARDED_BY(mutex_) = std::string();
};

constexpr std::chrono::milliseconds kDeadline{1000};

TEST(InProcessNetwork, DeliversToWhoListens) {
  Echo echo;
  Answers answers;
  InProcessNetwork network;
  network.Register("a:1", &echo);
  const auto transport = network.TransportOf("b");
  transport->Call("a:1", Method::kPull, "hello", kDeadline, answers.Next());
  answers.WaitFor(1);
  EXPECT_EQ(*answers.last(), "hello!");
  transport->Call("nobody:1", Method::kPull, "hello", kDeadline, answers.Next());
  answers.WaitFor(2);
  EXPECT_TRUE(absl::IsUnavailable(answers.last().status()));
  network.CutLink("b", "a:1");
  transport->Call("a:1", Method::kPull, "hello", kDeadline, answers.Next());
  answers.WaitFor(3);
  EXPECT_FALSE(answers.last().ok());
  network.Heal();
  transport->Call("a:1", Method::kPull, "again", kDeadline, answers.Next());
  answers.WaitFor(4);
  EXPECT_EQ(*answers.last(), "again!");
}

TEST(InProcessNetwork, EachCallEndsOnceWhateverIsLost) {
  Echo echo;
  Answers answers;
  InProcessNetwork network({.seed = 3,
                            .drop_request = 0.2,
                            .drop_answer = 0.2,
                            .duplicate = 0.3,
                            .delay = 0.3,
                            .reorder = true},
                           3);
  network.Register("a:1", &echo);
  const auto transport = network.TransportOf("b");
  constexpr int kCalls = 2000;
  for (int i = 0; i < kCalls; ++i) {
    transport->Call("a:1", Method::kPull, "x", kDeadline, answers.Next());
  }
  answers.WaitFor(kCalls);
  EXPECT_NEAR(answers.failed(), kCalls * 0.3, kCalls * 0.1);
  EXPECT_GT(network.statistics().duplicates, kCalls / 10);
  EXPECT_GT(network.statistics().delays, kCalls / 10);
  network.Stop();
  EXPECT_EQ(answers.ok() + answers.failed(), kCalls);
  EXPECT_GT(echo.handled, kCalls / 2);
}

TEST(InProcessNetwork, StopsWithCallsUnderWay) {
  Echo echo;
  Answers answers;
  InProcessNetwork network;
  network.Register("a:1", &echo);
  const auto transport = network.TransportOf("b");
  transport->Call("a:1", Method::kPull, "keep", kDeadline, answers.Next());
  while (echo.handled == 0) std::this_thread::yield();
  network.Expire();
  answers.WaitFor(1);
  EXPECT_TRUE(absl::IsDeadlineExceeded(answers.last().status()));
  transport->Call("a:1", Method::kPull, "keep", kDeadline, answers.Next());
  while (echo.handled == 1) std::this_thread::yield();
  network.Register("a:1", nullptr);
  network.Stop();
  answers.WaitFor(2);
  EXPECT_TRUE(absl::IsCancelled(answers.last().status()));
  transport->Call("a:1", Method::kPull, "late", kDeadline, answers.Next());
  answers.WaitFor(3);
  EXPECT_TRUE(absl::IsCancelled(answers.last().status()));
}

}  // namespace
}  // namespace capstan
