#include "ps/remote_parameters.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <random>
#include <utility>

#include "base/random.h"
#include "params/row_layout.h"
#include "ps/pull_plan.h"
#include "ps/push_encoder.h"
#include "ps/server_calls.h"
#include "tensor/aligned_vector.h"
#include "tensor/bfloat16.h"
#include "tensor/vector_ops.h"

namespace capstan {
namespace {
constexpr int kKeysAgain = 3;  // how often a server may ask for the keys of one push

size_t ValueBytes(ValueFormat format) {
  return format == ValueFormat::kBfloat16 ? sizeof(Bfloat16) : sizeof(float);
}

// `bytes` as floats: where they are, or converted into `*memory`.
std::span<const float> FloatsOf(std::string_view bytes, ValueFormat format,
                                AlignedVector<float>* memory) {
  const size_t count = bytes.size() / ValueBytes(format);
  if (format == ValueFormat::kFloat32) {
    if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(float) == 0) {
      return {reinterpret_cast<const float*>(bytes.data()), count};
    }
    memory->resize(count);
    std::memcpy(memory->data(), bytes.data(), bytes.size());
    return *memory;
  }
  std::vector<Bfloat16> halves;
  const Bfloat16* from = reinterpret_cast<const Bfloat16*>(bytes.data());
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(Bfloat16) != 0) {
    halves.resize(count);
    std::memcpy(halves.data(), bytes.data(), bytes.size());
    from = halves.data();
  }
  memory->resize(count);
  Bfloat16ToFloats(from, static_cast<int64_t>(count), memory->data());
  return *memory;
}

std::vector<DenseSpec> LaidOut(std::vector<DenseSpec> variables) {
  LayOutDense(&variables);
  return variables;
}

size_t CountBits(std::string_view bits) {
  size_t count = 0;
  for (const char byte : bits) count += std::popcount(static_cast<unsigned char>(byte));
  return count;
}

}  // namespace

struct RemoteParameters::Rep {
  // One pull: asked for, then answered, then pushed to.
  struct PullState {
    RunId run;
    uint64_t id = 0;
    int64_t step = 0;
    bool training = true, wants_dense = true;
    PullPlan plan;
    std::shared_ptr<ServerCalls::Round> round;
    // Of each server:
    std::vector<std::string> messages;
    std::vector<int64_t> applied_steps;
    std::vector<std::vector<AlignedVector<float>>>
        converted;  // by table, where rows are not floats
  };

  Rep(std::vector<TableSpec> tables, std::vector<DenseSpec> dense,
      const RemoteParametersOptions& options, Transport* transport, Clock* clock);

  Status Start(int64_t step, bool training, std::span<const TableKeys> keys, PullState* pull);
  Status Finish(PullState* pull, PulledRows* rows);
  StatusOr<bool> TakePullAnswer(PullState* pull, int server, StatusOr<std::string> answer,
                                PulledRows* rows);
  Status CheckAnswer(const PullAnswer& answer, const PullState& pull, int server) const;
  void TakeRows(const PullAnswer& answer, PullState* pull, int server, PulledRows* rows);
  void TakeDense(std::string_view bytes, int server);
  std::string EncodePull(const PullState& pull, int server, bool keys_only) const;
  bool HasDense(const RunId& of_run, int64_t of_step) const;
  bool MayUseStarted(int64_t step, std::span<const TableKeys> keys) const;
  void ForgetStarted();
  Status PushParts(int64_t rates_step, std::span<const PushEncoder::Part> parts,
                   std::span<const PushEncoder::Dense> sums);
  StatusOr<bool> TakePushAnswer(int server, StatusOr<std::string> answer, int* keys_again,
                                int64_t* staleness);

  const std::vector<TableSpec> tables;
  const std::vector<DenseSpec> dense_variables;
  const RemoteParametersOptions options;
  SystemClock system_clock;
  Clock* const clock;
  ServerCalls calls;
  const Sharding sharding;
  std::vector<PulledRowFormat> formats;
  std::vector<int> dims;
  AlignedVector<float> dense;
  // Sync: whether `dense` is what a pull of this step brings.
  bool dense_is_of_step = false;
  RunId dense_run;
  int64_t dense_step = 0;
  uint64_t next_pull_id;

  // The last pull; one that StartPull has sent. Requests that are made again look into them: made
  // by whoever waits for the round, so a round that is forgotten never does.
  std::unique_ptr<PullState> pulled = std::make_unique<PullState>();
  std::unique_ptr<PullState> started = std::make_unique<PullState>();
  bool has_started = false, can_push = false;
  PushIdentity identity;
  RunId run;

  mutable Mutex mutex;
  Statistics statistics GUARDED_BY(mutex);
};

RemoteParameters::Rep::Rep(std::vector<TableSpec> tables_in, std::vector<DenseSpec> dense_in,
                           const RemoteParametersOptions& options_in, Transport* transport,
                           Clock* given_clock)
    : tables(std::move(tables_in)),
      dense_variables(LaidOut(std::move(dense_in))),
      options(options_in),
      clock(given_clock == nullptr ? &system_clock : given_clock),
      calls({.servers = options.servers,
             .call_timeout = options.call_timeout,
             .peer_timeout = options.peer_timeout,
             .retry_delay = options.retry_delay},
            transport, clock),
      sharding(tables, dense_variables, static_cast<int>(options.servers.size())) {
  for (const TableSpec& table : tables) {
    PulledRowFormat& format = formats.emplace_back();
    int& dim = dims.emplace_back(0);
    for (const RowPart& part : table.parts) {
      format.part_offset.push_back(dim);
      dim += part.dim;
    }
  }
  int64_t dense_size = 0;
  for (const DenseSpec& variable : dense_variables) {
    dense_size = variable.offset + (ElementCount(variable.shape) + 15) / 16 * 16;
  }
  dense.resize(dense_size);
  uint64_t incarnation = options.incarnation;
  if (incarnation == 0) {
    std::random_device device;
    incarnation = uint64_t{device()} << 32 | device();
  }
  next_pull_id = MixBits(incarnation);
}

std::string RemoteParameters::Rep::EncodePull(const PullState& pull, int server,
                                              bool keys_only) const {
  const bool waits = pull.training && options.mode == TrainMode::kSync;
  return PullRequest{.run = pull.run,
                     .worker = options.worker,
                     .pull_id = pull.id,
                     .after_step = waits ? pull.step - 1 : -1,
                     .training = pull.training,
                     .wants_dense = pull.wants_dense && !keys_only,
                     .keys_only = keys_only,
                     .format = options.format,
                     .keys = pull.plan.KeysOf(server)}
      .Encode();
}

Status RemoteParameters::Rep::Start(int64_t step, bool training, std::span<const TableKeys> keys,
                                    PullState* pull) {
  if (keys.size() != tables.size()) {
    return Error("pull rows: keys of {} tables, wanted {}", keys.size(), tables.size());
  }
  pull->run = run;
  pull->id = next_pull_id++;
  pull->step = step;
  pull->training = training;
  pull->wants_dense = !training || !HasDense(run, step);
  pull->plan.Build(sharding, keys);
  pull->messages.resize(options.servers.size());
  pull->applied_steps.resize(options.servers.size());
  pull->converted.resize(options.servers.size());
  for (auto& converted : pull->converted) converted.resize(tables.size());
  pull->round = calls.Start([this, pull](int server) {
    return ServerCalls::Request{Method::kPull, EncodePull(*pull, server, false)};
  });
  return OkStatus();
}

Status RemoteParameters::Rep::Finish(PullState* pull, PulledRows* rows) {
  rows->rows.resize(tables.size());
  for (size_t t = 0; t < tables.size(); ++t) {
    rows->rows[t].assign(pull->plan.size(static_cast<int>(t)), nullptr);
  }
  if (pull->wants_dense) dense_is_of_step = false;
  const Status status =
      calls.Wait(pull->round.get(), [&](int server, StatusOr<std::string> answer) {
        return TakePullAnswer(pull, server, std::move(answer), rows);
      });
  pull->round = nullptr;
  if (status.ok() && pull->wants_dense) {
    dense_is_of_step = pull->training && options.mode == TrainMode::kSync;
    dense_run = pull->run;
    dense_step = pull->step;
  }
  MutexLock lock(&mutex);
  ++statistics.pulls;
  return status;
}

bool RemoteParameters::Rep::HasDense(const RunId& of_run, int64_t of_step) const {
  return dense_is_of_step && dense_run == of_run && dense_step == of_step;
}

// In async the number of a step is not known before its work is given out; its keys say what it is.
bool RemoteParameters::Rep::MayUseStarted(int64_t step, std::span<const TableKeys> keys) const {
  return has_started && started->run == run &&
         (started->step == step || options.mode == TrainMode::kAsync) &&
         (started->wants_dense || HasDense(run, step)) && started->plan.IsOf(keys);
}

void RemoteParameters::Rep::ForgetStarted() {
  has_started = false;
  started->round = nullptr;
}

StatusOr<bool> RemoteParameters::Rep::TakePullAnswer(PullState* pull, int server,
                                                     StatusOr<std::string> answer,
                                                     PulledRows* rows) {
  const std::string who = "pull from " + calls.NameOf(server);
  if (!answer.ok()) return Annotate(answer.status(), who);
  std::string& message = pull->messages[server];
  message = *std::move(answer);
  const StatusOr<PullAnswer> decoded = PullAnswer::Decode(message);
  if (!decoded.ok()) return Annotate(decoded.status(), who);
  if (decoded->waiting) return false;
  RETURN_IF_ERROR(Annotate(CheckAnswer(*decoded, *pull, server), who));
  pull->applied_steps[server] = decoded->applied_step;
  TakeRows(*decoded, pull, server, rows);
  if (pull->wants_dense) TakeDense(decoded->dense, server);
  return true;
}

Status RemoteParameters::Rep::CheckAnswer(const PullAnswer& answer, const PullState& pull,
                                          int server) const {
  if (answer.format != options.format || answer.rows.size() != tables.size()) {
    return CorruptionError("rows of {} tables, wanted {}", answer.rows.size(), tables.size());
  }
  const size_t value_bytes = ValueBytes(options.format);
  for (size_t t = 0; t < tables.size(); ++t) {
    const size_t keys = pull.plan.part(server, static_cast<int>(t)).keys.size();
    const size_t wanted = CountBits(answer.present[t]) * dims[t] * value_bytes;
    if (answer.present[t].size() != (keys + 7) / 8 || answer.rows[t].size() != wanted) {
      return CorruptionError("table {}: {} bytes of bits and {} of rows for {} keys",
                             tables[t].name, answer.present[t].size(), answer.rows[t].size(), keys);
    }
  }
  const size_t wanted = pull.wants_dense ? sharding.dense_floats(server) * value_bytes : 0;
  if (answer.dense.size() != wanted) {
    return CorruptionError("{} bytes of dense weights, wanted {}", answer.dense.size(), wanted);
  }
  return OkStatus();
}

void RemoteParameters::Rep::TakeRows(const PullAnswer& answer, PullState* pull, int server,
                                     PulledRows* rows) {
  for (size_t t = 0; t < tables.size(); ++t) {
    const PullPlan::Part& part = pull->plan.part(server, static_cast<int>(t));
    const std::string_view bits = answer.present[t];
    const float* next =
        FloatsOf(answer.rows[t], options.format, &pull->converted[server][t]).data();
    const float** const out = rows->rows[t].data();
    for (size_t i = 0; i < part.places.size(); ++i) {
      if (((bits[i / 8] >> (i % 8)) & 1) == 0) continue;
      out[part.places[i]] = next;
      next += dims[t];
    }
  }
}

void RemoteParameters::Rep::TakeDense(std::string_view bytes, int server) {
  AlignedVector<float> converted;
  const float* from = FloatsOf(bytes, options.format, &converted).data();
  for (const Sharding::DensePiece& piece : sharding.dense_pieces(server)) {
    std::copy(from, from + piece.count, dense.data() + piece.offset);
    from += piece.count;
  }
}

Status RemoteParameters::Rep::PushParts(int64_t rates_step,
                                        std::span<const PushEncoder::Part> parts,
                                        std::span<const PushEncoder::Dense> sums) {
  if (!can_push) {
    return MakeStatus(absl::StatusCode::kFailedPrecondition, "push: nothing was pulled for it");
  }
  if (pulled->run != run) {
    return MakeStatus(absl::StatusCode::kAborted, "push: the generation of its pull is over");
  }
  const auto start = clock->Monotonic();
  const PushEncoder encoder(sharding, pulled->plan, dense_variables, dims, options.format);
  for (const PushEncoder::Part& part : parts) RETURN_IF_ERROR(encoder.Check(part));
  for (const PushEncoder::Dense& sum : sums) {
    RETURN_IF_ERROR(encoder.Check(sum, dense.size()));
  }
  std::vector<int> keys_again(options.servers.size(), 0);  // odd: the keys are to be sent
  const auto round = calls.Start([&](int server) {
    if (keys_again[server] % 2 == 1) {
      return ServerCalls::Request{Method::kPull, EncodePull(*pulled, server, true)};
    }
    PushRequest request{.run = pulled->run,
                        .worker = options.worker,
                        .pull_id = pulled->id,
                        .rates_step = rates_step,
                        .format = options.format};
    return ServerCalls::Request{Method::kPush, encoder.Encode(server, request, parts, sums)};
  });
  int64_t staleness = 0;
  RETURN_IF_ERROR(calls.Wait(round.get(), [&](int server, StatusOr<std::string> answer) {
    return TakePushAnswer(server, std::move(answer), &keys_again[server], &staleness);
  }));
  MutexLock lock(&mutex);
  statistics.pushes += static_cast<int64_t>(parts.size());
  statistics.push_times.Add(clock->Monotonic() - start);
  if (options.mode == TrainMode::kSync) return OkStatus();
  statistics.staleness_sum += staleness;
  statistics.staleness_max = std::max(statistics.staleness_max, staleness);
  return OkStatus();
}

StatusOr<bool> RemoteParameters::Rep::TakePushAnswer(int server, StatusOr<std::string> answer,
                                                     int* keys_again, int64_t* staleness) {
  const std::string who = "push to " + calls.NameOf(server);
  if (*keys_again % 2 == 1) {
    if (!answer.ok()) return Annotate(answer.status(), who);
    ++*keys_again;
    return false;
  }
  if (absl::IsNotFound(answer.status()) && *keys_again < 2 * kKeysAgain) {
    ++*keys_again;
    return false;
  }
  if (!answer.ok()) return Annotate(answer.status(), who);
  const StatusOr<PushAnswer> decoded = PushAnswer::Decode(*answer);
  if (!decoded.ok()) return Annotate(decoded.status(), who);
  if (decoded->applied > 0) {
    const int64_t others = decoded->applied_step - decoded->applied - pulled->applied_steps[server];
    *staleness = std::max(*staleness, others);
  }
  return true;
}

RemoteParameters::RemoteParameters(std::vector<TableSpec> tables, std::vector<DenseSpec> dense,
                                   const RemoteParametersOptions& options, Transport* transport,
                                   Clock* clock)
    : rep_(std::make_unique<Rep>(std::move(tables), std::move(dense), options, transport, clock)) {}

RemoteParameters::~RemoteParameters() = default;

const std::vector<TableSpec>& RemoteParameters::tables() const { return rep_->tables; }

const std::vector<DenseSpec>& RemoteParameters::dense_variables() const {
  return rep_->dense_variables;
}

const PulledRowFormat& RemoteParameters::row_format(int table) const {
  return rep_->formats[table];
}

void RemoteParameters::SetRun(const RunId& run) {
  rep_->run = run;
  rep_->ForgetStarted();
}

void RemoteParameters::Interrupt() { rep_->calls.Interrupt(); }

void RemoteParameters::Stop() { rep_->calls.Stop(); }

Status RemoteParameters::StartPull(int64_t step, std::span<const TableKeys> keys) {
  rep_->ForgetStarted();
  RETURN_IF_ERROR(rep_->Start(step, true, keys, rep_->started.get()));
  rep_->has_started = true;
  return OkStatus();
}

Status RemoteParameters::Pull(int64_t step, std::span<const TableKeys> keys, PulledRows* rows) {
  const auto start = rep_->clock->Monotonic();
  rep_->can_push = false;
  if (rep_->MayUseStarted(step, keys)) {
    std::swap(rep_->pulled, rep_->started);
    rep_->has_started = false;
  } else {
    rep_->ForgetStarted();
    RETURN_IF_ERROR(rep_->Start(step, true, keys, rep_->pulled.get()));
  }
  RETURN_IF_ERROR(rep_->Finish(rep_->pulled.get(), rows));
  rep_->can_push = true;
  MutexLock lock(&rep_->mutex);
  rep_->statistics.pull_times.Add(rep_->clock->Monotonic() - start);
  return OkStatus();
}

Status RemoteParameters::Lookup(std::span<const TableKeys> keys, PulledRows* rows) {
  rep_->can_push = false;
  RETURN_IF_ERROR(rep_->Start(0, false, keys, rep_->pulled.get()));
  return rep_->Finish(rep_->pulled.get(), rows);
}

std::span<const float> RemoteParameters::dense() const { return rep_->dense; }

void RemoteParameters::SetPushIdentity(const PushIdentity& identity) { rep_->identity = identity; }

Status RemoteParameters::Push(const StepRates& rates, const Gradients& gradients) {
  if (rep_->options.mode == TrainMode::kSync) {
    return MakeStatus(absl::StatusCode::kFailedPrecondition, "push: in sync by slices only");
  }
  // The server's 1 / weight_sum, rounded to float, is exactly this scale again.
  const double weight_sum = gradients.scale > 0 ? 1.0 / double{gradients.scale} : 0.0;
  std::vector<std::span<const uint32_t>> counts;
  for (int t = 0; t < rep_->pulled->plan.tables(); ++t) {
    counts.push_back(rep_->pulled->plan.counts(t));
  }
  const PushEncoder::Part part{rep_->identity, weight_sum, gradients.rows, counts};
  const PushEncoder::Dense dense{{0, 1}, gradients.dense};
  RETURN_IF_ERROR(rep_->PushParts(rates.step, {&part, 1}, {&dense, 1}));
  rep_->can_push = false;
  return OkStatus();
}

Status RemoteParameters::PushSlices(std::span<const SlicePush> slices,
                                    std::span<const DensePush> dense) {
  std::vector<PushEncoder::Part> parts;
  for (const SlicePush& slice : slices) {
    parts.push_back({slice.identity, slice.weight_sum, slice.rows, slice.counts});
  }
  std::vector<PushEncoder::Dense> sums;
  for (const DensePush& sum : dense) sums.push_back({sum.node, sum.values});
  return rep_->PushParts(slices.empty() ? 0 : slices[0].identity.step, parts, sums);
}

RemoteParameters::Statistics RemoteParameters::statistics() const {
  const ServerCalls::Statistics calls = rep_->calls.statistics();
  MutexLock lock(&rep_->mutex);
  Statistics statistics = rep_->statistics;
  statistics.bytes_out = calls.bytes_out;
  statistics.bytes_in = calls.bytes_in;
  statistics.retries = calls.retries;
  return statistics;
}

}  // namespace capstan
