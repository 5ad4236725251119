#include "ps/setup_message.h"

#include "ps/wire.h"

namespace capstan {

std::string SetupMessage::Encode() const {
  WireWriter writer;
  writer.PutString(chief.Encode());
  writer.PutU64(run);
  writer.PutString(model_file);
  writer.PutU8(static_cast<uint8_t>(mode));
  writer.PutU32(static_cast<uint32_t>(slices));
  writer.PutString(folder);
  writer.PutString(nonce);
  return writer.Take();
}

StatusOr<SetupMessage> SetupMessage::Decode(std::string_view bytes) {
  WireReader reader(bytes, "setup request");
  SetupMessage message;
  const std::string_view hello = reader.GetString();
  message.run = reader.GetU64();
  message.model_file = std::string(reader.GetString());
  const uint8_t mode = reader.GetU8();
  message.slices = static_cast<int32_t>(reader.GetU32());
  message.folder = reader.GetString();
  message.nonce = reader.GetString();
  RETURN_IF_ERROR(reader.Finish());
  if (mode > static_cast<uint8_t>(TrainMode::kSync)) {
    return CorruptionError("setup request: unknown mode {}", mode);
  }
  if (message.slices < 1 || message.slices > 1024) {
    return CorruptionError("setup request: {} slices", message.slices);
  }
  message.mode = static_cast<TrainMode>(mode);
  ASSIGN_OR_RETURN(message.chief, HelloMessage::Decode(hello));
  return message;
}

}  // namespace capstan
