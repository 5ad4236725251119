#include "launch/shell_words.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

using Words = std::vector<std::string>;

TEST(SplitShellWords, AsAShellDoes) {
  EXPECT_EQ(*SplitShellWords("a  b\tc\n d"), (Words{"a", "b", "c", "d"}));
  EXPECT_EQ(*SplitShellWords("--x='a b' \"c d\" e\\ f ''"), (Words{"--x=a b", "c d", "e f", ""}));
  EXPECT_EQ(*SplitShellWords(R"("a\"b\\c\d")"), (Words{R"(a"b\c\d)"}));
  EXPECT_EQ(*SplitShellWords("a \\\n b # a comment"), (Words{"a", "b"}));
  EXPECT_EQ(*SplitShellWords("--hosts={ps_hosts} x*.tfrecord a$"),
            (Words{"--hosts={ps_hosts}", "x*.tfrecord", "a$"}));
  EXPECT_EQ(*SplitShellWords("'$HOME' 5"), (Words{"$HOME", "5"}));
  EXPECT_TRUE(SplitShellWords("  ")->empty());
}

TEST(SplitShellWords, RefusesWhatOnlyShellsDo) {
  for (const char* line : {"a | b", "a; b", "a && b", "a > b", "a < b", "$(date)", "$HOME",
                           "\"${X}\"", "`date`", "\"`date`\""}) {
    const auto words = SplitShellWords(line);
    ASSERT_FALSE(words.ok()) << line;
    EXPECT_NE(Message(words.status()).find("needs a shell"), std::string::npos) << line;
  }
  for (const char* line : {"'a", "\"a", "a\\"}) EXPECT_FALSE(SplitShellWords(line).ok()) << line;
}

TEST(JoinShellWords, SplitsBack) {
  const Words words = {"a", "", "b c", "it's", "--x=$(Y)", "a|b", "{\"k\": 1}", "\\"};
  EXPECT_EQ(*SplitShellWords(JoinShellWords(words)), words);
}

}  // namespace
}  // namespace capstan
