// Messages in protobuf's text form.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace google::protobuf {
class Message;
}

namespace capstan {

// Unknown fields are skipped. kDataLoss: "read PATH line N: …".
Status ParseTextProto(std::string_view text, const std::string& path,
                      google::protobuf::Message* message);

}  // namespace capstan
