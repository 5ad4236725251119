#include "ps/messages.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/random.h"
#include "formats/says.h"
#include "ps/key_codec.h"
#include "ps/wire.h"

namespace capstan {
namespace {

constexpr RunId kRun{.run = 0x1234, .generation = 3};

HelloMessage Hello() {
  return {.wire_version = kWireVersion,
          .task = "worker 1",
          .called_task = "ps 0",
          .ps_hosts = "10.0.0.1:2222,10.0.0.2:2222",
          .worker_hosts = "10.0.0.3:2222,10.0.0.4:2222",
          .chief = "10.0.0.3:2222",
          .model_hash = 77,
          .instruction_set = "avx512",
          .incarnation = 5,
          .run = kRun};
}

HelloMessage Answer() {
  HelloMessage hello = Hello();
  hello.task = "ps 0";
  hello.called_task = "worker 1";
  return hello;
}

PullRequest Pull() {
  return {.run = kRun,
          .worker = 1,
          .pull_id = 99,
          .after_step = 7,
          .format = ValueFormat::kBfloat16,
          .keys = {{1, 2, 1000, ~0ull}, {}, {0}}};
}

PullAnswer Answered() {
  return {.applied_step = 7,
          .format = ValueFormat::kFloat32,
          .present = {"\x0f", "", "\x01"},
          .rows = {"0123456789abcdef", "", "wxyz"},
          .dense = "01234567"};
}

PushRequest Push() {
  PushPart a{.identity = {.step = 8, .slice = 3, .lease = 4, .index = 5},
             .weight_sum = 2.5,
             .touched = {"\x0d", "", "\x01"},
             .counts = {"\x01\x02\x01", "", "\x01"},
             .rows = {"0123456789ab", "", "wxyz"}};
  PushPart b = a;
  b.identity.slice = 4;
  return {.run = kRun,
          .worker = 1,
          .pull_id = 99,
          .rates_step = 8,
          .parts = {a, b},
          .dense = {{{3, 1}, "01234567"}, {{4, 1}, ""}}};
}

// A reader of bytes as often as wanted; true if they were taken.
using Decoder = std::function<bool(std::string_view)>;

// Each cut and each flipped bit ends in a status or in another message of about that size.
void Damage(const std::string& bytes, const Decoder& decode) {
  ASSERT_TRUE(decode(bytes));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::string cut = bytes.substr(0, size);
    EXPECT_FALSE(decode(cut)) << size;
  }
  EXPECT_FALSE(decode(bytes + std::string(1, '\0')));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    decode(flipped);
    decode(flipped.substr(1));
  }
  RandomStream random(1);
  for (int round = 0; round < 3000; ++round) {
    std::string noise = bytes;
    for (int i = 0; i < 4; ++i) {
      noise[random.Below(noise.size())] = static_cast<char>(random.Next());
    }
    decode(noise);
  }
}

template <typename Message>
Decoder DecoderOf() {
  return [](std::string_view bytes) {
    const auto message = Message::Decode(bytes);
    return message.ok();
  };
}
template <typename Message>
Decoder TableDecoderOf() {
  return [](std::string_view bytes) {
    const auto message = Message::Decode(bytes, 3);
    if (!message.ok()) return false;
    return true;
  };
}

TEST(Messages, SurviveAnyDamage) {
  Damage(Hello().Encode(), DecoderOf<HelloMessage>());
  Damage(Pull().Encode(), TableDecoderOf<PullRequest>());
  Damage(Answered().Encode(), DecoderOf<PullAnswer>());
  Damage(Push().Encode(), TableDecoderOf<PushRequest>());
  Damage(PushAnswer{.applied_step = 4, .applied = 1, .dropped = 2}.Encode(),
         DecoderOf<PushAnswer>());
  Damage(ControlRequest{.kind = ControlKind::kCut, .run = kRun, .prefix = "model.ckpt-7", .step = 7}
             .Encode(),
         DecoderOf<ControlRequest>());
  Damage(ControlAnswer{.applied_step = 7,
                       .part_prefix = "model.ckpt-7.part",
                       .marks = {{1, 2}, {3, 4}},
                       .rows = 10}
             .Encode(),
         DecoderOf<ControlAnswer>());
}

TEST(Messages, ComeBackAsTheyWere) {
  const std::string pull_bytes = Pull().Encode();
  const PullRequest pull = PullRequest::Decode(pull_bytes, 3).value();
  EXPECT_EQ(pull.run, kRun);
  EXPECT_EQ(pull.pull_id, 99u);
  EXPECT_EQ(pull.after_step, 7);
  EXPECT_TRUE(pull.training && pull.wants_dense && !pull.keys_only);
  EXPECT_EQ(pull.format, ValueFormat::kBfloat16);
  EXPECT_EQ(pull.keys, Pull().keys);

  const std::string answer_bytes = Answered().Encode();
  const PullAnswer answer = PullAnswer::Decode(answer_bytes).value();
  EXPECT_EQ(answer.applied_step, 7);
  EXPECT_FALSE(answer.waiting);
  EXPECT_EQ(answer.present, Answered().present);
  EXPECT_EQ(answer.rows, Answered().rows);
  EXPECT_EQ(answer.dense, Answered().dense);
  EXPECT_EQ((answer.rows[0].data() - answer_bytes.data()) % 16, 0);

  const std::string push_bytes = Push().Encode();
  const PushRequest push = PushRequest::Decode(push_bytes, 3).value();
  ASSERT_EQ(push.parts.size(), 2u);
  EXPECT_EQ(push.parts[0].identity.slice, 3);
  EXPECT_EQ(push.parts[1].identity.slice, 4);
  EXPECT_EQ(push.parts[1].identity.index, 5);
  EXPECT_EQ(push.parts[0].weight_sum, 2.5);
  EXPECT_EQ(push.parts[0].touched, Push().parts[0].touched);
  EXPECT_EQ(push.parts[1].counts, Push().parts[1].counts);
  EXPECT_EQ(push.parts[1].rows, Push().parts[1].rows);
  ASSERT_EQ(push.dense.size(), 2u);
  EXPECT_EQ(push.dense[0].node, (SliceNode{3, 1}));
  EXPECT_EQ(push.dense[0].values, "01234567");
  EXPECT_EQ(push.dense[1].node, (SliceNode{4, 1}));
  EXPECT_EQ(push.dense[1].values, "");
  EXPECT_EQ((push.parts[0].rows[0].data() - push_bytes.data()) % 16, 0);
}

TEST(Messages, NameWhatIsWrong) {
  EXPECT_EQ(Message(PullRequest::Decode(Pull().Encode(), 2).status()),
            "pull request at byte 39: 3 tables, wanted 2");
  EXPECT_EQ(Message(PushRequest::Decode(Push().Encode(), 4).status()).substr(0, 24),
            "push request at byte 39:");
  PushRequest push = Push();
  push.dense.push_back({{5, 1}, ""});
  EXPECT_TRUE(Says(PushRequest::Decode(push.Encode(), 3).status(), "3 dense sums of 2 parts"));
  push = Push();
  push.dense[1].node.count = -1;
  EXPECT_TRUE(Says(PushRequest::Decode(push.Encode(), 3).status(), "slice 4294967295"));
  std::string keys;
  EncodeKeys(std::vector<uint64_t>{5, 6}, &keys);
  keys += '\0';
  std::string_view view = keys;
  std::vector<uint64_t> decoded;
  EXPECT_EQ(Message(DecodeKeys(3, &view, &decoded)),
            "decode keys: key 2 of 3 is not above the one before");
  view = keys;
  EXPECT_EQ(Message(DecodeKeys(uint64_t{1} << 60, &view, &decoded)),
            "decode keys: 1152921504606846976 keys in 3 bytes");
  std::string wrapping("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02", 11);
  view = wrapping;
  EXPECT_FALSE(DecodeKeys(2, &view, &decoded).ok());
}

TEST(KeyCodec, KeysOfEverySize) {
  RandomStream random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<uint64_t> keys;
    for (uint64_t i = random.Below(300); i > 0; --i) keys.push_back(random.Next() >> (round % 64));
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    std::string bytes;
    EncodeKeys(keys, &bytes);
    std::string_view view = bytes;
    std::vector<uint64_t> decoded;
    ASSERT_TRUE(DecodeKeys(keys.size(), &view, &decoded).ok());
    EXPECT_EQ(decoded, keys);
    EXPECT_TRUE(view.empty());
  }
  std::string bytes;
  for (const uint32_t count : {1u, 127u, 128u, ~0u}) EncodeCount(count, &bytes);
  std::string_view view = bytes;
  for (const uint32_t count : {1u, 127u, 128u, ~0u, 0u}) EXPECT_EQ(DecodeCount(&view), count);
}

TEST(CompareHello, EqualTasksBelongTogether) {
  EXPECT_TRUE(CompareHello(Hello(), Answer()).ok());
  EXPECT_TRUE(CompareHello(Answer(), Hello()).ok());
  HelloMessage fresh = Hello();
  fresh.run = {};
  fresh.worker_hosts = ",10.0.0.4:2222";  // of a sparse TF_CONFIG
  EXPECT_TRUE(CompareHello(fresh, Answer()).ok());
  HelloMessage later = Hello();
  ++later.run.generation;
  EXPECT_TRUE(CompareHello(later, Answer()).ok());
}

TEST(CompareHello, EachDifferenceIsASentenceWithBothValues) {
  const auto sentence = [](const std::function<void(HelloMessage*)>& change) {
    HelloMessage answer = Answer();
    change(&answer);
    const Status status = CompareHello(Hello(), answer);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    return Message(status);
  };
  EXPECT_EQ(sentence([](HelloMessage* m) { m->wire_version = 9; }),
            "worker 1 speaks version 3 of the wire, ps 0 version 9: use one program for all tasks");
  EXPECT_EQ(sentence([](HelloMessage* m) { m->task = "ps 1"; }),
            "worker 1 called ps 0, but ps 1 answered: is its address in the lists?");
  EXPECT_EQ(sentence([](HelloMessage* m) { m->called_task = "worker 0"; }),
            "ps 0 called worker 0, but worker 1 is here: is its address in the lists?");
  EXPECT_EQ(sentence([](HelloMessage* m) { m->ps_hosts = "10.0.0.1:2222,10.0.0.2:2223"; }),
            "the ps_hosts differ: ps 1 is 10.0.0.2:2222 for worker 1, but 10.0.0.2:2223 for ps 0");
  EXPECT_EQ(sentence([](HelloMessage* m) { m->worker_hosts = "10.0.0.3:2222"; }),
            "the worker_hosts differ: 2 for worker 1 (10.0.0.3:2222,10.0.0.4:2222), but 1 for ps 0 "
            "(10.0.0.3:2222)");
  EXPECT_EQ(sentence([](HelloMessage* m) { m->chief = "10.0.0.9:2222"; }),
            "the chief differs: '10.0.0.3:2222' for worker 1, but '10.0.0.9:2222' for ps 0");
  EXPECT_NE(sentence([](HelloMessage* m) { m->model_hash = 78; })
                .find("the models differ: "
                      "000000000000004d for"),
            std::string::npos);
  EXPECT_NE(sentence([](HelloMessage* m) { m->instruction_set = "avx2"; }).find("avx512 on"),
            std::string::npos);
  EXPECT_NE(sentence([](HelloMessage* m) { m->run.run = 9; }).find("the runs differ"),
            std::string::npos);
}

// A stranger's version is told even when the rest of its message has another form.
TEST(CompareHello, OtherVersionsAreTold) {
  WireWriter writer;
  writer.PutU32(kWireVersion + 1);
  writer.PutU64(12345);
  const HelloMessage hello = HelloMessage::Decode(writer.Take()).value();
  EXPECT_EQ(Message(CompareHello(Hello(), hello)),
            "worker 1 speaks version 3 of the wire, the other task version 4: use one program for "
            "all tasks");
}

}  // namespace
}  // namespace capstan
