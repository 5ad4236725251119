// Writes and rewrites files for test_formats.py: format_probe COMMAND PATH …
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "formats/checkpoint_state.h"
#include "formats/event_file.h"
#include "formats/example_builder.h"
#include "formats/example_parser.h"
#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"
#include "formats/tfrecord_reader.h"
#include "formats/tfrecord_writer.h"

namespace capstan {
namespace {

using Words = std::vector<std::string>;

StatusOr<Compression> CompressionOf(const std::string& name) {
  if (name == "none") return Compression::kNone;
  if (name == "gzip") return Compression::kGzip;
  if (name == "zlib") return Compression::kZlib;
  return Error("compression {}: none, gzip or zlib is wanted", name);
}

// rows [6, 4] of 0, 1, 2 …, cut by rows or by columns: one part of two.
Status AddSlices(TensorBundleWriter* writer, int part) {
  std::vector<float> values(24);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), 96);
  const int64_t first = part == 0 ? 0 : 2;
  const int64_t length = part == 0 ? 2 : 4;
  ASSIGN_OR_RETURN(const int rows, writer->OpenSliceStream("rows", DType::kFloat, {6, 4},
                                                           {{first, length}, {0, -1}}));
  RETURN_IF_ERROR(writer->Append(rows, bytes.substr(first * 16, length * 16)));
  const TensorSlice columns = {{0, 6}, {part == 0 ? 0 : 1, part == 0 ? 1 : 3}};
  ASSIGN_OR_RETURN(const int stream,
                   writer->OpenSliceStream("columns", DType::kFloat, {6, 4}, columns));
  for (int row = 0; row < 6; ++row) {
    RETURN_IF_ERROR(writer->Append(
        stream, bytes.substr((row * 4 + columns[1].start) * 4, columns[1].length * 4)));
  }
  return OkStatus();
}

Status WriteBundle(FileSystem& fs, const Words& words) {
  const std::string& prefix = words.at(0);
  Words parts;
  for (int part = 0; part < 2; ++part) {
    parts.push_back(prefix + "_part" + std::to_string(part));
    ASSIGN_OR_RETURN(const auto writer, TensorBundleWriter::Create(fs, parts.back()));
    RETURN_IF_ERROR(AddSlices(writer.get(), part));
    if (part == 0) {
      const std::vector<int64_t> ids = {-1, 0, INT64_MAX, INT64_MIN};
      const Words texts = {"", "text", std::string("\0\xff", 2), std::string(1000, 'x')};
      RETURN_IF_ERROR(writer->AddInts("ids", {2, 2}, ids));
      RETURN_IF_ERROR(writer->AddInts("step", {}, std::span(ids).subspan(1, 1)));
      RETURN_IF_ERROR(writer->AddStrings("texts", {4}, texts));
      RETURN_IF_ERROR(writer->AddFloats("empty", {0, 3}, {}));
      RETURN_IF_ERROR(writer->Add("flags", DType::kBool, {2}, std::string("\1\0", 2)));
      for (int i = 0; i < 3000; ++i) {
        const auto value = static_cast<float>(i);
        RETURN_IF_ERROR(writer->AddFloats(fmt::format("many/layers/of/a/network/{}", i), {1},
                                          std::span(&value, 1)));
      }
    }
    RETURN_IF_ERROR(writer->Finish());
  }
  RETURN_IF_ERROR(MergeTensorBundles(fs, parts, prefix));
  const std::string name = FileNameOf(prefix);
  return WriteCheckpointState(fs, FolderOf(prefix), {.newest = name, .all = {name}});
}

// Reads every tensor and writes it again, as whole tensors in the order of names.
Status CopyBundle(FileSystem& fs, const Words& words) {
  ASSIGN_OR_RETURN(const auto reader, TensorBundleReader::Open(fs, words.at(0)));
  ASSIGN_OR_RETURN(const auto writer, TensorBundleWriter::Create(fs, words.at(1)));
  for (const TensorEntry& entry : reader->entries()) {
    if (entry.dtype == DType::kString) {
      ASSIGN_OR_RETURN(const Words texts, reader->ReadStrings(entry.name));
      RETURN_IF_ERROR(writer->AddStrings(entry.name, entry.shape, texts));
      continue;
    }
    std::string bytes(ElementCount(entry.shape) * SizeOf(entry.dtype), '\0');
    RETURN_IF_ERROR(reader->Read(entry.name, bytes));
    RETURN_IF_ERROR(writer->Add(entry.name, entry.dtype, entry.shape, bytes));
  }
  return writer->Finish();
}

Status AddFeature(const NamedFeature& feature, ExampleBuilder* builder) {
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string_view> bytes;
  switch (feature.view.kind) {
    case FeatureView::Kind::kFloat:
      RETURN_IF_ERROR(AppendFloats(feature.view, &floats));
      builder->AddFloats(feature.name, floats);
      break;
    case FeatureView::Kind::kInt64:
      RETURN_IF_ERROR(AppendInts(feature.view, &ints));
      builder->AddInts(feature.name, ints);
      break;
    case FeatureView::Kind::kBytes:
      RETURN_IF_ERROR(AppendBytes(feature.view, &bytes));
      builder->AddBytes(feature.name, bytes);
      break;
    case FeatureView::Kind::kMissing:
      break;
  }
  return OkStatus();
}

// Reads records of Examples, and writes them again with another compression.
Status CopyRecords(FileSystem& fs, const Words& words) {
  ASSIGN_OR_RETURN(const Compression compression, CompressionOf(words.at(2)));
  ASSIGN_OR_RETURN(const auto reader, TfRecordReader::Open(fs, words.at(0)));
  ASSIGN_OR_RETURN(const auto writer, TfRecordWriter::Create(fs, words.at(1), compression));
  ExampleBuilder builder;
  std::string_view record;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader->Next(&record));
    if (!more) return writer->Close();
    ASSIGN_OR_RETURN(const std::vector<NamedFeature> features, ListFeatures(record));
    for (const NamedFeature& feature : features) RETURN_IF_ERROR(AddFeature(feature, &builder));
    RETURN_IF_ERROR(writer->Write(builder.Finish()));
  }
}

Status WriteEvents(FileSystem& fs, const Words& words) {
  ASSIGN_OR_RETURN(const auto writer,
                   EventFileWriter::Create(fs, words.at(0), 1525910400, "host", ""));
  for (int64_t step = 1; step <= 5; ++step) {
    const double time = 1525910400.0 + static_cast<double>(step);
    RETURN_IF_ERROR(writer->WriteScalars(
        time, 100 * step, {{"loss", 1.0f / static_cast<float>(step)}, {"train_auc", 0.5f}}));
  }
  RETURN_IF_ERROR(writer->WriteHistogram(1525910410, 500, "weights", {-1, 0, 0, 0.5f, 2}));
  return writer->Close();
}

Status Run(const Words& words) {
  const std::map<std::string, std::function<Status(FileSystem&, const Words&)>> commands = {
      {"write_bundle", WriteBundle},
      {"copy_bundle", CopyBundle},
      {"copy_records", CopyRecords},
      {"write_events", WriteEvents}};
  const auto command = commands.find(words.at(0));
  if (command == commands.end()) return Error("unknown command {}", words[0]);
  const auto fs = NewLocalFileSystem();
  return command->second(*fs, Words(words.begin() + 1, words.end()));
}

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) {
  const absl::Status status = capstan::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (status.ok()) return 0;
  std::fprintf(stderr, "format_probe: %s\n", capstan::Message(status).c_str());
  return 1;
}
