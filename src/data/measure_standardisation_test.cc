#include <gtest/gtest.h>

#include <cmath>

#include "base/memory_file_system.h"
#include "data/batch_stream.h"
#include "data/sample_files.h"

namespace capstan {
namespace {

TEST(MeasureStandardisationTest, MeanAndDeviationAfterTheLogarithm) {
  MemoryFileSystem fs;
  std::string text = "label,a,b,c,d\n";
  for (int i = 0; i < 1000; ++i) text += fmt::format("0,{},{},5,{}\n", i, i * i, i);
  fs.Put("f", text);
  InputSpec spec;
  for (const char* name : {"a", "b", "c", "d"}) {
    FeatureSpec feature;
    feature.name = name;
    feature.standardise = std::string(name) != "d";
    feature.log1p = std::string(name) == "b";
    spec.features.push_back(feature);
  }
  BatchStreamOptions options;
  options.paths = {"f"};
  ASSERT_TRUE(MeasureStandardisation(fs, options, 1 << 20, &spec).ok());
  EXPECT_FLOAT_EQ(spec.features[0].mean[0], 499.5f);
  EXPECT_FLOAT_EQ(spec.features[0].stddev[0], std::sqrt((1000.0 * 1000 - 1) / 12));
  double sum = 0;
  for (int i = 0; i < 1000; ++i) sum += std::log1p(i * i);
  EXPECT_NEAR(spec.features[1].mean[0], sum / 1000, 1e-5);
  EXPECT_EQ(spec.features[2].mean[0], 5);
  EXPECT_EQ(spec.features[2].stddev[0], 1);
  EXPECT_TRUE(spec.features[3].mean.empty());

  // What is there stays; only so many examples are looked at.
  spec.features[0].mean.clear();
  spec.features[1].mean = {7};
  ASSERT_TRUE(MeasureStandardisation(fs, options, 11, &spec).ok());
  EXPECT_FLOAT_EQ(spec.features[0].mean[0], 5);
  EXPECT_EQ(spec.features[1].mean[0], 7);
}

TEST(DetectInputSpecTest, DenseSparseAndNamed) {
  MemoryFileSystem fs;
  fs.Put("dense.csv", "1.5,2,0\n3,4,1\n");
  auto spec = DetectInputSpec(fs, {"dense.csv"}, "");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->csv_label, "last");
  EXPECT_EQ(spec->features[0].name, "features");
  EXPECT_EQ(spec->features[0].length, 2);

  fs.Put("sparse", "1 3:1 5:1\n");
  spec = DetectInputSpec(fs, {"sparse"}, "");
  ASSERT_TRUE(spec.ok());
  EXPECT_EQ(spec->features[0].name, "ids");
  EXPECT_EQ(spec->features[0].weights, "values");
  EXPECT_TRUE(spec->features[0].multi_valued);

  fs.Put("named", testing::NumberedFile(0, 9));
  spec = DetectInputSpec(fs, {"named"}, "");
  ASSERT_TRUE(spec.ok());
  ASSERT_EQ(spec->features.size(), 3u);
  EXPECT_EQ(spec->features[0].type, FeatureType::kId);
  EXPECT_FALSE(spec->features[0].multi_valued);
  EXPECT_EQ(spec->features[1].type, FeatureType::kHash);
  EXPECT_TRUE(spec->features[1].multi_valued);
  EXPECT_EQ(spec->features[2].type, FeatureType::kFloat);

  fs.Put("empty", "");
  EXPECT_EQ(Message(DetectInputSpec(fs, {"empty"}, "").status()), "read empty: has no records");
}

}  // namespace
}  // namespace capstan
