#include "train/control_round.h"

#include <gtest/gtest.h>

#include <thread>

#include "formats/says.h"
#include "ps/in_process_network.h"

namespace capstan {
namespace {

using std::chrono::microseconds;

constexpr std::chrono::milliseconds kDeadline{1000};

// Answers with its number, or refuses.
class Server : public RequestHandler {
 public:
  explicit Server(int64_t number) : number_(number) {}
  void Handle(Method, std::string request, Reply reply) override {
    const auto decoded = ControlRequest::Decode(request);
    if (!decoded.ok()) return reply(decoded.status());
    if (decoded->step < 0) return reply(Error("refused"));
    reply(ControlAnswer{.applied_step = number_}.Encode());
  }

 private:
  const int64_t number_;
};

class ControlRoundTest : public testing::Test {
 protected:
  void SetUp() override {
    network_.Register("a", &a_);
    network_.Register("b", &b_);
  }
  void TearDown() override { network_.Stop(); }
  // As the chief's loop does it.
  void Finish(ControlRound* round) {
    while (!round->done()) {
      now_ += microseconds(1000);
      round->Resend(now_);
      std::this_thread::yield();
    }
  }

  InProcessNetwork network_{{.seed = 3, .drop_request = 0.3, .drop_answer = 0.3, .duplicate = 0.3},
                            2};
  std::unique_ptr<Transport> transport_ = network_.TransportOf("chief");
  Server a_{1}, b_{2};
  microseconds now_{0};
};

TEST_F(ControlRoundTest, GoesThroughABadNetwork) {
  for (int i = 0; i < 50; ++i) {
    ControlRound round(transport_.get(), {"a", "b"}, ControlRequest(), kDeadline);
    Finish(&round);
    ASSERT_TRUE(round.status().ok());
    ASSERT_EQ(round.answers().size(), 2u);
    EXPECT_EQ(round.answers()[0].applied_step, 1);
    EXPECT_EQ(round.answers()[1].applied_step, 2);
  }
}

// A server that is not there is waited for; whoever knows that it is gone drops the round.
TEST_F(ControlRoundTest, WaitsForAServer) {
  network_.Register("b", nullptr);
  ControlRound round(transport_.get(), {"a", "b"}, ControlRequest(), kDeadline);
  for (int i = 0; i < 1000; ++i) round.Resend(now_ += microseconds(1000));
  EXPECT_FALSE(round.done());
  network_.Register("b", &b_);
  Finish(&round);
  EXPECT_TRUE(round.status().ok());
}

TEST_F(ControlRoundTest, ARefusalEndsIt) {
  network_.Register("b", nullptr);
  ControlRound round(transport_.get(), {"a", "b"}, ControlRequest{.step = -1}, kDeadline);
  Finish(&round);
  EXPECT_EQ(Message(round.status()), "ps 0 (a): refused");
}

}  // namespace
}  // namespace capstan
