#include "net/address.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

TEST(AddressTest, HostsAndPorts) {
  auto v4 = ParseAddress("10.0.0.1:2222");
  ASSERT_TRUE(v4.ok());
  EXPECT_EQ(v4->host, "10.0.0.1");
  EXPECT_EQ(v4->port, 2222);
  auto name = ParseAddress("job-ps-0.ns.svc:1");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->host, "job-ps-0.ns.svc");
  auto v6 = ParseAddress("[fe80::1%eth0]:80");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "fe80::1%eth0");
  EXPECT_EQ(v6->port, 80);
}

TEST(AddressTest, BadOnesSayWhy) {
  const struct {
    const char* text;
    const char* reason;
  } cases[] = {{"", "no port"},           {"host", "no port"},
               {":2222", "no host"},      {"host:", "port ''"},
               {"host:port", "'port'"},   {"host:65536", "'65536'"},
               {"host:-1", "'-1'"},       {"host:1 ", "'1 '"},
               {"::1:2222", "several"},   {"http://host:80", "several"},
               {"a b:1", "' ' cannot"},   {"[::1:2222", "without ']'"},
               {"[::1]2222", "no port"},  {"[]:1", "no host"},
               {"host/x:1", "'/' cannot"}};
  for (const auto& c : cases) {
    auto address = ParseAddress(c.text);
    ASSERT_FALSE(address.ok()) << c.text;
    EXPECT_NE(Message(address.status()).find(c.reason), std::string::npos)
        << Message(address.status());
  }
}

TEST(AddressTest, Loopback) {
  for (const char* text : {"localhost", "LocalHost:1", "127.0.0.1", "127.9.8.7:2222", "::1",
                           "[::1]:2222", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(IsLoopback(text)) << text;
  }
  for (const char* text :
       {"", "0.0.0.0:2222", "127.0.0.1.example.com:1", "10.0.0.1:1", "::", "127.1", "[::]:2222",
        "localhost.example.com", "128.0.0.1", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(IsLoopback(text)) << text;
  }
}

}  // namespace
}  // namespace capstan
