// The files of whole tensor bundles: removing them, putting them together.
#pragma once

#include <span>
#include <string>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

// Removes the files of a bundle (index first, so that it never looks whole), also the temporary
// ones of a writer that was killed. OK when there are none.
Status RemoveTensorBundle(FileSystem& fs, const std::string& prefix);

// Sharded save: puts bundles of several writers together under `prefix` without copying tensor
// data, as TensorFlow's MergeBundles does (data files renamed to -0000i-of-0000N, one index). All
// is checked before the first file is renamed. A tensor in two parts is an error, unless the parts
// hold slices of it. Parts and `prefix` must be on one disk; the parts' index files are removed in
// the end.
Status MergeTensorBundles(FileSystem& fs, std::span<const std::string> parts,
                          const std::string& prefix);

// The same for parts that hold rows of the same tensors: a tensor that stands in several parts
// becomes one partitioned variable, its parts one behind the other along the first dimension. Other
// dimensions and types must agree. A tensor in one part only stays as it is.
Status ConcatenateTensorBundles(FileSystem& fs, std::span<const std::string> parts,
                                const std::string& prefix);

}  // namespace capstan
