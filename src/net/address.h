// "host:port" as tasks are given them: "10.0.0.1:2222", "trainer-ps-0.jobs:2222", "[::1]:2222".
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace capstan {

struct Address {
  std::string host;  // without brackets
  int port = 0;      // 0 to 65535; 0 is for servers that take any free port
};

// Errors quote the text and say what is wrong with it. Names are not resolved.
StatusOr<Address> ParseAddress(std::string_view text);

// Whether only this machine can reach it: localhost, 127.0.0.0/8, ::1, as an address or as a host
// alone. Any other name is not loopback, whatever it resolves to.
bool IsLoopback(std::string_view address);

}  // namespace capstan
