// Settings that both ends of a gRPC link share, and the methods' names on it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ps/transport.h"

namespace capstan {

struct GrpcOptions {
  // Of one message. A larger one is refused by its length, before memory is taken.
  int64_t max_message_bytes = (int64_t{1} << 31) - 1;

  std::chrono::milliseconds connect_timeout{3'000};  // of one attempt
  // Between attempts to connect: at first, doubling to the largest.
  std::chrono::milliseconds first_backoff{100};
  std::chrono::milliseconds largest_backoff{500};
  // A name is asked for again when its address is lost, at most so often.
  std::chrono::milliseconds resolve_interval{1'000};

  // A silent link is asked for a sign of life after `keepalive_interval`, and given up
  // `keepalive_timeout` later.
  std::chrono::milliseconds keepalive_interval{4'000};
  std::chrono::milliseconds keepalive_timeout{4'000};
};

// "/capstan.Task/Pull"
std::string PathOf(Method method);
std::optional<Method> MethodOfPath(std::string_view path);
// "Pull"
std::string_view NameOf(Method method);

// The service's name for gRPC's health service; "" stands for all of the server.
inline constexpr char kTaskService[] = "capstan.Task";

}  // namespace capstan
