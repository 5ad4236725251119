// Servers, a chief's controls and workers over the in-process network, for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "ps/in_process_network.h"
#include "ps/memory_checkpoints.h"
#include "ps/parameter_server.h"
#include "ps/remote_parameters.h"

namespace capstan {

// Drops, repeats, delays and reorders every tenth message or so.
Adversary LossyNetwork(uint64_t seed);

// One thread, but for the workers that it makes.
class TestCluster {
 public:
  static constexpr uint64_t kSeed = 7;

  // All servers are started.
  TestCluster(TrainMode mode, int servers, const Adversary& adversary,
              std::vector<TableSpec> tables, std::vector<DenseSpec> dense);
  ~TestCluster();

  void StartServer(int server);
  void StopServer(int server);
  // To all servers, or one, again and again until it is answered. A cut: until its part is written.
  StatusOr<std::vector<ControlAnswer>> Control(const ControlRequest& request);
  StatusOr<ControlAnswer> ControlOne(int server, const ControlRequest& request);
  std::unique_ptr<RemoteParameters> NewWorker(int worker,
                                              ValueFormat format = ValueFormat::kFloat32);

  MemoryCheckpoints& checkpoints() { return checkpoints_; }
  InProcessNetwork& network() { return network_; }
  ParameterServer& server(int server);
  std::string Address(int server) const;

 private:
  class Handler;

  std::vector<std::string> addresses() const;
  StatusOr<std::vector<ControlAnswer>> ControlAt(const std::vector<std::string>& addresses,
                                                 const ControlRequest& request);

  const TrainMode mode_;
  const std::vector<TableSpec> tables_;
  const std::vector<DenseSpec> dense_;
  MemoryCheckpoints checkpoints_;
  SystemClock clock_;
  InProcessNetwork network_;
  std::unique_ptr<Transport> chief_;
  std::vector<std::unique_ptr<Transport>> transports_;
  std::vector<std::unique_ptr<Handler>> handlers_;
  uint64_t incarnations_ = 0;
};

}  // namespace capstan
