// The data sets of 2016 and 2018, where they are: CAPSTAN_TEST_DATA names the folder.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "data/batch_stream.h"

namespace capstan {
namespace {

class RealFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("CAPSTAN_TEST_DATA");
    if (folder == nullptr) GTEST_SKIP() << "CAPSTAN_TEST_DATA is not set";
    folder_ = std::string(folder) + "/deep_recommend_system/";
    if (!fs_->IsFolder(folder_)) folder_ = std::string(folder) + "/";
    if (!fs_->IsFolder(folder_ + "data")) GTEST_SKIP() << folder_ << " has no data";
  }

  // The whole file by the spec that was found by looking, in one batch.
  std::unique_ptr<Batch> ReadAll(const std::string& file, int classes) {
    const std::vector<std::string> paths = {folder_ + file};
    auto spec = DetectInputSpec(*fs_, paths, "");
    if (!spec.ok()) {
      ADD_FAILURE() << spec.status();
      return nullptr;
    }
    spec->classes = classes;
    spec_ = *spec;
    BatchStreamOptions options;
    options.paths = paths;
    options.batch_size = 1 << 20;
    options.shuffle_block = 0;
    auto stream = BatchStream::Open(*fs_, *spec, options, InputPosition());
    if (!stream.ok()) {
      ADD_FAILURE() << stream.status();
      return nullptr;
    }
    report_ = (*stream)->report();
    std::unique_ptr<Batch> batch;
    const auto more = (*stream)->Next(&batch);
    if (!more.ok()) ADD_FAILURE() << more.status();
    return batch;
  }

  void ExpectSameData(const std::string& a, const std::string& b, int classes) {
    const auto first = ReadAll(a, classes), second = ReadAll(b, classes);
    ASSERT_TRUE(first != nullptr && second != nullptr);
    EXPECT_EQ(first->labels, second->labels);
    EXPECT_EQ(first->dense, second->dense);
    ASSERT_EQ(first->columns.size(), second->columns.size());
    for (size_t i = 0; i < first->columns.size(); ++i) {
      EXPECT_EQ(first->columns[i].keys, second->columns[i].keys);
      EXPECT_EQ(first->columns[i].offsets, second->columns[i].offsets);
      EXPECT_EQ(first->columns[i].weights, second->columns[i].weights);
    }
  }

  std::unique_ptr<FileSystem> fs_ = NewLocalFileSystem();
  std::string folder_;
  InputSpec spec_;
  InputReport report_;
};

TEST_F(RealFilesTest, Cancer) {
  const auto train = ReadAll("data/cancer/cancer_train.csv.tfrecords", 2);
  ASSERT_NE(train, nullptr);
  EXPECT_EQ(train->size, 497);
  EXPECT_EQ(std::count(train->labels.begin(), train->labels.end(), 1.0f), 180);
  EXPECT_EQ(report_.text, "tfrecord, label int64, features: features float[9]");
  ExpectSameData("data/cancer/cancer_train.csv.tfrecords", "data/cancer/cancer_train.csv", 2);
  ExpectSameData("data/cancer/cancer_test.csv.tfrecords", "data/cancer/cancer_test.csv", 2);
  ExpectSameData("data/cancer/cancer_train.csv.tfrecords", "2016/data/cancer_train.csv.tfrecords",
                 2);
  EXPECT_EQ(report_.label_type, "float");
}

TEST_F(RealFilesTest, A8a) {
  const auto train = ReadAll("data/a8a/a8a_train.libsvm.tfrecords", 2);
  ASSERT_NE(train, nullptr);
  EXPECT_EQ(train->size, 22696);
  EXPECT_EQ(train->columns[0].keys.size(), 314815u);
  EXPECT_EQ(std::count(train->labels.begin(), train->labels.end(), 1.0f), 5506);
  ExpectSameData("data/a8a/a8a_train.libsvm.tfrecords", "data/a8a/a8a_train.libsvm", 2);
  ExpectSameData("data/a8a/a8a_test.libsvm.tfrecords", "data/a8a/a8a_test.libsvm", 2);
  ExpectSameData("data/a8a/a8a_test.libsvm.tfrecords", "2016/data/a8a_test.libsvm.tfrecords", 2);
}

TEST_F(RealFilesTest, IrisHasItsLabelFirst) {
  const auto train = ReadAll("data/iris/iris_train.csv", 3);
  ASSERT_NE(train, nullptr);
  EXPECT_EQ(train->size, 135);
  EXPECT_EQ(spec_.csv_label, "first");
  EXPECT_EQ(std::count(train->labels.begin(), train->labels.end(), 0.0f), 46);
  ExpectSameData("data/iris/iris_train.csv.tfrecords", "data/iris/iris_train.csv", 3);
  ExpectSameData("data/iris/iris_test.csv.tfrecords", "data/iris/iris_test.csv", 3);
}

TEST_F(RealFilesTest, BostonHasAHeader) {
  const auto train = ReadAll("data/boston_housing/train.csv", 0);
  ASSERT_NE(train, nullptr);
  EXPECT_EQ(train->size, 333);
  EXPECT_EQ(spec_.label, "medv");
  EXPECT_EQ(spec_.id_columns, std::vector<std::string>{"ID"});
  EXPECT_EQ(spec_.features[0].length, 13);
  EXPECT_EQ(train->ids[1], "2");
  EXPECT_EQ(report_.format, "csv with header");
  const auto records = ReadAll("data/boston_housing/train.csv.tfrecords", 0);
  ASSERT_NE(records, nullptr);
  EXPECT_EQ(records->labels, train->labels);
  EXPECT_EQ(records->dense, train->dense);
}

}  // namespace
}  // namespace capstan
