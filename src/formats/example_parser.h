// tf.Example without message objects: views into the record's bytes, then typed values.
//
//   Example  := { features: 1 }        Features := { feature: 1 = map<string, Feature> }
//   Feature  := oneof { bytes_list: 1, float_list: 2, int64_list: 3 }, each { value: 1 repeated },
//               floats and ints packed or not. Map entries come in any order; of a doubled key the
//               last counts; a Feature with nothing set is like a missing one; of several lists in
//               one Feature the last counts.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"

namespace capstan {

// The values of one feature in one record. Valid while the record's bytes live.
struct FeatureView {
  enum class Kind : uint8_t { kMissing = 0, kBytes = 1, kFloat = 2, kInt64 = 3 };
  Kind kind = Kind::kMissing;
  std::string_view list;  // the bytes of the BytesList, FloatList or Int64List message
};

std::string_view NameOf(FeatureView::Kind kind);  // "missing", "bytes", "float", "int64"

// Finds a fixed set of features in records. Guesses that a record's entries come in the order of
// the record before, and with the same bytes but for their lengths and values: a right guess costs
// a few instructions for an entry, a wrong one a look at its name. One parser per thread.
class ExampleParser {
 public:
  // Distinct names.
  explicit ExampleParser(std::vector<std::string> names);
  ~ExampleParser();
  ExampleParser(ExampleParser&&) noexcept;
  ExampleParser& operator=(ExampleParser&&) noexcept;

  // Fills views[i] for names[i]; views.size() == names().size(). kDataLoss when the bytes are not
  // an Example (every length is checked): "parse Example at byte N: …".
  Status Parse(std::string_view record, std::span<FeatureView> views);

  const std::vector<std::string>& names() const { return names_; }

 private:
  struct Guess;

  const char* ParseFeatures(const char* p, const char* end, std::span<FeatureView> views);
  const char* FollowGuesses(const char* p, const char* end, std::span<FeatureView> views);
  int SlotOf(std::string_view name, FeatureView::Kind kind);
  void Learn(std::string_view name, int slot, FeatureView::Kind kind);

  std::vector<std::string> names_;
  std::unordered_map<std::string_view, int> slots_;  // its keys lie in names_
  std::vector<Guess> order_;                         // the entries of the records before, in order
  size_t position_ = 0;                              // in order_, of the next entry
  int fresh_starts_ = 0;                             // how often order_ grew beyond all measure
};

// Every feature of a record in the order of its bytes, for `inspect` and for finding out a schema.
struct NamedFeature {
  std::string_view name;
  FeatureView view;
};
StatusOr<std::vector<NamedFeature>> ListFeatures(std::string_view record);

// The values. The view must be of the right kind or kMissing (then: no values). Packed and unpacked
// forms, also mixed. Each appends to `*values`; kDataLoss when the list's bytes are damaged.
Status AppendFloats(const FeatureView& view, std::vector<float>* values);
Status AppendInts(const FeatureView& view, std::vector<int64_t>* values);
Status AppendBytes(const FeatureView& view, std::vector<std::string_view>* values);

// The common case of exactly one value, without a loop (formats/single_value.h). False: there are
// more or fewer, or damage (the Append functions tell).
inline bool ReadOneFloat(const FeatureView& view, float* value);
inline bool ReadOneInt(const FeatureView& view, int64_t* value);
bool ReadOneBytes(const FeatureView& view, std::string_view* value);
// Exactly `count` packed floats into `values`.
bool ReadFloats(const FeatureView& view, size_t count, float* values);

// The same for a list that is not packed.
bool ReadOneUnpackedFloat(std::string_view list, float* value);
bool ReadOneUnpackedInt(std::string_view list, int64_t* value);

}  // namespace capstan

#include "formats/single_value.h"  // IWYU pragma: export
