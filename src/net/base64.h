// Base64 with '+', '/' and padding (RFC 4648 §4).
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace capstan {

std::string EncodeBase64(std::string_view bytes);
// White space between characters is skipped. Errors do not show the text: it may be a key.
StatusOr<std::string> DecodeBase64(std::string_view text);

}  // namespace capstan
