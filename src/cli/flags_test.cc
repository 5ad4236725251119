#include "cli/flags.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

struct Parsed {
  std::string text = "a";
  int64_t number = 3;
  float rate = 0.5f;
  bool sync = false, bn = true;
  std::vector<std::string> words;
  FlagSet flags{"train", "trains"};
  Status status;

  explicit Parsed(const std::vector<std::string>& args, bool with_words = false) {
    flags.Add("text", &text, "some text", {"txt"});
    flags.Add("number", &number, "a count");
    flags.Add("rate", &rate, "a rate");
    flags.Add("sync", &sync, "a switch");
    flags.Add("bn", &bn, "a switch that is on");
    if (with_words) flags.AddWords("PATH", &words, "files");
    status = flags.Parse(args);
  }
};

TEST(Flags, TakesTensorFlowsForms) {
  Parsed p({"--txt=b=c", "--number", "-7", "--rate=1e-3", "--sync", "--nobn"});
  ASSERT_TRUE(p.status.ok()) << Message(p.status);
  EXPECT_EQ(p.text, "b=c");
  EXPECT_EQ(p.number, -7);
  EXPECT_FLOAT_EQ(p.rate, 1e-3f);
  EXPECT_TRUE(p.sync);
  EXPECT_FALSE(p.bn);
  EXPECT_TRUE(p.flags.Given("text"));
  EXPECT_TRUE(Parsed({"--sync=false", "--bn=True"}).status.ok());
  EXPECT_EQ(Parsed({"--text="}).text, "");
}

TEST(Flags, RefusesWithTheNearest) {
  EXPECT_EQ(Message(Parsed({"--nubmer=3"}).status),
            "unknown flag --nubmer, nearest is --number; `capstan train --help` lists all");
  EXPECT_EQ(Message(Parsed({"--number=3x"}).status),
            "flag --number: found '3x', wanted a whole number");
  EXPECT_EQ(Message(Parsed({"--rate=nan"}).status), "flag --rate: found 'nan', wanted a number");
  EXPECT_EQ(Message(Parsed({"--sync=maybe"}).status),
            "flag --sync: found 'maybe', wanted true or false");
  EXPECT_EQ(Message(Parsed({"file"}).status), "found 'file', but capstan train takes flags only");
  EXPECT_FALSE(Parsed({"--number"}).status.ok());
}

TEST(Flags, TakesWordsWhereTheyAreWanted) {
  Parsed p({"a", "--sync", "b"}, true);
  ASSERT_TRUE(p.status.ok());
  EXPECT_EQ(p.words, (std::vector<std::string>{"a", "b"}));
}

TEST(Flags, HelpAndManualNameEveryFlag) {
  Parsed p({"--help"});
  EXPECT_TRUE(p.flags.help_asked());
  EXPECT_NE(p.flags.Help().find("--text=a"), std::string::npos);
  EXPECT_NE(p.flags.Help().find("(also --txt)"), std::string::npos);
  EXPECT_NE(p.flags.Markdown().find("| `--rate` | `0.5` | a rate |"), std::string::npos);
}

}  // namespace
}  // namespace capstan
