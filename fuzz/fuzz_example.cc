// tf.Example: the parser that guesses must agree with the one that does not, and the readers of one
// value with those of lists.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "formats/example_parser.h"

namespace capstan {
namespace {

void ReadValues(const FeatureView& view) {
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string_view> bytes;
  float one_float = 0;
  int64_t one_int = 0;
  std::string_view one_bytes;
  switch (view.kind) {
    case FeatureView::Kind::kFloat: {
      const Status status = AppendFloats(view, &floats);
      if (ReadOneFloat(view, &one_float) && (!status.ok() || floats.size() != 1)) std::abort();
      std::vector<float> exact(floats.size());
      if (ReadFloats(view, floats.size(), exact.data()) && !status.ok()) std::abort();
      break;
    }
    case FeatureView::Kind::kInt64: {
      const Status status = AppendInts(view, &ints);
      if (ReadOneInt(view, &one_int) && (!status.ok() || ints.size() != 1 || ints[0] != one_int)) {
        std::abort();
      }
      break;
    }
    case FeatureView::Kind::kBytes: {
      const Status status = AppendBytes(view, &bytes);
      if (ReadOneBytes(view, &one_bytes) &&
          (!status.ok() || bytes.size() != 1 || bytes[0] != one_bytes)) {
        std::abort();
      }
      break;
    }
    case FeatureView::Kind::kMissing:
      break;
  }
}

}  // namespace
}  // namespace capstan

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace capstan;
  const std::string_view record(reinterpret_cast<const char*>(data), size);
  // The first parser learns the order of the record, then guesses it right; the list is the
  // reference.
  ExampleParser parser({"a", "b", "label", "I1", "a long name of many bytes"});
  std::vector<FeatureView> views(parser.names().size());
  const auto listed = ListFeatures(record);
  for (int round = 0; round < 2; ++round) {
    const Status status = parser.Parse(record, views);
    if (status.ok() != listed.ok()) std::abort();
    if (!status.ok()) return 0;
    for (size_t i = 0; i < views.size(); ++i) {
      FeatureView wanted;
      for (const NamedFeature& feature : *listed) {
        if (feature.name == parser.names()[i]) wanted = feature.view;
      }
      if (wanted.kind != views[i].kind || wanted.list != views[i].list) std::abort();
      ReadValues(views[i]);
    }
  }
  for (const NamedFeature& feature : *listed) ReadValues(feature.view);
  return 0;
}
