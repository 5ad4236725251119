#include "formats/event_file.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/histogram.h"
#include "formats/tfrecord_reader.h"
#include "formats/tfrecord_writer.h"
#include "tensorflow/event.pb.h"

namespace capstan {
namespace {

constexpr char kFileVersion[] = "brain.Event:2";

tensorflow::Event EventAt(double wall_time_s, int64_t step) {
  tensorflow::Event event;
  event.set_wall_time(wall_time_s);
  event.set_step(step);
  return event;
}

}  // namespace

struct EventFileWriter::Rep {
  std::string path;
  std::unique_ptr<TfRecordWriter> records;
};

EventFileWriter::EventFileWriter(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
EventFileWriter::~EventFileWriter() = default;

StatusOr<std::unique_ptr<EventFileWriter>> EventFileWriter::Create(FileSystem& fs,
                                                                   const std::string& folder,
                                                                   double wall_time_s,
                                                                   const std::string& host,
                                                                   const std::string& suffix) {
  RETURN_IF_ERROR(fs.CreateFolder(folder));
  const std::string name = fmt::format("events.out.tfevents.{:010d}.{}{}",
                                       static_cast<int64_t>(wall_time_s), host, suffix);
  auto rep = std::make_unique<Rep>();
  rep->path = JoinPath(folder, name);
  for (int i = 1; fs.Exists(rep->path); ++i) {
    rep->path = fmt::format("{}.{}", JoinPath(folder, name), i);
  }
  ASSIGN_OR_RETURN(rep->records, TfRecordWriter::Create(fs, rep->path, Compression::kNone));
  std::unique_ptr<EventFileWriter> writer(new EventFileWriter(std::move(rep)));
  tensorflow::Event first = EventAt(wall_time_s, 0);
  first.set_file_version(kFileVersion);
  RETURN_IF_ERROR(writer->Write(first));
  return writer;
}

Status EventFileWriter::WriteScalars(double wall_time_s, int64_t step,
                                     const std::vector<ScalarEvent>& scalars) {
  tensorflow::Event event = EventAt(wall_time_s, step);
  for (const ScalarEvent& scalar : scalars) {
    tensorflow::Summary::Value* value = event.mutable_summary()->add_value();
    value->set_tag(scalar.tag);
    value->set_simple_value(scalar.value);
  }
  return Write(event);
}

Status EventFileWriter::WriteHistogram(double wall_time_s, int64_t step, const std::string& tag,
                                       const std::vector<float>& values) {
  const Histogram histogram = MakeHistogram(values);
  tensorflow::Event event = EventAt(wall_time_s, step);
  tensorflow::Summary::Value* value = event.mutable_summary()->add_value();
  value->set_tag(tag);
  tensorflow::HistogramProto* proto = value->mutable_histo();
  proto->set_min(histogram.min);
  proto->set_max(histogram.max);
  proto->set_num(histogram.count);
  proto->set_sum(histogram.sum);
  proto->set_sum_squares(histogram.sum_of_squares);
  for (const HistogramBucket& bucket : histogram.buckets) {
    proto->add_bucket_limit(bucket.limit);
    proto->add_bucket(bucket.count);
  }
  return Write(event);
}

Status EventFileWriter::WriteGraph(double wall_time_s, std::string_view graph_def) {
  tensorflow::Event event = EventAt(wall_time_s, 0);
  event.set_graph_def(graph_def.data(), graph_def.size());
  return Write(event);
}

Status EventFileWriter::Write(const tensorflow::Event& event) {
  std::string bytes;
  if (!event.SerializeToString(&bytes)) {
    return Error("write {}: an event is too large", rep_->path);
  }
  RETURN_IF_ERROR(rep_->records->Write(bytes));
  return rep_->records->Flush();
}

Status EventFileWriter::Close() { return rep_->records->Close(); }

const std::string& EventFileWriter::path() const { return rep_->path; }

Status ReadEventFile(FileSystem& fs, const std::string& path,
                     const std::function<Status(const tensorflow::Event&)>& sink) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TfRecordReader> reader, TfRecordReader::Open(fs, path));
  std::string_view record;
  tensorflow::Event event;
  while (true) {
    const uint64_t offset = reader->offset();
    const StatusOr<bool> more = reader->Next(&record);
    if (!more.ok()) return reader->ended_in_cut_record() ? OkStatus() : more.status();
    if (!*more) return OkStatus();
    if (record.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
        !event.ParseFromArray(record.data(), static_cast<int>(record.size()))) {
      return CorruptionError("read event file {} at offset {}: the record is no Event", path,
                             offset);
    }
    RETURN_IF_ERROR(sink(event));
  }
}

}  // namespace capstan
