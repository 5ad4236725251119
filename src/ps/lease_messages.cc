#include "ps/lease_messages.h"

#include "ps/wire.h"

namespace capstan {
namespace {

using Kind = LeaseBoard::Grant::Kind;

constexpr size_t kPositionBytes = 8 * kInputPositionFields;
constexpr size_t kSliceReportBytes = 8 + 4 + 8 + 8 + 8;

template <typename Position, typename Visitor>
void VisitFields(Position* p, Visitor visit) {
  for (auto* field :
       {&p->epoch, &p->block, &p->batch, &p->example, &p->file, &p->record, &p->offset}) {
    visit(field);
  }
}

void PutPosition(const InputPosition& position, WireWriter* writer) {
  VisitFields(&position, [&](const int64_t* field) { writer->PutI64(*field); });
}

InputPosition GetPosition(WireReader* reader) {
  InputPosition position;
  VisitFields(&position, [&](int64_t* field) { *field = reader->GetI64(); });
  return position;
}

bool GetFlag(WireReader* reader) {
  const uint8_t flag = reader->GetU8();
  if (flag > 1) reader->Fail(fmt::format("a flag is {}, wanted 0 or 1", flag));
  return flag == 1;
}

int32_t GetI32(WireReader* reader) { return static_cast<int32_t>(reader->GetU32()); }

}  // namespace

std::string LeaseRequest::Encode() const {
  WireWriter writer;
  PutRun(run, &writer);
  writer.PutU32(static_cast<uint32_t>(worker));
  writer.PutU64(incarnation);
  writer.PutU64(number);
  writer.PutU32(static_cast<uint32_t>(max_slices));
  writer.PutI64(up_to_step);
  writer.PutU8(leaves);
  writer.PutVarint(slices.size());
  for (const SliceReport& report : slices) {
    writer.PutI64(report.step);
    writer.PutU32(static_cast<uint32_t>(report.slice));
    writer.PutDouble(report.loss_sum);
    writer.PutDouble(report.weight_sum);
    writer.PutI64(report.examples);
  }
  writer.PutVarint(positions.size());
  for (const auto& [step, position] : positions) {
    writer.PutI64(step);
    PutPosition(position, &writer);
  }
  writer.PutI64(last_step);
  writer.PutU64(block);
  writer.PutI64(block_index);
  writer.PutU8(block_done);
  writer.PutDouble(loss_sum);
  writer.PutDouble(weight_sum);
  for (const int64_t number : {examples, staleness_sum, staleness_max, pushes}) {
    writer.PutI64(number);
  }
  return writer.Take();
}

StatusOr<LeaseRequest> LeaseRequest::Decode(std::string_view bytes) {
  WireReader reader(bytes, "lease request");
  LeaseRequest request;
  request.run = GetRun(&reader);
  request.worker = GetI32(&reader);
  request.incarnation = reader.GetU64();
  request.number = reader.GetU64();
  request.max_slices = GetI32(&reader);
  request.up_to_step = reader.GetI64();
  request.leaves = GetFlag(&reader);
  request.slices.resize(reader.GetCount(kSliceReportBytes));
  for (SliceReport& report : request.slices) {
    report.step = reader.GetI64();
    report.slice = GetI32(&reader);
    report.loss_sum = reader.GetDouble();
    report.weight_sum = reader.GetDouble();
    report.examples = reader.GetI64();
  }
  request.positions.resize(reader.GetCount(8 + kPositionBytes));
  for (auto& [step, position] : request.positions) {
    step = reader.GetI64();
    position = GetPosition(&reader);
  }
  request.last_step = reader.GetI64();
  request.block = reader.GetU64();
  request.block_index = reader.GetI64();
  request.block_done = GetFlag(&reader);
  request.loss_sum = reader.GetDouble();
  request.weight_sum = reader.GetDouble();
  for (int64_t* number :
       {&request.examples, &request.staleness_sum, &request.staleness_max, &request.pushes}) {
    *number = reader.GetI64();
  }
  RETURN_IF_ERROR(reader.Finish());
  return request;
}

std::string LeaseAnswer::Encode() const {
  WireWriter writer;
  PutRun(run, &writer);
  writer.PutU8(static_cast<uint8_t>(kind));
  writer.PutI64(wait_ms);
  writer.PutI64(step);
  writer.PutVarint(slices.size());
  for (const int32_t slice : slices) writer.PutU32(static_cast<uint32_t>(slice));
  writer.PutU64(block.id);
  PutPosition(block.start, &writer);
  writer.PutI64(block.first_index);
  writer.PutI64(block.examples);
  writer.PutI64(start_step);
  PutPosition(start, &writer);
  writer.PutI64(global_step);
  return writer.Take();
}

StatusOr<LeaseAnswer> LeaseAnswer::Decode(std::string_view bytes) {
  WireReader reader(bytes, "lease answer");
  LeaseAnswer answer;
  answer.run = GetRun(&reader);
  const uint8_t kind = reader.GetU8();
  if (kind > static_cast<uint8_t>(Kind::kDone)) {
    reader.Fail(fmt::format("the kind is {}, wanted 0 … {}", kind, static_cast<int>(Kind::kDone)));
  }
  answer.kind = static_cast<Kind>(kind);
  answer.wait_ms = reader.GetI64();
  answer.step = reader.GetI64();
  answer.slices.resize(reader.GetCount(4));
  for (int32_t& slice : answer.slices) slice = GetI32(&reader);
  answer.block.id = reader.GetU64();
  answer.block.start = GetPosition(&reader);
  answer.block.first_index = reader.GetI64();
  answer.block.examples = reader.GetI64();
  answer.start_step = reader.GetI64();
  answer.start = GetPosition(&reader);
  answer.global_step = reader.GetI64();
  RETURN_IF_ERROR(reader.Finish());
  return answer;
}

}  // namespace capstan
