#include "task/host_resolver.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/file_system.h"
#include "task/dns_message.h"
#include "task/socket.h"

namespace capstan {
namespace {

constexpr size_t kMaxServers = 3;  // as the C library
constexpr int kNoSuchName = 3;
constexpr size_t kMaxAnswerBytes = 65'535;

std::vector<std::string> Fields(std::string_view line) {
  line = line.substr(0, std::min(line.find('#'), line.find(';')));
  std::vector<std::string> fields;
  size_t at = 0;
  while (at < line.size()) {
    if (std::isspace(static_cast<unsigned char>(line[at]))) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < line.size() && !std::isspace(static_cast<unsigned char>(line[end]))) ++end;
    fields.emplace_back(line.substr(at, end - at));
    at = end;
  }
  return fields;
}

template <typename F>
void ForEachLine(std::string_view text, const F& f) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    f(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// "ndots:5" → 5
bool TakeOption(std::string_view option, std::string_view name, int* value) {
  if (!option.starts_with(name)) return false;
  option.remove_prefix(name.size());
  std::from_chars(option.data(), option.data() + option.size(), *value);
  return true;
}

StatusOr<std::string> AskOverUdp(const ResolverConfig::Server& server, const std::string& question,
                                 DnsType type, std::chrono::milliseconds timeout) {
  ASSIGN_OR_RETURN(const Socket socket, Connect(server.address, server.port, SOCK_DGRAM, timeout));
  if (::send(socket.fd(), question.data(), question.size(), MSG_NOSIGNAL) < 0) {
    return SystemError("ask name server " + server.address.Text(), errno);
  }
  const Deadline deadline(timeout);
  std::string answer(kMaxAnswerBytes, '\0');
  for (;;) {
    RETURN_IF_ERROR(socket.WaitToRead(deadline));
    const ssize_t bytes = ::recv(socket.fd(), answer.data(), answer.size(), 0);
    if (bytes < 0) return SystemError("ask name server " + server.address.Text(), errno);
    const std::string_view found(answer.data(), static_cast<size_t>(bytes));
    // Late answers to an earlier question, and what strangers send, are passed over.
    if (ParseDnsAnswer(found, question, type).ok()) return std::string(found);
  }
}

StatusOr<std::string> AskOverTcp(const ResolverConfig::Server& server, const std::string& question,
                                 std::chrono::milliseconds timeout) {
  const Deadline deadline(timeout);
  ASSIGN_OR_RETURN(const Socket socket, Connect(server.address, server.port, SOCK_STREAM, timeout));
  std::string framed = {static_cast<char>(question.size() >> 8),
                        static_cast<char>(question.size() & 0xff)};
  RETURN_IF_ERROR(socket.Write(framed + question, deadline));
  ASSIGN_OR_RETURN(const std::string size, socket.Read(2, deadline));
  return socket.Read(
      static_cast<size_t>(static_cast<uint8_t>(size[0])) << 8 | static_cast<uint8_t>(size[1]),
      deadline);
}

StatusOr<DnsAnswer> AskServer(const ResolverConfig::Server& server, const std::string& name,
                              DnsType type, std::chrono::milliseconds timeout) {
  uint16_t id = 0;
  if (::getrandom(&id, sizeof(id), 0) != sizeof(id)) return SystemError("get randomness", errno);
  ASSIGN_OR_RETURN(const std::string question, DnsQuestion(id, name, type));
  ASSIGN_OR_RETURN(const std::string over_udp, AskOverUdp(server, question, type, timeout));
  ASSIGN_OR_RETURN(DnsAnswer answer, ParseDnsAnswer(over_udp, question, type));
  if (answer.truncated) {
    ASSIGN_OR_RETURN(const std::string over_tcp, AskOverTcp(server, question, timeout));
    ASSIGN_OR_RETURN(answer, ParseDnsAnswer(over_tcp, question, type));
  }
  if (answer.code != 0 && answer.code != kNoSuchName) {
    return MakeStatus(
        absl::StatusCode::kUnavailable,
        fmt::format("name server {} answers with code {}", server.address.Text(), answer.code));
  }
  return answer;
}

// The first server that gives an answer, be it that there is no such name.
StatusOr<DnsAnswer> Ask(const std::string& name, DnsType type, const ResolverConfig& config) {
  Status last = MakeStatus(absl::StatusCode::kUnavailable, "no name server in resolv.conf");
  for (int attempt = 0; attempt < config.attempts; ++attempt) {
    for (const ResolverConfig::Server& server : config.servers) {
      StatusOr<DnsAnswer> answer = AskServer(server, name, type, config.timeout);
      if (answer.ok()) return answer;
      if (answer.status().code() == absl::StatusCode::kInvalidArgument) return answer.status();
      last = answer.status();
    }
  }
  return last;
}

}  // namespace

std::string IpAddress::Text() const {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(is_v6 ? AF_INET6 : AF_INET, is_v6 ? static_cast<const void*>(&v6) : &v4, text,
              sizeof(text));
  return text;
}

bool IpAddress::is_loopback() const {
  if (!is_v6) return ntohl(v4.s_addr) >> 24 == 127;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return v6.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6) != 0;
}

bool ParseIpAddress(const std::string& text, IpAddress* address) {
  address->is_v6 = text.find(':') != std::string::npos;
  // A scope ("%eth0") is of no use to us.
  const std::string bare = text.substr(0, text.find('%'));
  return ::inet_pton(address->is_v6 ? AF_INET6 : AF_INET, bare.c_str(),
                     address->is_v6 ? static_cast<void*>(&address->v6) : &address->v4) == 1;
}

ResolverConfig ParseResolvConf(std::string_view text) {
  ResolverConfig config;
  ForEachLine(text, [&](std::string_view line) {
    const std::vector<std::string> fields = Fields(line);
    if (fields.size() < 2) return;
    ResolverConfig::Server server;
    if (fields[0] == "nameserver" && config.servers.size() < kMaxServers &&
        ParseIpAddress(fields[1], &server.address)) {
      config.servers.push_back(server);
    } else if (fields[0] == "search" || fields[0] == "domain") {
      config.search.assign(fields.begin() + 1, fields.end());
    } else if (fields[0] == "options") {
      for (const std::string& option : fields) {
        int seconds = 0;
        if (TakeOption(option, "ndots:", &config.ndots)) continue;
        if (TakeOption(option, "attempts:", &config.attempts)) continue;
        if (TakeOption(option, "timeout:", &seconds) && seconds > 0) {
          config.timeout =
              std::min<std::chrono::milliseconds>(config.timeout, std::chrono::seconds(seconds));
        }
      }
    }
  });
  config.ndots = std::clamp(config.ndots, 0, 15);
  config.attempts = std::clamp(config.attempts, 1, 5);
  if (config.servers.empty()) {  // the default of every resolver
    ResolverConfig::Server server;
    ParseIpAddress("127.0.0.1", &server.address);
    config.servers.push_back(server);
  }
  return config;
}

std::vector<IpAddress> FindInHosts(std::string_view hosts, std::string_view host) {
  std::vector<IpAddress> found;
  ForEachLine(hosts, [&](std::string_view line) {
    const std::vector<std::string> fields = Fields(line);
    IpAddress address;
    if (fields.size() < 2 || std::find(fields.begin() + 1, fields.end(), host) == fields.end()) {
      return;
    }
    if (ParseIpAddress(fields[0], &address)) found.push_back(address);
  });
  return found;
}

std::vector<std::string> NamesToAsk(const std::string& host, const ResolverConfig& config) {
  if (host.ends_with('.')) return {host.substr(0, host.size() - 1)};
  std::vector<std::string> names;
  for (std::string domain : config.search) {
    while (domain.ends_with('.')) domain.pop_back();
    if (!domain.empty()) names.push_back(host + "." + domain);
  }
  const bool first = std::count(host.begin(), host.end(), '.') >= config.ndots;
  names.insert(first ? names.begin() : names.end(), host);
  return names;
}

StatusOr<std::vector<IpAddress>> LookUp(const std::string& host, const ResolverConfig& config,
                                        std::string_view hosts) {
  IpAddress literal;
  if (ParseIpAddress(host, &literal)) return std::vector<IpAddress>{literal};
  std::vector<IpAddress> found = FindInHosts(hosts, host);
  if (!found.empty()) return found;
  Status failure = OkStatus();
  for (const std::string& name : NamesToAsk(host, config)) {
    for (const DnsType type : {DnsType::kA, DnsType::kAaaa}) {
      const StatusOr<DnsAnswer> answer = Ask(name, type, config);
      if (!answer.ok()) {
        failure = answer.status();
        break;
      }
      if (!answer->addresses.empty()) return answer->addresses;
      if (answer->code == kNoSuchName) break;
    }
  }
  if (!failure.ok()) return Annotate(failure, "look up " + host);
  return NotFoundError("look up {}: no such host", host);
}

StatusOr<std::vector<IpAddress>> LookUp(const std::string& host) {
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  constexpr uint64_t kLimitBytes = 1 << 20;
  const StatusOr<std::string> resolv = ReadFile(*fs, "/etc/resolv.conf", kLimitBytes);
  const StatusOr<std::string> hosts = ReadFile(*fs, "/etc/hosts", kLimitBytes);
  return LookUp(host, ParseResolvConf(resolv.ok() ? *resolv : ""), hosts.ok() ? *hosts : "");
}

}  // namespace capstan
