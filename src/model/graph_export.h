// The TensorFlow graph of a model: of stock ops only, for SavedModels and for checkpoints.
//
// Variables in the bundle, in both: each dense variable by its name and shape; of a table T with
// keys "T-keys" int64 [rows] and, by their names, the parts [rows, dim], where keys and rows
// correspond and no key stands twice; of a table with dense_size only the parts [dense_size, dim].
// Checkpoints also: "global_step", int64 scalar.
// docs/formats/export.md shows signatures, nodes, and what each of TensorFlow's loaders does.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "model/model.h"

namespace tensorflow {
class MetaGraphDef;
}  // namespace tensorflow

namespace capstan {

// `table_rows`: by table of the model, its rows in the bundle. At least 1: a lookup table cannot be
// filled with nothing, so an empty table is written as one row of zeros under any key. (Ignored for
// tables with dense_size.)
//
// For saved_model.pb: tag "serve", signatures, init op, saver, collections. Equal calls give equal
// messages. Errors: features that want one column in forms that exclude each other; a model without
// a variable that its spec implies.
StatusOr<std::unique_ptr<tensorflow::MetaGraphDef>> BuildServingGraph(
    const Model& model, std::span<const int64_t> table_rows);

// For the .meta file of a checkpoint (its graph_def, as text, is graph.pbtxt). In TensorFlow:
//   saver = tf.compat.v1.train.import_meta_graph(PREFIX + ".meta"); saver.restore(sess, PREFIX)
//   sess.run("probability:0" or "softmax:0" or "prediction:0", {"features:0": …})
// restore() fills variables and lookup tables, so that no init op need run. The graph does not say
// how many rows a table has (shape [-1, dim]): it is the same for every checkpoint of a model, and
// restoring another one replaces all. saver.save() writes what the graph has: no optimizer slots.
StatusOr<std::unique_ptr<tensorflow::MetaGraphDef>> BuildCheckpointGraph(const Model& model);

}  // namespace capstan
