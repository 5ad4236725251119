#include "data/click_generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "data/batch_stream.h"
#include "data/best_possible.h"

namespace capstan {
namespace {

ClickGeneratorOptions Options(const std::string& kind, const std::string& format) {
  ClickGeneratorOptions options;
  options.kind = kind;
  options.format = format;
  options.rows = 3000;
  options.files = 3;
  options.teacher.cap = 10'000;
  options.prefix = "out/" + format;
  return options;
}

StatusOr<std::unique_ptr<Batch>> ReadAll(FileSystem& fs, const std::vector<std::string>& paths,
                                         const InputSpec& spec) {
  BatchStreamOptions options;
  options.paths = paths;
  options.batch_size = 1 << 20;
  options.shuffle_block = 0;
  ASSIGN_OR_RETURN(auto stream, BatchStream::Open(fs, spec, options, InputPosition()));
  std::unique_ptr<Batch> batch;
  const auto more = stream->Next(&batch);
  if (!more.ok()) return more.status();
  return batch;
}

InputSpec ClickSpec() {
  InputSpec spec;
  spec.classes = 2;
  for (int i = 0; i < 39; ++i) {
    FeatureSpec feature;
    feature.name = i < 13 ? fmt::format("I{}", i + 1) : fmt::format("C{}", i - 12);
    feature.type = i < 13 ? FeatureType::kFloat : FeatureType::kId;
    feature.size = i < 13 ? 0 : 10'000;
    spec.features.push_back(feature);
  }
  return spec;
}

TEST(ClickGeneratorTest, AllFormatsHoldTheSameClicks) {
  MemoryFileSystem fs;
  WorkerPool pool(2);
  std::unique_ptr<Batch> first;
  for (const char* format : {"tfrecord", "csv", "criteo"}) {
    const auto made = GenerateClicks(fs, Options("clicks", format), &pool);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(made->paths.size(), 3u);
    auto batch = ReadAll(fs, made->paths, ClickSpec());
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_EQ((*batch)->size, 3000);
    if (first == nullptr) first = std::move(*batch);
    if (*batch == nullptr) continue;
    EXPECT_EQ((*batch)->labels, first->labels);
    EXPECT_EQ((*batch)->dense, first->dense);
    for (int i = 0; i < 26; ++i) {
      EXPECT_EQ((*batch)->columns[i].keys, first->columns[i].keys) << i;
    }
  }
  for (const std::string& path : fs.Paths()) {
    EXPECT_EQ(path.find(".part"), std::string::npos) << path;
  }
}

TEST(ClickGeneratorTest, SparseAndDenseInEveryFormat) {
  MemoryFileSystem fs;
  WorkerPool pool(1);
  for (const char* kind : {"dense", "sparse"}) {
    std::vector<float> labels, dense;
    std::vector<uint64_t> keys;
    for (const char* format : {"tfrecord", "libsvm", "csv"}) {
      const auto made = GenerateClicks(fs, Options(kind, format), &pool);
      ASSERT_TRUE(made.ok()) << made.status();
      auto spec = DetectInputSpec(fs, made->paths, "");
      ASSERT_TRUE(spec.ok()) << spec.status();
      auto batch = ReadAll(fs, made->paths, *spec);
      ASSERT_TRUE(batch.ok()) << kind << " " << format << ": " << batch.status();
      if (labels.empty()) labels = (*batch)->labels;
      EXPECT_EQ((*batch)->labels, labels);
      if (dense.empty()) dense = (*batch)->dense;
      EXPECT_TRUE((*batch)->dense.empty() || (*batch)->dense == dense);
      if (std::string(kind) == "dense") continue;
      if (keys.empty()) keys = (*batch)->columns[0].keys;
      EXPECT_EQ((*batch)->columns[0].keys, keys);
    }
  }
}

TEST(ClickGeneratorTest, RowsDependOnSeedAndNumberOnly) {
  MemoryFileSystem fs;
  WorkerPool one(1), three(3);
  ClickGeneratorOptions options = Options("clicks", "csv");
  options.files = 1;
  options.rows = 20'000;
  options.prefix = "a";
  const auto a = GenerateClicks(fs, options, &one);
  options.prefix = "b";
  const auto b = GenerateClicks(fs, options, &three);
  ASSERT_TRUE(a.ok() && b.ok());
  const std::string whole = *ReadFile(fs, a->paths[0]);
  EXPECT_EQ(whole, *ReadFile(fs, b->paths[0]));
  EXPECT_EQ(a->best_auc, b->best_auc);
  EXPECT_EQ(a->best_log_loss, b->best_log_loss);
  options.first_row = 19'990;
  options.rows = 10;
  options.prefix = "c";
  const auto c = GenerateClicks(fs, options, &one);
  ASSERT_TRUE(c.ok());
  const std::string part = *ReadFile(fs, c->paths[0]);
  const std::string rows = part.substr(part.find('\n') + 1);
  EXPECT_EQ(whole.substr(whole.size() - rows.size()), rows);
  options.teacher.seed = 1;
  options.prefix = "d";
  const auto d = GenerateClicks(fs, options, &one);
  EXPECT_NE(*ReadFile(fs, d->paths[0]), part);
}

TEST(ClickGeneratorTest, TheTruthIsAsHardAsPromised) {
  MemoryFileSystem fs;
  WorkerPool pool(2);
  for (const uint64_t seed : {1, 2, 3}) {
    ClickGeneratorOptions options = Options("clicks", "tfrecord");
    options.teacher.seed = seed;
    options.rows = 30'000;
    auto made = GenerateClicks(fs, options, &pool);
    ASSERT_TRUE(made.ok());
    EXPECT_NEAR(made->positive_rate, 0.25, 0.02);
    EXPECT_NEAR(made->best_auc, 0.80, 0.015);
    EXPECT_NEAR(made->best_log_loss, 0.46, 0.03);
    options.kind = "sparse";
    made = GenerateClicks(fs, options, &pool);
    ASSERT_TRUE(made.ok());
    EXPECT_NEAR(made->positive_rate, 0.24, 0.02);
    EXPECT_NEAR(made->best_auc, 0.91, 0.01);
    options.kind = "dense";
    made = GenerateClicks(fs, options, &pool);
    ASSERT_TRUE(made.ok());
    EXPECT_NEAR(made->positive_rate, 0.35, 0.02);
    EXPECT_NEAR(made->best_auc, 0.995, 0.004);
  }
}

// Against sorting, and the accuracy of the dense truth.
TEST(ClickGeneratorTest, TheBestAucIsExact) {
  for (const char* kind : {"clicks", "dense"}) {
    const auto teacher = NewTeacher(kind, {.seed = 4, .cap = 1000});
    ASSERT_TRUE(teacher.ok());
    BestPossible best;
    std::vector<std::pair<double, int>> rows;
    TeacherRow row;
    int right = 0;
    for (int i = 0; i < 20'000; ++i) {
      (*teacher)->MakeRow(i, &row);
      rows.push_back({row.logit, row.label});
      best.Add(row.logit, row.label);
      right += (row.logit > 0) == (row.label == 1);
    }
    std::sort(rows.begin(), rows.end());
    double negatives = 0, positives = 0, pairs = 0;
    for (const auto& [logit, label] : rows) {
      if (label == 1) pairs += negatives;
      (label == 1 ? positives : negatives) += 1;
    }
    EXPECT_NEAR(best.auc(), pairs / (positives * negatives), 1e-4);
    if (std::string(kind) == "dense") {
      EXPECT_NEAR(right / 20'000.0, 0.97, 0.01);
    }
  }
}

TEST(ClickGeneratorTest, AFullDiskLeavesNothing) {
  MemoryFileSystem memory;
  FaultyFileSystem fs(&memory);
  WorkerPool pool(2);
  fs.FailAfterBytes(100'000);
  const auto made = GenerateClicks(fs, Options("clicks", "csv"), &pool);
  EXPECT_FALSE(made.ok());
  EXPECT_TRUE(memory.Paths().empty());
}

TEST(ClickGeneratorTest, OptionsThatCannotBeAreRefused) {
  MemoryFileSystem fs;
  WorkerPool pool(1);
  const auto error = [&](const ClickGeneratorOptions& options) {
    return Message(GenerateClicks(fs, options, &pool).status());
  };
  EXPECT_EQ(error(Options("click", "csv")),
            "kind 'click' is not known, wanted clicks, dense or sparse, nearest is 'clicks'");
  EXPECT_EQ(error(Options("dense", "criteo")), "only clicks can be written as criteo");
  ClickGeneratorOptions options = Options("clicks", "csv");
  options.gzip = true;
  EXPECT_EQ(error(options), "csv cannot be written with gzip, only tfrecord can");
  options.gzip = false;
  options.rows = 2;
  EXPECT_NE(error(options).find("2 rows from 0 in 3 files"), std::string::npos);
  EXPECT_TRUE(fs.Paths().empty());
}

}  // namespace
}  // namespace capstan
