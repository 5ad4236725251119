// Parameters from a bundle, of ours or of TensorFlow; names are in parameter_names.h.
#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "formats/tensor_bundle_reader.h"
#include "params/local_parameters.h"

namespace capstan {

struct ReadParametersOptions {
  // Slots, counters and filtered keys too: the bundle is a checkpoint to go on from.
  bool for_training = true;
  // Our variable's name → the bundle's; null: the same. "": leave the variable as it is.
  std::function<std::string(const std::string&)> name_of;
  // One server's share: only rows of keys that it wants (null: all), and dense variables are pieces
  // that begin at DenseSpec::first_element of the bundle's.
  std::function<bool(int table, uint64_t key)> wants;
};

// Into parameters that nothing has been trained on. A missing tensor, another dtype or shape is an
// error that names it. A bundle that has a table's part but no keys for it (an embedding of
// TensorFlow's own, [ids, dim]) gives its row numbers as keys.
Status ReadParameters(const TensorBundleReader& reader, const ReadParametersOptions& options,
                      LocalParameters* parameters);

}  // namespace capstan
