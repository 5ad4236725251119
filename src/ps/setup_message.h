// What the chief tells a server before the first kBegin: the model and how it is trained. A server
// needs no model flags and no data of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "ps/lease_board.h"
#include "ps/messages.h"

namespace capstan {

struct SetupMessage {
  HelloMessage chief;  // compared with the server's own lists
  uint64_t run = 0;
  std::string model_file;  // spelled out (model/model_file.h)
  TrainMode mode = TrainMode::kAsync;
  int32_t slices = 8;
  // The chief's folder of checkpoints, and what its nonce file holds: a server that reads the same
  // there sees the same folder.
  std::string folder, nonce;

  std::string Encode() const;
  static StatusOr<SetupMessage> Decode(std::string_view bytes);
};

}  // namespace capstan
