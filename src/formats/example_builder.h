// Serialises tf.Example records with a fixed field order, so that equal data gives equal bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace capstan {

// One record at a time: Add… for each feature, then Finish(). Features stand in the order of the
// calls (call them sorted by name, as protobuf's deterministic form would have them). Lists are
// packed.
class ExampleBuilder {
 public:
  void AddFloats(std::string_view name, std::span<const float> values);
  void AddInts(std::string_view name, std::span<const int64_t> values);
  void AddBytes(std::string_view name, std::span<const std::string_view> values);

  // The record; valid until the next Add. The builder is empty again.
  std::string_view Finish();

 private:
  std::string features_;
  std::string record_;
  std::string scratch_;
};

}  // namespace capstan
