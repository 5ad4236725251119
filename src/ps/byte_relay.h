// For tests: a TCP relay on loopback that can fall silent without closing anything, as a cut cable
// does.
#pragma once

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace capstan {

class ByteRelay {
 public:
  // Forwards connections to a port of this machine.
  explicit ByteRelay(int to_port);
  ~ByteRelay();

  int port() const { return port_; }
  // Frozen: connections are taken, bytes stay where they are.
  void Freeze(bool frozen) { frozen_ = frozen; }

 private:
  void Run();

  const int to_port_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> frozen_ = false, ending_ = false;
  std::vector<std::pair<int, int>> pairs_;  // of Run
  std::thread thread_;
};

// Sends the bytes to a port of this machine and reads until the other side closes, falls silent for
// a second, or has said enough.
void SendRaw(int port, const std::string& bytes);

}  // namespace capstan
