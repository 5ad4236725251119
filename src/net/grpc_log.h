// Where gRPC's own lines go: failed handshakes, ports that cannot be had. By default it prints them
// to stderr.
#pragma once

#include <string_view>

namespace capstan {

// Called from any thread.
using GrpcLogSink = void (*)(bool is_error, std::string_view text);

// For the whole process, so that only `cli` and tests should say it, once, before gRPC is used.
// Null: nowhere.
void SetGrpcLog(GrpcLogSink sink);

}  // namespace capstan
