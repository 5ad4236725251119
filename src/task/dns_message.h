// Questions and answers of the domain name system (RFC 1035, 3596), as far as a stub needs them.
//
//   message := id:2 flags:2 questions:2 answers:2 authorities:2 additions:2 question… record…
//   question := name type:2 class:2        record := name type:2 class:2 ttl:4 size:2 data
//   name := (length:1 letters)* 0 | … pointer:2 (upper two bits set, offset into the message)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "task/host_resolver.h"

namespace capstan {

enum class DnsType : uint16_t { kA = 1, kAaaa = 28 };

// kInvalidArgument for a name that DNS cannot have (labels over 63 letters, 255 in all).
StatusOr<std::string> DnsQuestion(uint16_t id, const std::string& name, DnsType type);

struct DnsAnswer {
  bool truncated = false;  // ask again over TCP
  int code = 0;            // 0: fine, 3: no such name
  std::vector<IpAddress> addresses;
};
// kDataLoss for anything that is not a whole answer to `question`.
StatusOr<DnsAnswer> ParseDnsAnswer(std::string_view message, std::string_view question,
                                   DnsType type);

}  // namespace capstan
