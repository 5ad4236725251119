#include "task/host_resolver.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <thread>

#include "task/dns_message.h"
#include "task/socket.h"

namespace capstan {
namespace {

std::vector<std::string> Texts(const std::vector<IpAddress>& addresses) {
  std::vector<std::string> texts;
  for (const IpAddress& address : addresses) texts.push_back(address.Text());
  return texts;
}

// The name that a question asks for, with dots.
std::string NameIn(std::string_view question) {
  std::string name;
  for (size_t at = 12; question[at] != 0;) {
    const auto length = static_cast<size_t>(question[at]);
    name += (name.empty() ? "" : ".") + std::string(question.substr(at + 1, length));
    at += length + 1;
  }
  return name;
}

std::string AnswerTo(std::string_view question, int code, std::vector<std::string> records,
                     bool truncated = false) {
  std::string answer(question);
  answer[2] = static_cast<char>(0x81 | (truncated ? 2 : 0));
  answer[3] = static_cast<char>(code);
  answer[7] = static_cast<char>(records.size());
  for (const std::string& record : records) answer += record;
  return answer;
}
std::string Record(int type, std::string_view data) {
  std::string record = {'\xc0', 12, 0, static_cast<char>(type), 0, 1, 0, 0, 0, 9, 0};
  record.push_back(static_cast<char>(data.size()));
  return record.append(data);
}

// A name server of a test, on a thread of its own: what `answer` gives; "" is silence.
class NameServer {
 public:
  using Answer = std::function<std::string(std::string_view question, bool tcp)>;
  explicit NameServer(Answer answer) : answer_(std::move(answer)) {
    StatusOr<Socket> listener = Listen(0, /*loopback_only=*/true);
    EXPECT_TRUE(listener.ok());
    tcp_ = *std::move(listener);
    udp_ = Socket(::socket(AF_INET, SOCK_DGRAM, 0));
    sockaddr_in address{.sin_family = AF_INET};
    address.sin_port = htons(static_cast<uint16_t>(PortOf(tcp_)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(udp_.fd(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    udp_thread_ = std::jthread([this] { ServeUdp(); });
    tcp_thread_ = std::jthread([this] { ServeTcp(); });
  }
  ~NameServer() {
    ::shutdown(udp_.fd(), SHUT_RDWR);
    ::shutdown(tcp_.fd(), SHUT_RDWR);
  }
  ResolverConfig Config(int ndots = 1, std::vector<std::string> search = {}) const {
    ResolverConfig config{.search = std::move(search), .ndots = ndots};
    config.servers.push_back({.port = PortOf(tcp_)});
    ParseIpAddress("127.0.0.1", &config.servers[0].address);
    return config;
  }

 private:
  void ServeUdp() {
    for (;;) {
      char bytes[2048];
      sockaddr_in from{};
      socklen_t size = sizeof(from);
      const ssize_t count =
          ::recvfrom(udp_.fd(), bytes, sizeof(bytes), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (count <= 0) return;
      const std::string answer = answer_({bytes, static_cast<size_t>(count)}, false);
      ::sendto(udp_.fd(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from),
               size);
    }
  }
  void ServeTcp() {
    for (;;) {
      IpAddress from;
      StatusOr<Socket> caller = Accept(tcp_, &from);
      if (!caller.ok()) return;
      const Deadline deadline(std::chrono::seconds(10));
      const StatusOr<std::string> size = caller->Read(2, deadline);
      if (!size.ok()) continue;
      const StatusOr<std::string> question =
          caller->Read(static_cast<size_t>(static_cast<uint8_t>((*size)[1])), deadline);
      if (!question.ok()) continue;
      const std::string answer = answer_(*question, true);
      const std::string framed = {static_cast<char>(answer.size() >> 8),
                                  static_cast<char>(answer.size() & 0xff)};
      caller->Write(framed + answer, deadline).IgnoreError();
    }
  }

  const Answer answer_;
  Socket tcp_, udp_;
  std::jthread udp_thread_, tcp_thread_;
};

TEST(HostResolverTest, ResolvConf) {
  const ResolverConfig config = ParseResolvConf(
      "# made by the kubelet\nsearch jobs.svc.cluster.local svc.cluster.local cluster.local\n"
      "nameserver 10.96.0.10\nnameserver fd00::10 ; the other\noptions ndots:5 timeout:1\n");
  ASSERT_EQ(config.servers.size(), 2u);
  EXPECT_EQ(config.servers[0].address.Text(), "10.96.0.10");
  EXPECT_EQ(config.servers[1].address.Text(), "fd00::10");
  EXPECT_EQ(config.search.size(), 3u);
  EXPECT_EQ(config.ndots, 5);
  EXPECT_EQ(config.timeout, std::chrono::milliseconds(1000));
  EXPECT_EQ(ParseResolvConf("").servers.at(0).address.Text(), "127.0.0.1");
}

TEST(HostResolverTest, NamesToAsk) {
  const ResolverConfig config{.search = {"ns.svc", "cluster."}, .ndots = 2};
  using Names = std::vector<std::string>;
  EXPECT_EQ(NamesToAsk("a.job", config), (Names{"a.job.ns.svc", "a.job.cluster", "a.job"}));
  EXPECT_EQ(NamesToAsk("a.job.ns", config),
            (Names{"a.job.ns", "a.job.ns.ns.svc", "a.job.ns.cluster"}));
  EXPECT_EQ(NamesToAsk("a.", config), Names{"a"});
}

TEST(HostResolverTest, HostsFileAndLiterals) {
  const char* hosts =
      "127.0.0.1 localhost\n::1 localhost ip6\n10.0.0.7\tjob-ps-0.job job-ps-0 # us\n";
  EXPECT_EQ(Texts(FindInHosts(hosts, "job-ps-0")), std::vector<std::string>{"10.0.0.7"});
  EXPECT_EQ(Texts(FindInHosts(hosts, "localhost")), (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_TRUE(FindInHosts(hosts, "us").empty());
  EXPECT_EQ(Texts(*LookUp("fd00::7", {}, hosts)), std::vector<std::string>{"fd00::7"});
}

TEST(HostResolverTest, AsksTheSearchListInOrder) {
  std::vector<std::string> asked;
  const NameServer server([&](std::string_view question, bool) {
    asked.push_back(NameIn(question));
    if (asked.back() != "ps-0.job.cluster") return AnswerTo(question, 3, {});
    // An alias on the way, then the address.
    return AnswerTo(question, 0, {Record(5, "\1x"), Record(1, {"\x0a\0\0\x09", 4})});
  });
  const auto found = LookUp("ps-0.job", server.Config(5, {"ns", "cluster"}), "");
  ASSERT_TRUE(found.ok()) << Message(found.status());
  EXPECT_EQ(Texts(*found), std::vector<std::string>{"10.0.0.9"});
  EXPECT_EQ(asked, (std::vector<std::string>{"ps-0.job.ns", "ps-0.job.cluster"}));
}

TEST(HostResolverTest, Ipv6WhereThereIsNoIpv4) {
  const NameServer server([](std::string_view question, bool) {
    const bool v6 = question[question.size() - 3] == 28;
    return v6 ? AnswerTo(question, 0, {Record(28, std::string(15, '\0') + '\1')})
              : AnswerTo(question, 0, {});
  });
  EXPECT_EQ(Texts(*LookUp("a.b", server.Config(), "")), std::vector<std::string>{"::1"});
}

TEST(HostResolverTest, ATruncatedAnswerIsAskedForOverTcp) {
  const NameServer server([](std::string_view question, bool tcp) {
    return tcp ? AnswerTo(question, 0,
                          {Record(1, {"\x0a\0\0\x01", 4}), Record(1, {"\x0a\0\0\x02", 4})})
               : AnswerTo(question, 0, {}, /*truncated=*/true);
  });
  EXPECT_EQ(LookUp("a.b", server.Config(), "")->size(), 2u);
}

TEST(HostResolverTest, WhatWentWrongIsASentence) {
  const NameServer none([](std::string_view q, bool) { return AnswerTo(q, 3, {}); });
  const auto missing = LookUp("a.b", none.Config(), "");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(missing.status()), "look up a.b: no such host");
  const NameServer broken([](std::string_view q, bool) { return AnswerTo(q, 2, {}); });
  const auto failed = LookUp("a.b", broken.Config(), "");
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(LookUp("a..b", none.Config(), "").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(HostResolverTest, StrangersAndOldAnswersArePassedOver) {
  const NameServer server([](std::string_view question, bool) {
    std::string answer = AnswerTo(question, 0, {Record(1, {"\x0a\0\0\x09", 4})});
    answer[0] = static_cast<char>(answer[0] ^ 1);  // another id
    return answer;
  });
  ResolverConfig config = server.Config();
  config.timeout = std::chrono::milliseconds(20);
  EXPECT_EQ(LookUp("a.b", config, "").status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(HostResolverTest, EveryDamageOfAnAnswerIsAStatus) {
  const std::string question = *DnsQuestion(7, "ps-0.job", DnsType::kA);
  const std::string answer = AnswerTo(question, 0, {Record(1, {"\x0a\0\0\x09", 4})});
  ASSERT_TRUE(ParseDnsAnswer(answer, question, DnsType::kA).ok());
  for (size_t i = 0; i < answer.size(); ++i) {
    EXPECT_FALSE(ParseDnsAnswer(answer.substr(0, i), question, DnsType::kA).ok()) << i;
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = answer;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      ParseDnsAnswer(damaged, question, DnsType::kA).status().IgnoreError();
    }
  }
}

}  // namespace
}  // namespace capstan
