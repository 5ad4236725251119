// Names of the metadata on our gRPC calls.
#pragma once

namespace capstan {

inline constexpr char kAuthorization[] = "authorization";
inline constexpr char kBearer[] = "Bearer ";
// A trailer beside a status: it is the handler's own, not one that gRPC made up on the way.
inline constexpr char kHandlerMark[] = "capstan-handler";

}  // namespace capstan
