// What tasks say to each other. Each message has Encode() → bytes and a static Decode(bytes) with
// every size checked (wire.h). Big arrays are views into the message's bytes, which must outlive
// them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/input_position.h"
#include "params/slice_tree.h"

namespace capstan {

class WireReader;
class WireWriter;

// Which training this is about. A run is one start of the chief's folder; a generation ends when
// servers go back to a checkpoint: requests of an older one are refused with kAborted.
struct RunId {
  uint64_t run = 0;
  uint64_t generation = 0;
  bool operator==(const RunId&) const = default;
  // "3f…9c generation 2"
  std::string ToString() const;
};
void PutRun(const RunId& run, WireWriter* writer);
RunId GetRun(WireReader* reader);

// Handshake. Each side compares everything; a difference is a sentence with both values.
struct HelloMessage {
  uint32_t wire_version = 0;
  std::string task;                           // who speaks: "worker 1"
  std::string called_task;                    // whom it believes to call: "ps 0"
  std::string ps_hosts, worker_hosts, chief;  // lists by commas, as this task has them
  uint64_t model_hash =
      0;  // of the model file and of what must agree (batch size, slices, mode, …)
  std::string instruction_set;  // "avx512": bits agree only within one
  uint64_t incarnation = 0;     // random, new at each start of the task
  RunId run;                    // of the chief and of servers that have begun; else zeros

  std::string Encode() const;
  static StatusOr<HelloMessage> Decode(std::string_view bytes);
};
// kFailedPrecondition with one sentence when the two do not belong to one job.
Status CompareHello(const HelloMessage& ours, const HelloMessage& theirs);

enum class ValueFormat : uint8_t { kFloat32 = 0, kBfloat16 = 1 };

struct PullRequest {
  RunId run;
  int32_t worker = 0;
  uint64_t pull_id = 0;     // unique per worker and incarnation; the push refers to it
  int64_t after_step = -1;  // sync: answer when this step is applied; -1: at once
  bool training = true;     // false: a lookup: keys without rows stay without
  bool wants_dense = true;
  bool keys_only = false;  // the keys of an earlier pull again, for its push: no values wanted
  ValueFormat format = ValueFormat::kFloat32;
  std::vector<std::vector<uint64_t>> keys;  // [table], sorted

  std::string Encode() const;
  static StatusOr<PullRequest> Decode(std::string_view bytes, size_t tables);
};

// Rows in the order of the request's keys: a bit for each key (has a row), then the rows' weights,
// parts side by side; then the server's dense pieces.
struct PullAnswer {
  int64_t applied_step = 0;  // sync: steps; async: pushes
  bool waiting = false;      // the step has not come yet: ask again (no values)
  ValueFormat format = ValueFormat::kFloat32;
  std::vector<std::string_view> present;  // [table]: bits, key i is bit i % 8 of byte i / 8
  std::vector<std::string_view> rows;     // [table]: values
  std::string_view dense;                 // values

  std::string Encode() const;
  static StatusOr<PullAnswer> Decode(std::string_view bytes);

  // For who fills the arrays in place: the message with arrays of these sizes, zeros.
  struct Sizes {
    std::vector<size_t> present, rows;
    size_t dense = 0;
  };
  struct Arrays {
    std::vector<char*> present, rows;
    char* dense = nullptr;
  };
  // Of *this only the fields before the arrays are used. `arrays` point into `*bytes`.
  Arrays EncodeSpace(const Sizes& sizes, std::string* bytes) const;
};

// What identifies a push for ever: applied once, whoever sends it and however often.
struct PushIdentity {
  int64_t step = -1;   // sync: the step …
  int32_t slice = -1;  // … and the slice
  uint64_t lease = 0;  // async: the lease …
  int64_t index = -1;  // … and the batch in it
};

// Row gradients of one slice (sync) or batch (async), of the keys of a pull: [touched keys,
// gradient_dim] per table.
struct PushPart {
  PushIdentity identity;
  double weight_sum = 0;
  std::vector<std::string_view> touched;  // [table]: a bit for each key of the pull; empty: all
  std::vector<std::string_view>
      counts;  // [table]: varint for each touched key: times in the examples
  std::vector<std::string_view> rows;  // [table]: values
};

// The dense gradients of the server's pieces, added up over the slices of a node (slice_tree.h).
struct PushDense {
  SliceNode node;
  std::string_view values;  // empty: all zeros
};

struct PushRequest {
  RunId run;
  int32_t worker = 0;
  uint64_t pull_id = 0;
  int64_t rates_step = 0;  // async: the global step for schedules and Adam; sync: the step
  ValueFormat format = ValueFormat::kFloat32;
  std::vector<PushPart> parts;
  // Sync: nodes that hold exactly the slices of the parts, in order. Async: (0, 1), the only part.
  std::vector<PushDense> dense;

  std::string Encode() const;
  static StatusOr<PushRequest> Decode(std::string_view bytes, size_t tables);

  // For who writes the values in place: of *this all is used but the parts' `rows` and the nodes'
  // `values`.
  struct Sizes {
    std::vector<std::vector<size_t>> rows;  // [part][table]
    std::vector<size_t> dense;              // [node]
  };
  struct Arrays {
    std::vector<std::vector<char*>> rows;
    std::vector<char*> dense;
  };
  Arrays EncodeSpace(const Sizes& sizes, std::string* bytes) const;
};

struct PushAnswer {
  int64_t applied_step = 0;          // async: pushes applied so far (staleness = this - the pull's)
  int32_t applied = 0, dropped = 0;  // parts

  std::string Encode() const;
  static StatusOr<PushAnswer> Decode(std::string_view bytes);
};

enum class ControlKind : uint8_t {
  kBegin = 0,  // restore from `prefix` ("": initial values) and serve `run`
  kCut,        // take a snapshot for checkpoint `prefix` as of after `step` (async: now)
  kEnd,        // save nothing more, answer, end the process with 0
  kStatus,     // rows, bytes, applied step
  kAwaitPart,  // answer when this server's part of checkpoint `prefix` is written
};

struct LeaseMark {
  uint64_t lease = 0;
  int64_t index = -1;  // the last batch applied
};

struct ControlRequest {
  ControlKind kind = ControlKind::kStatus;
  RunId run;
  std::string prefix;
  uint64_t cut = 0;  // kCut, kAwaitPart: its number; the same when a request is sent again
  int64_t step = 0;
  // kCut, kStatus, sync: all servers have all of the steps up to it: they are never computed again.
  int64_t finished_step = 0;

  std::string Encode() const;
  static StatusOr<ControlRequest> Decode(std::string_view bytes);
};

struct ControlAnswer {
  int64_t applied_step = 0;
  std::string part_prefix;       // kAwaitPart: where the part is
  std::vector<LeaseMark> marks;  // kBegin after a restore, kCut: async only
  int64_t rows = 0, memory_bytes = 0;
  uint64_t incarnation = 0;

  std::string Encode() const;
  static StatusOr<ControlAnswer> Decode(std::string_view bytes);
};

}  // namespace capstan
