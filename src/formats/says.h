// For tests: EXPECT_TRUE(Says(status, "at offset 21")) shows the message when it says something
// else.
#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "base/status.h"

namespace capstan {

inline ::testing::AssertionResult Says(const Status& status, std::string_view part) {
  if (!status.ok() && Message(status).find(part) != std::string::npos) {
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << "status is '" << status.ToString() << "', wanted '" << part << "'";
}

}  // namespace capstan
