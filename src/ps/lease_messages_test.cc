#include "ps/lease_messages.h"

#include <gtest/gtest.h>

#include "formats/says.h"
#include "ps/wire.h"

namespace capstan {
namespace {

InputPosition Position(int64_t first) {
  return {first, first + 1, first + 2, first + 3, first + 4, first + 5, first + 6};
}

LeaseRequest FullRequest() {
  LeaseRequest request;
  request.run = {1, 2};
  request.worker = 3;
  request.incarnation = ~uint64_t{4};
  request.number = ~uint64_t{5};
  request.max_slices = 5;
  request.up_to_step = 6;
  request.leaves = true;
  request.slices = {{7, 8, 9.5, 10.5, 11}, {12, 13, 14.5, 15.5, 16}};
  request.positions = {{17, Position(18)}, {25, Position(26)}};
  request.last_step = 33;
  request.block = ~uint64_t{34};
  request.block_index = 35;
  request.block_done = true;
  request.loss_sum = 36.5;
  request.weight_sum = 37.5;
  request.examples = 38;
  request.staleness_sum = 39;
  request.staleness_max = 40;
  request.pushes = 41;
  return request;
}

LeaseAnswer FullAnswer() {
  LeaseAnswer answer;
  answer.run = {1, 2};
  answer.kind = LeaseBoard::Grant::Kind::kBlock;
  answer.wait_ms = 3;
  answer.step = 4;
  answer.slices = {5, 6, 7};
  answer.block = {.id = 8, .start = Position(9), .first_index = 16, .examples = 17};
  answer.start_step = 18;
  answer.start = Position(19);
  answer.global_step = 26;
  return answer;
}

TEST(LeaseMessagesTest, RequestsComeBack) {
  const std::string bytes = FullRequest().Encode();
  const StatusOr<LeaseRequest> request = LeaseRequest::Decode(bytes);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->run, (RunId{1, 2}));
  EXPECT_EQ(request->worker, 3);
  EXPECT_EQ(request->up_to_step, 6);
  EXPECT_TRUE(request->leaves);
  ASSERT_EQ(request->slices.size(), 2u);
  EXPECT_EQ(request->slices[1].slice, 13);
  EXPECT_EQ(request->slices[1].weight_sum, 15.5);
  ASSERT_EQ(request->positions.size(), 2u);
  EXPECT_EQ(request->positions[1].second.offset, 32);
  EXPECT_TRUE(request->block_done);
  EXPECT_EQ(request->pushes, 41);
  // All other fields: the same bytes again.
  EXPECT_EQ(request->Encode(), bytes);
  const std::string plain = LeaseRequest().Encode();
  ASSERT_TRUE(LeaseRequest::Decode(plain).ok());
  EXPECT_EQ(LeaseRequest::Decode(plain)->Encode(), plain);
  EXPECT_EQ(LeaseRequest::Decode(plain)->block_index, -1);
}

TEST(LeaseMessagesTest, AnswersComeBack) {
  const std::string bytes = FullAnswer().Encode();
  const StatusOr<LeaseAnswer> answer = LeaseAnswer::Decode(bytes);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->kind, LeaseBoard::Grant::Kind::kBlock);
  EXPECT_EQ(answer->slices, (std::vector<int32_t>{5, 6, 7}));
  EXPECT_EQ(answer->block.start.epoch, 9);
  EXPECT_EQ(answer->block.examples, 17);
  EXPECT_EQ(answer->global_step, 26);
  EXPECT_EQ(answer->Encode(), bytes);
}

// Nothing that comes in makes more memory than it has bytes, and no damage is more than a status.
template <typename Message>
void ExpectSurvivesDamage(const std::string& bytes, const std::string& name) {
  for (size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_TRUE(Says(Message::Decode(bytes.substr(0, n)).status(), name + " at byte")) << n;
  }
  EXPECT_TRUE(Says(Message::Decode(bytes + "x").status(), "1 bytes are left over"));
  for (size_t i = 0; i < 8 * bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i / 8] ^= static_cast<char>(1 << (i % 8));
    const auto message = Message::Decode(damaged);
    if (message.ok()) {
      EXPECT_EQ(message->Encode(), damaged) << i;
    }
  }
}

TEST(LeaseMessagesTest, EveryCutAndEveryFlippedBit) {
  ExpectSurvivesDamage<LeaseRequest>(FullRequest().Encode(), "lease request");
  ExpectSurvivesDamage<LeaseAnswer>(FullAnswer().Encode(), "lease answer");
}

TEST(LeaseMessagesTest, CountsBeyondTheBytesAreRefused) {
  const std::string bytes = LeaseAnswer().Encode();
  constexpr size_t kCountOffset = 16 + 1 + 8 + 8;
  WireWriter writer;
  writer.PutBytes(bytes.substr(0, kCountOffset));
  writer.PutVarint(uint64_t{1} << 60);
  writer.PutBytes(bytes.substr(kCountOffset + 1));
  EXPECT_TRUE(Says(LeaseAnswer::Decode(writer.Take()).status(), "counts 1152921504606846976"));
}

}  // namespace
}  // namespace capstan
