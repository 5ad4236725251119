#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"
#include "formats/example_builder.h"
#include "formats/example_parser.h"
#include "formats/says.h"
#include "formats/varint.h"
#include "tensorflow/example.pb.h"

namespace capstan {
namespace {

using Kind = FeatureView::Kind;

std::string FieldOf(char tag, std::string_view bytes) {
  std::string out(1, tag);
  AppendVarint(bytes.size(), &out);
  return out.append(bytes);
}
// One map entry in a Features message; `feature` is the serialized Feature.
std::string Entry(std::string_view name, std::string_view feature) {
  return FieldOf(0x0a, FieldOf(0x0a, name) + FieldOf(0x12, feature));
}

// A record of `count` features of each kind, some with several values, names of all lengths.
tensorflow::Example RandomExample(uint64_t seed) {
  RandomStream random(seed);
  tensorflow::Example example;
  auto& map = *example.mutable_features()->mutable_feature();
  for (int i = 0; i < 12; ++i) {
    const std::string name = std::string(random.Below(40), 'n') + std::to_string(i);
    tensorflow::Feature& feature = map[name];
    const uint64_t values = random.Below(4) == 0 ? random.Below(60) : 1;
    switch (random.Below(4)) {
      case 0:
        feature.mutable_float_list();
        for (uint64_t v = 0; v < values; ++v) {
          feature.mutable_float_list()->add_value(static_cast<float>(random.Normal()));
        }
        break;
      case 1:
        feature.mutable_int64_list();
        for (uint64_t v = 0; v < values; ++v) {
          feature.mutable_int64_list()->add_value(
              static_cast<int64_t>(random.Next() >> random.Below(64)));
        }
        break;
      case 2:
        feature.mutable_bytes_list();
        for (uint64_t v = 0; v < values; ++v) {
          feature.mutable_bytes_list()->add_value(std::string(random.Below(200), 'v'));
        }
        break;
      default:
        break;  // an empty Feature
    }
  }
  return example;
}

void ExpectSame(const tensorflow::Feature& feature, const FeatureView& view) {
  ASSERT_EQ(static_cast<int>(feature.kind_case()), static_cast<int>(view.kind));
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string_view> bytes;
  if (view.kind == Kind::kFloat) {
    ASSERT_TRUE(AppendFloats(view, &floats).ok());
    ASSERT_EQ(floats, std::vector<float>(feature.float_list().value().begin(),
                                         feature.float_list().value().end()));
    float one = 0;
    ASSERT_EQ(ReadOneFloat(view, &one), floats.size() == 1);
    if (floats.size() == 1) {
      ASSERT_EQ(one, floats[0]);
    }
  } else if (view.kind == Kind::kInt64) {
    ASSERT_TRUE(AppendInts(view, &ints).ok());
    ASSERT_EQ(ints, std::vector<int64_t>(feature.int64_list().value().begin(),
                                         feature.int64_list().value().end()));
    int64_t one = 0;
    ASSERT_EQ(ReadOneInt(view, &one), ints.size() == 1);
    if (ints.size() == 1) {
      ASSERT_EQ(one, ints[0]);
    }
  } else if (view.kind == Kind::kBytes) {
    ASSERT_TRUE(AppendBytes(view, &bytes).ok());
    ASSERT_EQ(bytes.size(), static_cast<size_t>(feature.bytes_list().value_size()));
    for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], feature.bytes_list().value(i));
    std::string_view one;
    ASSERT_EQ(ReadOneBytes(view, &one), bytes.size() == 1);
  }
}

TEST(ExampleParserTest, AgreesWithProtobufInAnyOrder) {
  for (uint64_t schema = 0; schema < 40; ++schema) {
    const tensorflow::Example first = RandomExample(schema);
    std::vector<std::string> names = {"never there"};
    for (const auto& [name, feature] : first.features().feature()) {
      if (names.size() % 5 != 4) names.push_back(name);
    }
    ExampleParser parser(names);
    std::vector<FeatureView> views(names.size());
    for (uint64_t i = 0; i < 30; ++i) {
      // Mostly the same names, sometimes other ones; protobuf's order of maps is random.
      const tensorflow::Example example = i % 7 == 6 ? RandomExample(schema + i) : first;
      const std::string record = example.SerializeAsString();
      ASSERT_TRUE(parser.Parse(record, views).ok());
      for (size_t n = 0; n < names.size(); ++n) {
        const auto found = example.features().feature().find(names[n]);
        if (found == example.features().feature().end()) {
          ASSERT_EQ(views[n].kind, Kind::kMissing);
        } else {
          ExpectSame(found->second, views[n]);
        }
      }
      ASSERT_EQ(ListFeatures(record)->size(),
                static_cast<size_t>(example.features().feature_size()));
    }
  }
}

TEST(ExampleParserTest, EveryVarintLength) {
  ExampleParser parser({"x"});
  std::vector<FeatureView> views(1);
  ExampleBuilder builder;
  for (int bits = 0; bits < 64; ++bits) {
    for (const uint64_t value : {uint64_t{1} << bits, (uint64_t{1} << bits) - 1,
                                 ~uint64_t{0} >> bits, MixBits(bits) >> bits}) {
      const auto wanted = static_cast<int64_t>(value);
      builder.AddInts("x", std::span(&wanted, 1));
      ASSERT_TRUE(parser.Parse(builder.Finish(), views).ok());
      int64_t got = 0;
      ASSERT_TRUE(ReadOneInt(views[0], &got));
      ASSERT_EQ(got, wanted);
    }
  }
}

TEST(ExampleParserTest, UnpackedAndMixedLists) {
  // float_list { value: 1.5 (unpacked), value: packed [2.5, 3.5] }, int64_list { 7, packed [8, 9] }
  const std::string floats = std::string("\x0d\x00\x00\xc0\x3f", 5) +
                             FieldOf(0x0a, std::string("\x00\x00\x20\x40\x00\x00\x60\x40", 8));
  const std::string ints = std::string("\x08\x07", 2) + FieldOf(0x0a, "\x08\x09");
  const std::string record =
      FieldOf(0x0a, Entry("f", FieldOf(0x12, floats)) + Entry("i", FieldOf(0x1a, ints)) +
                        Entry("one", FieldOf(0x1a, "\x08\x05")));
  ExampleParser parser({"i", "f", "one"});
  std::vector<FeatureView> views(3);
  ASSERT_TRUE(parser.Parse(record, views).ok());
  std::vector<float> float_values;
  std::vector<int64_t> int_values;
  ASSERT_TRUE(AppendFloats(views[1], &float_values).ok());
  ASSERT_TRUE(AppendInts(views[0], &int_values).ok());
  EXPECT_EQ(float_values, std::vector<float>({1.5f, 2.5f, 3.5f}));
  EXPECT_EQ(int_values, std::vector<int64_t>({7, 8, 9}));
  int64_t one = 0;
  EXPECT_TRUE(ReadOneInt(views[2], &one));
  EXPECT_EQ(one, 5);
  EXPECT_FALSE(ReadOneInt(views[0], &one));
}

TEST(ExampleParserTest, LastOfADoubledKeyCounts) {
  const std::string record =
      FieldOf(0x0a, Entry("a", FieldOf(0x1a, "\x0a\x01\x01")) + Entry("b", "") +
                        Entry("a", FieldOf(0x1a, "\x0a\x01\x02")) + Entry("c", FieldOf(0x1a, "")));
  ExampleParser parser({"a", "b", "c"});
  std::vector<FeatureView> views(3);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(parser.Parse(record, views).ok());
    int64_t value = 0;
    ASSERT_TRUE(ReadOneInt(views[0], &value));
    EXPECT_EQ(value, 2);
    EXPECT_EQ(views[1].kind, Kind::kMissing);
    EXPECT_EQ(views[2].kind, Kind::kInt64);  // there, with no value
    EXPECT_TRUE(views[2].list.empty());
  }
}

TEST(ExampleParserTest, UnknownFieldsAreSkipped) {
  const std::string record =
      "\x18\x05" + FieldOf(0x22, "who knows") +
      FieldOf(0x0a, FieldOf(0x7a, "what") + Entry("a", FieldOf(0x1a, "\x0a\x01\x09") + "\x28\x01"));
  ExampleParser parser({"a"});
  std::vector<FeatureView> views(1);
  ASSERT_TRUE(parser.Parse(record, views).ok());
  int64_t value = 0;
  ASSERT_TRUE(ReadOneInt(views[0], &value));
  EXPECT_EQ(value, 9);
}

TEST(ExampleParserTest, WrongKindIsAnError) {
  const FeatureView view = {Kind::kInt64, std::string_view("\x0a\x01\x09", 3)};
  std::vector<float> values;
  const Status status = AppendFloats(view, &values);
  EXPECT_EQ(Message(status), "parse Example: a feature is int64, wanted float");
  float one = 0;
  EXPECT_FALSE(ReadOneFloat(view, &one));
}

// Every cut and every flipped bit ends in a status or in values, never beyond the bytes (the
// sanitizer build watches: each damaged record is a heap block of its own).
TEST(ExampleParserTest, EveryDamageEndsInAStatus) {
  ExampleBuilder builder;
  const std::vector<float> floats = {1, 2, 3};
  const std::vector<int64_t> ints = {1, 300, -1};
  const std::vector<std::string_view> words = {"", "word"};
  builder.AddFloats("floats", floats);
  builder.AddInts("ints", ints);
  builder.AddBytes("words", words);
  const std::string record(builder.Finish());
  ExampleParser parser({"floats", "ints", "words"});
  std::vector<FeatureView> views(3);
  const auto read_all = [&](std::string_view bytes) {
    std::vector<char> copy(bytes.begin(), bytes.end());
    const Status status = parser.Parse(std::string_view(copy.data(), copy.size()), views);
    if (!status.ok()) {
      EXPECT_TRUE(Says(status, "parse Example at byte "));
      return false;
    }
    std::vector<float> f;
    std::vector<int64_t> i;
    std::vector<std::string_view> b;
    for (const FeatureView& view : views) {
      float one_float = 0;
      int64_t one_int = 0;
      std::string_view one_bytes;
      ReadOneFloat(view, &one_float);
      ReadOneInt(view, &one_int);
      ReadOneBytes(view, &one_bytes);
      AppendFloats(view, &f).IgnoreError();
      AppendInts(view, &i).IgnoreError();
      AppendBytes(view, &b).IgnoreError();
    }
    return true;
  };
  ASSERT_TRUE(read_all(record));
  for (size_t cut = 1; cut < record.size(); ++cut) {
    EXPECT_FALSE(read_all(std::string_view(record).substr(0, cut))) << cut;
    ASSERT_TRUE(read_all(record));
  }
  for (size_t bit = 0; bit < 8 * record.size(); ++bit) {
    std::string flipped = record;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    read_all(flipped);
    ListFeatures(flipped).status().IgnoreError();
  }
}

TEST(ExampleParserTest, DamagedListsAreErrors) {
  const auto status_of = [](Kind kind, std::string_view list) {
    const FeatureView view = {kind, list};
    std::vector<float> f;
    std::vector<int64_t> i;
    std::vector<std::string_view> b;
    if (kind == Kind::kFloat) return AppendFloats(view, &f);
    return kind == Kind::kInt64 ? AppendInts(view, &i) : AppendBytes(view, &b);
  };
  EXPECT_FALSE(status_of(Kind::kFloat, "\x0a\x03wxy").ok());
  EXPECT_FALSE(status_of(Kind::kFloat, "\x0a\x08wxyz").ok());
  EXPECT_FALSE(status_of(Kind::kFloat, "\x0dwxy").ok());
  EXPECT_FALSE(status_of(Kind::kInt64, "\x0a\x01\x80").ok());
  EXPECT_FALSE(status_of(Kind::kInt64, "\x08").ok());
  EXPECT_FALSE(status_of(Kind::kInt64, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f").ok());
  EXPECT_FALSE(status_of(Kind::kBytes, "\x0a\x05wxy").ok());
  EXPECT_EQ(Message(status_of(Kind::kBytes, "\x0a\x05wxy")),
            "parse Example: a bytes list of 5 bytes is damaged");
}

TEST(ExampleBuilderTest, ProtobufReadsIt) {
  ExampleBuilder builder;
  const std::vector<float> floats = {0.5f, -2.0f, std::numeric_limits<float>::infinity()};
  const std::vector<int64_t> ints = {-1, 0, std::numeric_limits<int64_t>::max()};
  const std::vector<std::string_view> words = {"", std::string_view("\0\xff", 2)};
  for (int round = 0; round < 2; ++round) {
    builder.AddFloats("f", floats);
    builder.AddInts("i", ints);
    builder.AddInts("none", {});
    builder.AddBytes("w", words);
    tensorflow::Example example;
    ASSERT_TRUE(example.ParseFromString(std::string(builder.Finish())));
    const auto& map = example.features().feature();
    ASSERT_EQ(map.size(), 4u);
    const auto& got_floats = map.at("f").float_list().value();
    const auto& got_ints = map.at("i").int64_list().value();
    EXPECT_EQ(std::vector<float>(got_floats.begin(), got_floats.end()), floats);
    EXPECT_EQ(std::vector<int64_t>(got_ints.begin(), got_ints.end()), ints);
    EXPECT_TRUE(map.at("none").has_int64_list());
    ASSERT_EQ(map.at("w").bytes_list().value_size(), 2);
    EXPECT_EQ(map.at("w").bytes_list().value(0), "");
    EXPECT_EQ(map.at("w").bytes_list().value(1), words[1]);
  }
  EXPECT_EQ(builder.Finish(), std::string("\x0a\x00", 2));
}

}  // namespace
}  // namespace capstan
