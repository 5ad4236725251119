#include "formats/file_kind.h"

#include <gtest/gtest.h>

#include "base/memory_file_system.h"
#include "formats/checkpoint_state.h"
#include "formats/event_file.h"
#include "formats/says.h"
#include "formats/tensor_bundle_writer.h"
#include "formats/tfrecord_writer.h"

namespace capstan {
namespace {

class FileKindTest : public ::testing::Test {
 protected:
  void Expect(const std::string& path, FileKind kind, const std::string& detected_path) {
    const auto detected = DetectFileKind(fs_, path);
    ASSERT_TRUE(detected.ok()) << Message(detected.status());
    EXPECT_EQ(detected->kind, kind) << path << " is " << NameOf(detected->kind);
    EXPECT_EQ(detected->path, detected_path);
  }
  void WriteRecord(const std::string& path, Compression compression, std::string_view record) {
    const auto writer = TfRecordWriter::Create(fs_, path, compression);
    ASSERT_TRUE((*writer)->Write(record).ok());
    ASSERT_TRUE((*writer)->Close().ok());
  }

  MemoryFileSystem fs_;
};

TEST_F(FileKindTest, Records) {
  WriteRecord("plain", Compression::kNone, "a record");
  WriteRecord("gzip", Compression::kGzip, "a record");
  Expect("plain", FileKind::kTfRecord, "plain");
  Expect("gzip", FileKind::kTfRecord, "gzip");
  std::string damaged = *ReadFile(fs_, "plain");
  damaged[14] ^= 1;
  fs_.Put("damaged", damaged);
  Expect("damaged", FileKind::kTfRecord, "damaged");
  fs_.Put("a.tfrecords", "junk");
  Expect("a.tfrecords", FileKind::kTfRecord, "a.tfrecords");
  fs_.Put("junk", "junk");
  Expect("junk", FileKind::kUnknown, "junk");
}

TEST_F(FileKindTest, Events) {
  const auto older = EventFileWriter::Create(fs_, "logs", 7, "host", "");
  const auto newer = EventFileWriter::Create(fs_, "logs", 8, "host", "");
  Expect("logs", FileKind::kEventFile, (*newer)->path());
  Expect((*older)->path(), FileKind::kEventFile, (*older)->path());
  fs_.Put("renamed", *ReadFile(fs_, (*older)->path()));
  Expect("renamed", FileKind::kEventFile, "renamed");
}

TEST_F(FileKindTest, Checkpoints) {
  ASSERT_TRUE(fs_.CreateFolder("ck").ok());
  const auto writer = TensorBundleWriter::Create(fs_, "ck/m-1");
  ASSERT_TRUE((*writer)->Finish().ok());
  ASSERT_TRUE(WriteCheckpointState(fs_, "ck", {.newest = "m-1"}).ok());
  for (const char* path : {"ck/m-1", "ck/m-1.index", "ck/m-1.data-00000-of-00001"}) {
    Expect(path, FileKind::kTensorBundle, "ck/m-1");
  }
  Expect("ck", FileKind::kCheckpointFolder, "ck");
  Expect("ck/checkpoint", FileKind::kCheckpointFolder, "ck");
  fs_.Put("ck/m-1.meta", "graph");
  Expect("ck/m-1.meta", FileKind::kMetaGraph, "ck/m-1.meta");
}

TEST_F(FileKindTest, SavedModels) {
  fs_.Put("export/2/saved_model.pb", "");
  for (const char* path : {"export", "export/2", "export/2/saved_model.pb"}) {
    Expect(path, FileKind::kSavedModel, "export/2");
  }
}

TEST_F(FileKindTest, NothingThere) {
  EXPECT_TRUE(Says(DetectFileKind(fs_, "none").status(), "open none: no such file"));
  ASSERT_TRUE(fs_.CreateFolder("empty").ok());
  Expect("empty", FileKind::kUnknown, "empty");
}

}  // namespace
}  // namespace capstan
