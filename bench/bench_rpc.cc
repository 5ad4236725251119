// What a request to a peer costs: calls/s of 100 bytes with 1 and 8 in flight, and GB/s of 1 MB each
// way, through GrpcTransport and GrpcServer on loopback; beside each, two threads that do the same
// over a plain TCP connection, one exchange at a time: the machine's limit.
//
//   bench_rpc [--smoke] [--seconds=3]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

#include "base/mutex.h"
#include "ps/grpc_server.h"
#include "ps/grpc_transport.h"

namespace capstan {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

class Echo : public RequestHandler {
 public:
  void Handle(Method, std::string request, Reply reply) override { reply(std::move(request)); }
};

// Keeps `in_flight` calls open for `seconds`; each answer's bytes are the next request.
class Caller {
 public:
  Caller(Transport* transport, std::string address, double seconds)
      : transport_(transport), address_(std::move(address)), seconds_(seconds) {}

  // Calls per second; 0 when one failed.
  double Run(size_t size_bytes, int in_flight) {
    start_ = Clock::now();
    {
      MutexLock lock(&mutex_);
      open_ = in_flight;
    }
    for (int i = 0; i < in_flight; ++i) Next(std::string(size_bytes, 'x'));
    MutexLock lock(&mutex_);
    while (open_ > 0) ended_.Wait(&mutex_);
    return failed_ ? 0 : static_cast<double>(calls_) / SecondsSince(start_);
  }

 private:
  void Next(std::string request) {
    transport_->Call(address_, Method::kHello, std::move(request), std::chrono::seconds(60),
                     [this](StatusOr<std::string> answer) { Take(std::move(answer)); });
  }
  void Take(StatusOr<std::string> answer) {
    {
      MutexLock lock(&mutex_);
      ++calls_;
      failed_ = failed_ || !answer.ok();
      if (failed_ || SecondsSince(start_) >= seconds_) {
        if (--open_ == 0) ended_.NotifyAll();
        return;
      }
    }
    Next(std::move(*answer));
  }

  Transport* const transport_;
  const std::string address_;
  const double seconds_;
  Clock::time_point start_;
  Mutex mutex_;
  CondVar ended_;
  int open_ GUARDED_BY(mutex_) = 0;
  int64_t calls_ GUARDED_BY(mutex_) = 0;
  bool failed_ GUARDED_BY(mutex_) = false;
};

bool Transfer(int fd, std::string* bytes, bool out) {
  for (size_t at = 0; at < bytes->size();) {
    const ssize_t size = out ? send(fd, bytes->data() + at, bytes->size() - at, MSG_NOSIGNAL)
                             : recv(fd, bytes->data() + at, bytes->size() - at, 0);
    if (size <= 0) return false;
    at += static_cast<size_t>(size);
  }
  return true;
}

// Exchanges per second over a plain connection.
double TcpRate(size_t size_bytes, double seconds) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t address_size = sizeof(address);
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, plain, address_size) != 0 || listen(listener, 1) != 0) return 0;
  getsockname(listener, plain, &address_size);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(client, plain, address_size) != 0) return 0;
  const int server = accept(listener, nullptr, nullptr);
  const int yes = 1;
  for (int fd : {client, server}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  std::thread echo([&] {
    std::string bytes(size_bytes, ' ');
    while (Transfer(server, &bytes, false) && Transfer(server, &bytes, true)) {
    }
  });
  std::string bytes(size_bytes, 'x');
  int64_t exchanges = 0;
  const auto start = Clock::now();
  while (SecondsSince(start) < seconds) {
    if (!Transfer(client, &bytes, true) || !Transfer(client, &bytes, false)) break;
    ++exchanges;
  }
  const double rate = static_cast<double>(exchanges) / SecondsSince(start);
  shutdown(client, SHUT_RDWR);
  echo.join();
  for (int fd : {client, server, listener}) close(fd);
  return rate;
}

int Run(double seconds) {
  Echo echo;
  auto server = GrpcServer::Start("127.0.0.1:0", &echo, {});
  if (!server.ok()) {
    fprintf(stderr, "bench_rpc: %s\n", Message(server.status()).c_str());
    return 1;
  }
  GrpcTransport transport({});
  const std::string address = "127.0.0.1:" + std::to_string((*server)->port());
  printf("%-10s %9s %12s %14s %14s %12s\n", "bytes", "in flight", "calls/s", "GB/s both ways",
         "cpu us/call", "TCP calls/s");
  for (const size_t size : {size_t{100}, size_t{1'000'000}}) {
    const double limit = TcpRate(size, seconds);
    for (const int in_flight : {1, 8}) {
      const double cpu = CpuSeconds();
      const auto start = Clock::now();
      const double rate = Caller(&transport, address, seconds).Run(size, in_flight);
      const double calls = rate * SecondsSince(start);
      if (rate == 0) return 1;
      printf("%-10zu %9d %12.0f %14.2f %14.1f %12.0f\n", size, in_flight, rate,
             rate * 2 * static_cast<double>(size) / 1e9, (CpuSeconds() - cpu) / calls * 1e6, limit);
    }
  }
  return 0;
}

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) {
  double seconds = 3;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--smoke") {
      seconds = 0.1;
    } else if (word.starts_with("--seconds=")) {
      seconds = atof(argv[i] + strlen("--seconds="));
    } else {
      fprintf(stderr, "usage: bench_rpc [--smoke] [--seconds=3]\n");
      return 2;
    }
  }
  return capstan::Run(seconds);
}
