#include "train/cluster_checkpoint.h"

#include <algorithm>
#include <map>

#include "formats/tensor_bundle_files.h"
#include "formats/tensor_bundle_writer.h"

namespace capstan {
namespace {

// A part of many gigabytes takes its time; a server that died is noticed by its heartbeat.
constexpr std::chrono::hours kCutDeadline{6};

constexpr char kOpenName[] = "capstan/open_blocks";   // [n, 4 + fields of a position]
constexpr char kNextName[] = "capstan/next_block";    // fields of a position, no_more, examples
constexpr char kMarksName[] = "capstan/lease_marks";  // [n, 2]: lease, last batch applied

void AppendPosition(const InputPosition& p, std::vector<int64_t>* numbers) {
  numbers->insert(numbers->end(),
                  {p.epoch, p.block, p.batch, p.example, p.file, p.record, p.offset});
}

InputPosition PositionAt(const int64_t* v) {
  return {.epoch = v[0],
          .block = v[1],
          .batch = v[2],
          .example = v[3],
          .file = v[4],
          .record = v[5],
          .offset = v[6]};
}

constexpr size_t kBlockFields = 3 + kInputPositionFields;

}  // namespace

struct ClusterCheckpoint::Pending {
  mutable Mutex mutex;
  size_t wanted = 0;
  std::vector<ControlAnswer> answers GUARDED_BY(mutex);
  size_t answered GUARDED_BY(mutex) = 0;
  Status status GUARDED_BY(mutex);
};

ClusterCheckpoint::ClusterCheckpoint(FileSystem* fs, Transport* transport, CheckpointFolder* folder,
                                     const Model* model, const ClusterOptions& options,
                                     std::string graph_path)
    : fs_(fs),
      transport_(transport),
      folder_(folder),
      model_(model),
      options_(options),
      graph_path_(std::move(graph_path)) {}

void ClusterCheckpoint::Start(const RunId& run, int64_t step, int64_t finished_step) {
  step_ = step;
  pending_ = std::make_shared<Pending>();
  pending_->wanted = options_.spec.ps.size();
  {
    MutexLock lock(&pending_->mutex);
    pending_->answers.resize(options_.spec.ps.size());
  }
  ControlRequest request;
  request.kind = ControlKind::kCut;
  request.run = run;
  request.prefix = folder_->PrefixOf(step);
  request.step = step;
  request.finished_step = finished_step;
  for (size_t i = 0; i < options_.spec.ps.size(); ++i) {
    transport_->Call(
        options_.spec.ps[i], Method::kControl, request.Encode(), kCutDeadline,
        [pending = pending_, i, name = options_.spec.ps[i]](StatusOr<std::string> bytes) {
          StatusOr<ControlAnswer> answer =
              bytes.ok() ? ControlAnswer::Decode(*bytes) : StatusOr<ControlAnswer>(bytes.status());
          MutexLock lock(&pending->mutex);
          ++pending->answered;
          if (answer.ok()) {
            pending->answers[i] = *std::move(answer);
          } else if (pending->status.ok()) {
            pending->status = Annotate(answer.status(), fmt::format("part of ps {} ({})", i, name));
          }
        });
  }
}

bool ClusterCheckpoint::ready() const {
  if (pending_ == nullptr) return false;
  MutexLock lock(&pending_->mutex);
  return pending_->answered == pending_->wanted;
}

bool ClusterCheckpoint::all_cut() const { return pending_ == nullptr || ready(); }

void ClusterCheckpoint::Abandon() { pending_.reset(); }

Status ClusterCheckpoint::WriteOwnPart(const std::string& prefix, const RunState& run,
                                       const LeaseState* leases,
                                       const std::vector<LeaseMark>& marks) {
  ASSIGN_OR_RETURN(std::unique_ptr<TensorBundleWriter> writer,
                   TensorBundleWriter::Create(*fs_, prefix));
  RETURN_IF_ERROR(WriteRunState(model_->spec(), run, writer.get()));
  if (leases != nullptr) {
    std::vector<int64_t> open, next, mark_pairs;
    for (const BlockLease& lease : leases->open) {
      open.insert(open.end(), {static_cast<int64_t>(lease.id), lease.first_index, lease.examples});
      AppendPosition(lease.start, &open);
    }
    AppendPosition(leases->next_block, &next);
    next.push_back(leases->no_more_blocks ? 1 : 0);
    next.push_back(leases->examples);
    for (const LeaseMark& mark : marks) {
      mark_pairs.insert(mark_pairs.end(), {static_cast<int64_t>(mark.lease), mark.index});
    }
    const auto count = [](size_t numbers, size_t fields) {
      return static_cast<int64_t>(numbers / fields);
    };
    RETURN_IF_ERROR(writer->AddInts(
        kOpenName, {count(open.size(), kBlockFields), static_cast<int64_t>(kBlockFields)}, open));
    RETURN_IF_ERROR(writer->AddInts(kNextName, {static_cast<int64_t>(next.size())}, next));
    RETURN_IF_ERROR(writer->AddInts(kMarksName, {count(mark_pairs.size(), 2), 2}, mark_pairs));
  }
  return writer->Finish();
}

Status ClusterCheckpoint::Finish(const RunState& run, const LeaseState* leases, bool is_best) {
  const std::shared_ptr<Pending> pending = std::move(pending_);
  const std::string prefix = folder_->PrefixOf(step_);
  std::vector<std::string> parts;
  std::map<uint64_t, int64_t>
      marks;  // all servers have the same: the cut was made in a quiet moment
  Status status;
  {
    MutexLock lock(&pending->mutex);
    status = pending->status;
    for (const ControlAnswer& answer : pending->answers) {
      if (!answer.part_prefix.empty()) parts.push_back(answer.part_prefix);
      for (const LeaseMark& mark : answer.marks) {
        const auto [place, is_new] = marks.try_emplace(mark.lease, mark.index);
        if (!is_new) place->second = std::min(place->second, mark.index);
      }
    }
  }
  const std::string own = prefix + ".part-chief";
  const auto finish = [&]() -> Status {
    RETURN_IF_ERROR(status);
    std::vector<LeaseMark> mark_list;
    for (const auto& [lease, index] : marks) mark_list.push_back({lease, index});
    RETURN_IF_ERROR(WriteOwnPart(own, run, leases, mark_list));
    parts.push_back(own);
    RETURN_IF_ERROR(WriteGraphs(*fs_, prefix, graph_path_, *model_));
    RETURN_IF_ERROR(ConcatenateTensorBundles(*fs_, parts, prefix));
    return folder_->Commit(step_, is_best);
  };
  status = finish();
  if (!status.ok()) {
    for (const std::string& part : parts) RemoveTensorBundle(*fs_, part).IgnoreError();
  }
  return Annotate(status, fmt::format("checkpoint of step {}", step_));
}

StatusOr<LeaseState> ReadLeaseState(const TensorBundleReader& reader) {
  if (reader.Find(kNextName) == nullptr) {
    return NotFoundError("checkpoint {} is not of an asynchronous run", reader.prefix());
  }
  LeaseState state;
  ASSIGN_OR_RETURN(const std::vector<int64_t> next, reader.ReadInts(kNextName));
  ASSIGN_OR_RETURN(const std::vector<int64_t> open, reader.ReadInts(kOpenName));
  if (next.size() != kInputPositionFields + 2 || open.size() % kBlockFields != 0) {
    return CorruptionError("checkpoint {}: {} or {} has a wrong size", reader.prefix(), kNextName,
                           kOpenName);
  }
  state.next_block = PositionAt(next.data());
  state.no_more_blocks = next[kInputPositionFields] != 0;
  state.examples = next[kInputPositionFields + 1];
  for (size_t i = 0; i < open.size(); i += kBlockFields) {
    state.open.push_back({.id = static_cast<uint64_t>(open[i]),
                          .start = PositionAt(open.data() + i + 3),
                          .first_index = open[i + 1],
                          .examples = open[i + 2]});
  }
  return state;
}

}  // namespace capstan
