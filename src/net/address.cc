#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace capstan {
namespace {

bool IsHostCharacter(char c, bool bracketed) {
  const bool alphanumeric =
      (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  if (bracketed) return alphanumeric || c == ':' || c == '.' || c == '%';
  return alphanumeric || c == '-' || c == '.' || c == '_';
}

StatusOr<int> ParsePort(std::string_view text, std::string_view port) {
  int value = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
  if (port.empty() || error != std::errc() || end != port.data() + port.size() || value < 0 ||
      value > 65535) {
    return Error("address '{}': port '{}' is no number from 0 to 65535", text, port);
  }
  return value;
}

}  // namespace

StatusOr<Address> ParseAddress(std::string_view text) {
  const bool bracketed = text.starts_with('[');
  size_t host_end = 0;
  if (bracketed) {
    host_end = text.find(']');
    if (host_end == std::string_view::npos) return Error("address '{}': '[' without ']'", text);
  }
  const size_t colon = text.find(':', host_end);
  if (colon == std::string_view::npos || (bracketed && colon != host_end + 1)) {
    return Error("address '{}' has no port, expected host:port", text);
  }
  if (!bracketed && text.find(':', colon + 1) != std::string_view::npos) {
    return Error("address '{}' has several ':', expected host:port or [IPv6]:port", text);
  }
  const std::string_view host = bracketed ? text.substr(1, host_end - 1) : text.substr(0, colon);
  if (host.empty()) return Error("address '{}' has no host, expected host:port", text);
  for (char c : host) {
    if (!IsHostCharacter(c, bracketed)) {
      return Error("address '{}': '{}' cannot be in a host, expected host:port", text, c);
    }
  }
  ASSIGN_OR_RETURN(const int port, ParsePort(text, text.substr(colon + 1)));
  return Address{.host = std::string(host), .port = port};
}

bool IsLoopback(std::string_view address) {
  std::string host(address);
  if (auto parsed = ParseAddress(address); parsed.ok()) host = parsed->host;
  if (strcasecmp(host.c_str(), "localhost") == 0) return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return v6.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace capstan
