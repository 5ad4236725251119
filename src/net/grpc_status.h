// absl::Status <-> grpc::Status: same codes, same message. And messages as bytes: gRPC's slices <->
// std::string.
#pragma once

#include <string>

#include "base/status.h"

namespace grpc {
class ByteBuffer;
class Status;
}  // namespace grpc

namespace capstan {

Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const Status& status);

// Takes the string as it is: nothing is copied.
grpc::ByteBuffer ToByteBuffer(std::string bytes);
// One copy, slices → string.
std::string FromByteBuffer(const grpc::ByteBuffer& buffer);

}  // namespace capstan
