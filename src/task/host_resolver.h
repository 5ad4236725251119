// Looks names of hosts up without the C library, whose own lookup a static program does not have:
// addresses as they are, /etc/hosts, then DNS by the servers and the search list of
// /etc/resolv.conf. Nothing is remembered: a task that moved is found anew.
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

// IPv4 and IPv6 without a port.
struct IpAddress {
  bool is_v6 = false;
  in6_addr v6{};
  in_addr v4{};

  std::string Text() const;
  bool is_loopback() const;
};
bool ParseIpAddress(const std::string& text, IpAddress* address);

// What a resolv.conf says.
struct ResolverConfig {
  struct Server {
    IpAddress address;
    int port = 53;
  };
  std::vector<Server> servers;
  std::vector<std::string> search;
  int ndots = 1;
  std::chrono::milliseconds timeout{2000};  // of one question; the file may ask for less
  int attempts = 2;
};
ResolverConfig ParseResolvConf(std::string_view text);

// Addresses of `host` in a hosts file.
std::vector<IpAddress> FindInHosts(std::string_view hosts, std::string_view host);

// The names to ask for, in order: "ps-0.job" with ndots 5 and search "ns.svc cluster" gives
// "ps-0.job.ns.svc", "ps-0.job.cluster", "ps-0.job". A final dot asks for that name alone.
std::vector<std::string> NamesToAsk(const std::string& host, const ResolverConfig& config);

// kNotFound: there is no such name. kUnavailable: no server gave an answer. Thread-safe.
StatusOr<std::vector<IpAddress>> LookUp(const std::string& host, const ResolverConfig& config,
                                        std::string_view hosts);
// By the files of this machine, read at each call.
StatusOr<std::vector<IpAddress>> LookUp(const std::string& host);

}  // namespace capstan
