#include "data/feature_spec.h"

namespace capstan {

int DenseWidth(const InputSpec& spec) {
  int width = 0;
  for (const FeatureSpec& feature : spec.features) {
    if (!IsCategorical(feature)) width += feature.length;
  }
  return width;
}

}  // namespace capstan
