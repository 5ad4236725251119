// XXH3 over a stream of bytes, as 32 hex digits.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace capstan {

class Digest {
 public:
  Digest();
  ~Digest();

  void Add(std::string_view bytes);
  void AddNumber(uint64_t number);
  // Its length, then its bytes: "a" + "bc" differs from "ab" + "c".
  void AddText(std::string_view text);
  std::string Hex() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace capstan
