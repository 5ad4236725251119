#include "ps/messages.h"

#include <algorithm>

#include "ps/wire.h"

namespace capstan {
namespace {

std::vector<std::string_view> SplitList(std::string_view list) {
  std::vector<std::string_view> entries;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    entries.push_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return entries;
}

Status Stranger(const std::string& sentence) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, sentence);
}

// Entries that one side does not know (a sparse TF_CONFIG) are not compared.
Status CompareLists(const HelloMessage& ours, const HelloMessage& theirs, std::string_view list,
                    std::string_view entry, const std::string& our_list,
                    const std::string& their_list) {
  const std::vector<std::string_view> a = SplitList(our_list), b = SplitList(their_list);
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] == b[i] || a[i].empty() || b[i].empty()) continue;
    return Stranger(fmt::format("the {} differ: {} {} is {} for {}, but {} for {}", list, entry, i,
                                a[i], ours.task, b[i], theirs.task));
  }
  const auto sparse = [](const auto& entries) { return std::ranges::count(entries, "") > 0; };
  if (a.size() != b.size() && !sparse(a) && !sparse(b)) {
    return Stranger(fmt::format("the {} differ: {} for {} ({}), but {} for {} ({})", list, a.size(),
                                ours.task, our_list, b.size(), theirs.task, their_list));
  }
  return OkStatus();
}

}  // namespace

void PutRun(const RunId& run, WireWriter* writer) {
  writer->PutU64(run.run);
  writer->PutU64(run.generation);
}

RunId GetRun(WireReader* reader) {
  RunId run;
  run.run = reader->GetU64();
  run.generation = reader->GetU64();
  return run;
}

std::string RunId::ToString() const {
  return fmt::format("{:016x} generation {}", run, generation);
}

std::string HelloMessage::Encode() const {
  WireWriter writer;
  writer.PutU32(wire_version);
  for (const std::string* text :
       {&task, &called_task, &ps_hosts, &worker_hosts, &chief, &instruction_set}) {
    writer.PutString(*text);
  }
  writer.PutU64(model_hash);
  writer.PutU64(incarnation);
  PutRun(run, &writer);
  return writer.Take();
}

StatusOr<HelloMessage> HelloMessage::Decode(std::string_view bytes) {
  WireReader reader(bytes, "hello");
  HelloMessage hello;
  hello.wire_version = reader.GetU32();
  // Who speaks another version may go on in any way.
  if (reader.status().ok() && hello.wire_version != kWireVersion) return hello;
  for (std::string* text : {&hello.task, &hello.called_task, &hello.ps_hosts, &hello.worker_hosts,
                            &hello.chief, &hello.instruction_set}) {
    *text = reader.GetString();
  }
  hello.model_hash = reader.GetU64();
  hello.incarnation = reader.GetU64();
  hello.run = GetRun(&reader);
  RETURN_IF_ERROR(reader.Finish());
  return hello;
}

Status CompareHello(const HelloMessage& ours, const HelloMessage& theirs) {
  if (ours.wire_version != theirs.wire_version) {
    return Stranger(
        fmt::format("{} speaks version {} of the wire, {} version {}: use one program "
                    "for all tasks",
                    ours.task, ours.wire_version,
                    theirs.task.empty() ? "the other task" : theirs.task, theirs.wire_version));
  }
  if (!ours.called_task.empty() && ours.called_task != theirs.task) {
    return Stranger(fmt::format("{} called {}, but {} answered: is its address in the lists?",
                                ours.task, ours.called_task, theirs.task));
  }
  if (!theirs.called_task.empty() && theirs.called_task != ours.task) {
    return Stranger(fmt::format("{} called {}, but {} is here: is its address in the lists?",
                                theirs.task, theirs.called_task, ours.task));
  }
  RETURN_IF_ERROR(CompareLists(ours, theirs, "ps_hosts", "ps", ours.ps_hosts, theirs.ps_hosts));
  RETURN_IF_ERROR(
      CompareLists(ours, theirs, "worker_hosts", "worker", ours.worker_hosts, theirs.worker_hosts));
  if (ours.chief != theirs.chief) {
    return Stranger(fmt::format("the chief differs: '{}' for {}, but '{}' for {}", ours.chief,
                                ours.task, theirs.chief, theirs.task));
  }
  if (ours.model_hash != theirs.model_hash) {
    return Stranger(
        fmt::format("the models differ: {:016x} for {}, but {:016x} for {}: model and flags of "
                    "training (batch size, slices, mode, …) must be the same",
                    ours.model_hash, ours.task, theirs.model_hash, theirs.task));
  }
  if (ours.instruction_set != theirs.instruction_set) {
    return Stranger(fmt::format(
        "the instruction sets differ: {} on the machine of {}, but {} on that of {}: the same "
        "bits need the same one",
        ours.instruction_set, ours.task, theirs.instruction_set, theirs.task));
  }
  if (ours.run.run != 0 && theirs.run.run != 0 && ours.run.run != theirs.run.run) {
    return Stranger(
        fmt::format("the runs differ: {:016x} for {}, but {:016x} for {}: one of them "
                    "is left over from an earlier start",
                    ours.run.run, ours.task, theirs.run.run, theirs.task));
  }
  return OkStatus();
}

std::string ControlRequest::Encode() const {
  WireWriter writer;
  writer.PutU8(static_cast<uint8_t>(kind));
  PutRun(run, &writer);
  writer.PutString(prefix);
  writer.PutU64(cut);
  writer.PutI64(step);
  writer.PutI64(finished_step);
  return writer.Take();
}

StatusOr<ControlRequest> ControlRequest::Decode(std::string_view bytes) {
  WireReader reader(bytes, "control request");
  ControlRequest request;
  const uint8_t kind = reader.GetU8();
  if (kind > static_cast<uint8_t>(ControlKind::kAwaitPart)) {
    reader.Fail(fmt::format("kind {}", kind));
  }
  request.kind = static_cast<ControlKind>(kind);
  request.run = GetRun(&reader);
  request.prefix = reader.GetString();
  request.cut = reader.GetU64();
  request.step = reader.GetI64();
  request.finished_step = reader.GetI64();
  RETURN_IF_ERROR(reader.Finish());
  return request;
}

std::string ControlAnswer::Encode() const {
  WireWriter writer;
  writer.PutI64(applied_step);
  writer.PutString(part_prefix);
  writer.PutVarint(marks.size());
  for (const LeaseMark& mark : marks) {
    writer.PutU64(mark.lease);
    writer.PutI64(mark.index);
  }
  writer.PutI64(rows);
  writer.PutI64(memory_bytes);
  writer.PutU64(incarnation);
  return writer.Take();
}

StatusOr<ControlAnswer> ControlAnswer::Decode(std::string_view bytes) {
  WireReader reader(bytes, "control answer");
  ControlAnswer answer;
  answer.applied_step = reader.GetI64();
  answer.part_prefix = reader.GetString();
  answer.marks.resize(reader.GetCount(sizeof(LeaseMark)));
  for (LeaseMark& mark : answer.marks) {
    mark.lease = reader.GetU64();
    mark.index = reader.GetI64();
  }
  answer.rows = reader.GetI64();
  answer.memory_bytes = reader.GetI64();
  answer.incarnation = reader.GetU64();
  RETURN_IF_ERROR(reader.Finish());
  return answer;
}

}  // namespace capstan
