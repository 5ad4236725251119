#include "train/cluster_checkpoint.h"

#include <algorithm>
#include <map>

#include "formats/tensor_bundle_files.h"
#include "formats/tensor_bundle_writer.h"
#include "ps/local_fault.h"

namespace capstan {
namespace {

// Then the same is asked again; a server that died is noticed by its heartbeat.
constexpr std::chrono::seconds kAskAgain{60};

constexpr char kOpenName[] = "capstan/open_blocks";  // [n, 4 + fields of a position]
// Fields of a position, no_more, examples, scanned (not in those of before this field).
constexpr char kNextName[] = "capstan/next_block";
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
constexpr size_t kNextFields = kInputPositionFields + 3;

std::string PartOf(const std::string& prefix, size_t server) {
  return fmt::format("{}.part-{}", prefix, server);
}

// One list for all servers: the cut was made in a quiet moment. Blocks that are done are never
// given out again, so nobody will ask for their marks.
std::vector<LeaseMark> MarksOfOpenBlocks(const std::vector<ControlAnswer>& answers,
                                         const LeaseState& leases) {
  std::map<uint64_t, int64_t> lowest;
  for (const ControlAnswer& answer : answers) {
    for (const LeaseMark& mark : answer.marks) {
      const auto [place, is_new] = lowest.try_emplace(mark.lease, mark.index);
      if (!is_new) place->second = std::min(place->second, mark.index);
    }
  }
  std::vector<LeaseMark> marks;
  for (const BlockLease& block : leases.open) {
    const auto found = lowest.find(block.id);
    if (found != lowest.end()) marks.push_back({block.id, found->second});
  }
  return marks;
}

}  // namespace

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
  request_ = ControlRequest();
  request_.kind = ControlKind::kCut;
  request_.run = run;
  request_.prefix = folder_->PrefixOf(step);
  request_.cut = ++cuts_;
  request_.step = step;
  request_.finished_step = finished_step;
  cut_ = std::make_unique<ControlRound>(transport_, options_.spec.ps, request_, kAskAgain);
}

void ClusterCheckpoint::Advance(std::chrono::microseconds now) {
  if (cut_ == nullptr) return;
  if (part_ != nullptr) return part_->Resend(now);
  if (!cut_->done()) return cut_->Resend(now);
  if (!cut_->status().ok()) return;
  ControlRequest await = request_;
  await.kind = ControlKind::kAwaitPart;
  part_ = std::make_unique<ControlRound>(transport_, options_.spec.ps, await, kAskAgain);
}

bool ClusterCheckpoint::missed() const {
  return cut_ != nullptr && absl::IsFailedPrecondition(cut_->status());
}

bool ClusterCheckpoint::ready() const {
  return cut_ != nullptr && (!cut_->status().ok() || (part_ != nullptr && part_->done()));
}

void ClusterCheckpoint::Abandon() {
  if (cut_ != nullptr) abandoned_.push_back(request_.prefix);
  cut_ = nullptr;
  part_ = nullptr;
}

// A server writes its parts in order: those of before the last checkpoint are all there.
void ClusterCheckpoint::RemoveAbandonedParts() {
  for (const std::string& prefix : std::exchange(abandoned_, {})) {
    for (size_t i = 0; i < options_.spec.ps.size(); ++i) {
      RemoveTensorBundle(*fs_, PartOf(prefix, i)).IgnoreError();
    }
  }
}

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
    next.push_back(leases->scanned);
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

Status ClusterCheckpoint::PutTogether(std::vector<std::string> parts, const RunState& run,
                                      const LeaseState* leases, const std::vector<LeaseMark>& marks,
                                      bool is_best) {
  const std::string prefix = folder_->PrefixOf(run.step);
  const std::string own = prefix + ".part-chief";
  const auto put = [&]() -> Status {
    RETURN_IF_ERROR(WriteOwnPart(own, run, leases, marks));
    parts.push_back(own);
    RETURN_IF_ERROR(WriteGraphs(*fs_, prefix, graph_path_, *model_));
    RETURN_IF_ERROR(ConcatenateTensorBundles(*fs_, parts, prefix));
    return folder_->Commit(run.step, is_best);
  };
  const Status status = LocalFault(put());
  if (!status.ok()) RemoveTensorBundle(*fs_, own).IgnoreError();
  return Annotate(status, fmt::format("checkpoint of step {}", run.step));
}

Status ClusterCheckpoint::Finish(const RunState& run, const LeaseState* leases, bool is_best) {
  const std::unique_ptr<ControlRound> cut = std::move(cut_), part = std::move(part_);
  Status status = cut->status();
  if (status.ok()) status = part->status();
  std::vector<std::string> parts;
  if (status.ok()) {
    for (const ControlAnswer& answer : part->answers()) parts.push_back(answer.part_prefix);
    std::vector<LeaseMark> marks;
    if (leases != nullptr) marks = MarksOfOpenBlocks(cut->answers(), *leases);
    status = PutTogether(parts, run, leases, marks, is_best);
  } else {
    status = Annotate(status, fmt::format("checkpoint of step {}", step_));
  }
  if (!status.ok()) {
    for (const std::string& one : parts) RemoveTensorBundle(*fs_, one).IgnoreError();
    return status;
  }
  RemoveAbandonedParts();
  return OkStatus();
}

Status ClusterCheckpoint::Join(const std::vector<std::string>& parts, const RunState& run) {
  return PutTogether(parts, run, nullptr, {}, false);
}

StatusOr<LeaseState> ReadLeaseState(const TensorBundleReader& reader) {
  if (reader.Find(kNextName) == nullptr) {
    return NotFoundError("checkpoint {} is not of an asynchronous run", reader.prefix());
  }
  LeaseState state;
  ASSIGN_OR_RETURN(const std::vector<int64_t> next, reader.ReadInts(kNextName));
  ASSIGN_OR_RETURN(const std::vector<int64_t> open, reader.ReadInts(kOpenName));
  const bool fits = next.size() == kNextFields || next.size() == kNextFields - 1;
  if (!fits || open.size() % kBlockFields != 0) {
    return CorruptionError("checkpoint {}: {} or {} has a wrong size", reader.prefix(), kNextName,
                           kOpenName);
  }
  state.next_block = PositionAt(next.data());
  state.no_more_blocks = next[kInputPositionFields] != 0;
  state.examples = next[kInputPositionFields + 1];
  if (next.size() == kNextFields) state.scanned = next[kInputPositionFields + 2];
  for (size_t i = 0; i < open.size(); i += kBlockFields) {
    state.open.push_back({.id = static_cast<uint64_t>(open[i]),
                          .start = PositionAt(open.data() + i + 3),
                          .first_index = open[i + 1],
                          .examples = open[i + 2]});
  }
  return state;
}

}  // namespace capstan
