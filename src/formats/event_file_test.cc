#include "formats/event_file.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "formats/histogram.h"
#include "formats/says.h"
#include "formats/tfrecord_writer.h"
#include "tensorflow/event.pb.h"

namespace capstan {
namespace {

class EventFileTest : public ::testing::Test {
 protected:
  StatusOr<std::vector<tensorflow::Event>> ReadAll(const std::string& path) {
    std::vector<tensorflow::Event> events;
    RETURN_IF_ERROR(ReadEventFile(fs_, path, [&](const tensorflow::Event& event) {
      events.push_back(event);
      return OkStatus();
    }));
    return events;
  }
  // Two events behind the first; the path.
  std::string WriteSome() {
    const auto writer = EventFileWriter::Create(fs_, "logs/train", 1525910400.5, "host", ".v2");
    EXPECT_TRUE((*writer)->WriteScalars(1525910401, 100, {{"loss", 0.5f}, {"auc", 0.75f}}).ok());
    EXPECT_TRUE((*writer)->WriteScalars(1525910402, 200, {{"loss", 0.25f}}).ok());
    EXPECT_TRUE((*writer)->Close().ok());
    return (*writer)->path();
  }

  MemoryFileSystem fs_;
};

TEST_F(EventFileTest, RoundTrip) {
  const std::string path = WriteSome();
  EXPECT_EQ(path, "logs/train/events.out.tfevents.1525910400.host.v2");
  const auto events = ReadAll(path);
  ASSERT_TRUE(events.ok()) << Message(events.status());
  ASSERT_EQ(events->size(), 3u);
  EXPECT_EQ((*events)[0].file_version(), "brain.Event:2");
  EXPECT_EQ((*events)[0].wall_time(), 1525910400.5);
  EXPECT_EQ((*events)[1].step(), 100);
  ASSERT_EQ((*events)[1].summary().value_size(), 2);
  EXPECT_EQ((*events)[1].summary().value(1).tag(), "auc");
  EXPECT_EQ((*events)[1].summary().value(1).simple_value(), 0.75f);
  EXPECT_EQ((*events)[2].step(), 200);
}

TEST_F(EventFileTest, FirstRecordIsThereAtOnceAndNamesAreNew) {
  const auto first = EventFileWriter::Create(fs_, "logs", 7, "host", "");
  EXPECT_EQ((*first)->path(), "logs/events.out.tfevents.0000000007.host");
  EXPECT_EQ(ReadAll((*first)->path())->size(), 1u);
  for (const char* name : {".1", ".2"}) {
    const auto other = EventFileWriter::Create(fs_, "logs", 7, "host", "");
    EXPECT_EQ((*other)->path(), (*first)->path() + name);
  }
}

TEST_F(EventFileTest, GraphsAndHistograms) {
  const auto writer = EventFileWriter::Create(fs_, "logs", 7, "host", "");
  ASSERT_TRUE((*writer)->WriteGraph(8, std::string_view("\x0a\0", 2)).ok());
  ASSERT_TRUE((*writer)->WriteHistogram(9, 5, "w", {-1.0f, 0.0f, 0.0f, 2.5f}).ok());
  ASSERT_TRUE((*writer)->Close().ok());
  const auto events = ReadAll((*writer)->path());
  ASSERT_EQ(events->size(), 3u);
  EXPECT_EQ((*events)[1].graph_def(), std::string("\x0a\0", 2));
  const tensorflow::HistogramProto& histo = (*events)[2].summary().value(0).histo();
  EXPECT_EQ(histo.min(), -1);
  EXPECT_EQ(histo.max(), 2.5);
  EXPECT_EQ(histo.num(), 4);
  EXPECT_EQ(histo.sum(), 1.5);
  EXPECT_EQ(histo.sum_squares(), 7.25);
  EXPECT_EQ(histo.bucket_size(), histo.bucket_limit_size());
}

TEST(HistogramTest, BucketsHoldTheirValues) {
  const std::vector<float> values = {-3.0f,   -1e30f, 0.0f,
                                     1e-20f,  5.0f,   std::numeric_limits<float>::quiet_NaN(),
                                     3.4e38f, 5.1f,   std::numeric_limits<float>::infinity()};
  const Histogram histogram = MakeHistogram(values);
  EXPECT_EQ(histogram.count, 7);
  double below = -std::numeric_limits<double>::infinity();
  double total = 0;
  bool last_empty = false;
  for (const HistogramBucket& bucket : histogram.buckets) {
    EXPECT_GT(bucket.limit, below);
    EXPECT_FALSE(last_empty && bucket.count == 0);
    double inside = 0;
    for (const float value : values) {
      if (std::isfinite(value) && value >= below && value < bucket.limit) ++inside;
    }
    EXPECT_EQ(bucket.count, inside) << bucket.limit;
    total += inside;
    below = bucket.limit;
    last_empty = bucket.count == 0;
  }
  EXPECT_EQ(total, 7);
  EXPECT_EQ(MakeHistogram({}).buckets.size(), 1u);
}

TEST_F(EventFileTest, ACutLastRecordEndsTheFile) {
  const std::string path = WriteSome();
  const std::string bytes = *ReadFile(fs_, path);
  size_t last = 3;
  for (size_t cut = bytes.size(); cut-- > 0;) {
    fs_.Put(path, bytes.substr(0, cut));
    const auto events = ReadAll(path);
    ASSERT_TRUE(events.ok()) << Message(events.status());
    EXPECT_LE(events->size(), last);
    last = events->size();
  }
  EXPECT_EQ(last, 0u);
}

TEST_F(EventFileTest, EveryFlippedBitIsAnError) {
  const std::string path = WriteSome();
  const std::string bytes = *ReadFile(fs_, path);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    fs_.Put(path, flipped);
    EXPECT_TRUE(Says(ReadAll(path).status(), path + " at offset ")) << bit;
  }
}

TEST_F(EventFileTest, OtherRecordsAndMissingFilesAreErrors) {
  EXPECT_EQ(ReadAll("none").status().code(), absl::StatusCode::kNotFound);
  const auto records = TfRecordWriter::Create(fs_, "records", Compression::kNone);
  ASSERT_TRUE((*records)->Write("\xff\xff no event").ok());
  ASSERT_TRUE((*records)->Close().ok());
  EXPECT_TRUE(
      Says(ReadAll("records").status(), "event file records at offset 0: the record is no Event"));
}

TEST_F(EventFileTest, FullDiskIsAnError) {
  FaultyFileSystem faulty(&fs_);
  faulty.FailAfterBytes(10);
  EXPECT_FALSE(EventFileWriter::Create(faulty, "logs", 7, "host", "").ok());
  faulty.FailAfterBytes(60);
  const auto writer = EventFileWriter::Create(faulty, "logs", 8, "host", "");
  ASSERT_TRUE(writer.ok());
  EXPECT_TRUE(Says((*writer)->WriteScalars(9, 1, {{"loss", 1.0f}}), (*writer)->path()));
}

}  // namespace
}  // namespace capstan
