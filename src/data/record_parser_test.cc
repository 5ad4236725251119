#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/memory_file_system.h"
#include "data/batch_stream.h"
#include "data/category_key.h"
#include "data/sample_files.h"

namespace capstan {
namespace {

FeatureSpec Feature(const std::string& name, FeatureType type) {
  FeatureSpec feature;
  feature.name = name;
  feature.type = type;
  return feature;
}

FeatureSpec Vector(const std::string& name, int length) {
  FeatureSpec feature = Feature(name, FeatureType::kFloat);
  feature.length = length;
  return feature;
}

FeatureSpec IdList() {
  FeatureSpec feature = Feature("ids", FeatureType::kId);
  feature.multi_valued = true;
  feature.weights = "values";
  return feature;
}

InputSpec Spec(std::vector<FeatureSpec> features) {
  InputSpec spec;
  spec.features = std::move(features);
  return spec;
}

// The one batch of a file "f", or the error.
StatusOr<std::unique_ptr<Batch>> ReadBatch(const InputSpec& spec, const std::string& bytes,
                                           const std::string& format = "") {
  MemoryFileSystem fs;
  fs.Put("f", bytes);
  BatchStreamOptions options;
  options.paths = {"f"};
  options.shuffle_block = 0;
  options.threads = 0;
  options.format = format;
  ASSIGN_OR_RETURN(auto stream, BatchStream::Open(fs, spec, options, InputPosition()));
  std::unique_ptr<Batch> batch;
  ASSIGN_OR_RETURN(const bool more, stream->Next(&batch));
  if (!more) return Error("no batch");
  return batch;
}

std::string ErrorOf(const InputSpec& spec, const std::string& bytes) {
  return Message(ReadBatch(spec, bytes).status());
}

// One record.
class Record {
 public:
  Record& Float(const std::string& name, std::vector<float> values) {
    builder_.AddFloats(name, values);
    return *this;
  }
  Record& Int(const std::string& name, std::vector<int64_t> values) {
    builder_.AddInts(name, values);
    return *this;
  }
  Record& Text(const std::string& name, std::vector<std::string_view> values) {
    builder_.AddBytes(name, values);
    return *this;
  }
  std::string File() {
    std::string file;
    testing::AppendRecord(builder_.Finish(), &file);
    return file;
  }

 private:
  ExampleBuilder builder_;
};

TEST(RecordParserTest, EveryTypeOfFeature) {
  FeatureSpec price = Feature("price_bucket", FeatureType::kBucket);
  price.column = "price";
  price.boundaries = {1, 10};
  FeatureSpec color = Feature("color", FeatureType::kVocabulary);
  color.vocabulary = {"red", "blue"};
  FeatureSpec site = Feature("site", FeatureType::kHash);
  FeatureSpec tags = Feature("tags", FeatureType::kHash);
  tags.multi_valued = true;
  tags.buckets = 100;
  FeatureSpec cross = Feature("cross", FeatureType::kCross);
  cross.of = {"user", "color", "price_bucket"};
  cross.buckets = 5000;
  FeatureSpec nested = Feature("nested", FeatureType::kCross);
  nested.of = {"cross", "site"};
  InputSpec spec = Spec({Vector("price", 1), cross, Feature("user", FeatureType::kId), price, color,
                         site, tags, Vector("v", 3), nested, IdList()});
  spec.example_weight = "weight";
  spec.group = "user";
  spec.id_columns = {"site", "user", "v"};
  const std::string file = Record()
                               .Text("color", {"blue"})
                               .Int("ids", {4, -1})
                               .Int("label", {1})
                               .Float("price", {10})
                               .Text("site", {"a.b"})
                               .Text("tags", {"x", "y", "x"})
                               .Int("user", {12})
                               .Float("v", {1, 2.5, 3})
                               .Float("values", {0.5, 2})
                               .Float("weight", {0.25})
                               .File();
  auto batch = ReadBatch(spec, file);
  ASSERT_TRUE(batch.ok()) << batch.status();
  const Batch& b = **batch;
  EXPECT_EQ(b.size, 1);
  EXPECT_EQ(b.dense, (std::vector<float>{10, 1, 2.5, 3}));
  EXPECT_EQ(b.labels, std::vector<float>{1});
  EXPECT_EQ(b.example_weights, std::vector<float>{0.25});
  EXPECT_EQ(b.groups, std::vector<uint64_t>{12});
  EXPECT_EQ(b.ids, (std::vector<std::string>{"a.b", "12", "1|2.5|3"}));
  ASSERT_EQ(b.columns.size(), 8u);  // in the order of the spec
  const uint64_t crossed = HashBucket("12_X_blue_X_2", 5000);
  EXPECT_EQ(b.columns[0].keys, std::vector<uint64_t>{crossed});
  EXPECT_EQ(b.columns[1].keys, std::vector<uint64_t>{12});
  EXPECT_EQ(b.columns[2].keys, std::vector<uint64_t>{2});
  EXPECT_EQ(b.columns[3].keys, std::vector<uint64_t>{1});
  EXPECT_EQ(b.columns[4].keys, std::vector<uint64_t>{HashBucket("a.b", 0)});
  const uint64_t x = HashBucket("x", 100), y = HashBucket("y", 100);
  EXPECT_EQ(b.columns[5].keys, (std::vector<uint64_t>{x, y, x}));
  EXPECT_EQ(b.columns[5].offsets, (std::vector<uint32_t>{0, 3}));
  EXPECT_EQ(b.columns[6].keys,
            std::vector<uint64_t>{HashBucket(std::to_string(crossed) + "_X_a.b", 0)});
  EXPECT_EQ(b.columns[7].keys, (std::vector<uint64_t>{4, ~uint64_t{0}}));
  EXPECT_EQ(b.columns[7].weights, (std::vector<float>{0.5, 2}));
}

TEST(RecordParserTest, MissingFeaturesHaveDefaults) {
  FeatureSpec v = Vector("v", 2);
  v.default_value = 7;
  FeatureSpec bucket = Feature("b", FeatureType::kBucket);
  bucket.boundaries = {5};
  bucket.default_value = 6;
  FeatureSpec id = Feature("id", FeatureType::kId);
  id.default_id = 3;
  FeatureSpec color = Feature("color", FeatureType::kVocabulary);
  color.vocabulary = {"red"};
  InputSpec spec = Spec({v, bucket, id, Feature("s", FeatureType::kHash), color, IdList(),
                         Feature("there", FeatureType::kId)});
  spec.example_weight = "weight";
  spec.wants_label = false;
  auto batch = ReadBatch(spec, Record().Int("there", {1}).File());
  ASSERT_TRUE(batch.ok()) << batch.status();
  const Batch& b = **batch;
  EXPECT_EQ(b.dense, (std::vector<float>{7, 7}));
  EXPECT_EQ(b.columns[0].keys[0], 1u);
  EXPECT_EQ(b.columns[1].keys[0], 3u);
  EXPECT_EQ(b.columns[2].keys[0], HashBucket("", 0));
  EXPECT_EQ(b.columns[3].keys[0], 1u);
  EXPECT_EQ(b.columns[4].offsets, (std::vector<uint32_t>{0, 0}));
  EXPECT_EQ(b.labels[0], 0);
  EXPECT_EQ(b.example_weights[0], 1);
}

TEST(RecordParserTest, WrongValuesAreNamed) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInf = std::numeric_limits<float>::infinity();
  InputSpec spec = Spec({Vector("I1", 1), Vector("v", 3)});
  spec.wants_label = false;
  const auto error = [&](Record record) { return ErrorOf(spec, record.File()); };
  EXPECT_EQ(error(Record().Int("I1", {1})),
            "read f at offset 0: feature 'I1' is int64, wanted float");
  EXPECT_EQ(error(Record().Float("I1", {1, 2})),
            "read f at offset 0: feature 'I1' has 2 values, wanted 1");
  EXPECT_EQ(error(Record().Float("I1", {1}).Float("v", {1, 2})),
            "read f at offset 0: feature 'v' has 2 values, wanted 3");
  EXPECT_EQ(error(Record().Float("I1", {kNan})),
            "read f at offset 0: feature 'I1' is nan, wanted a finite number");
  EXPECT_EQ(error(Record().Float("I1", {1}).Float("v", {1, -kInf, 2})),
            "read f at offset 0: feature 'v' is -inf in element 1, wanted a finite number");
  spec.wants_label = true;
  EXPECT_EQ(error(Record().Float("I1", {1}).Int("Label", {1})),
            "read f: its first records have no label 'label'; they have I1 float[1], Label "
            "int64[1], nearest is 'Label'");
  EXPECT_EQ(error(Record().Float("I1", {1}).Float("label", {})),
            "read f at offset 0: label 'label' has 0 values, wanted 1");
  EXPECT_EQ(error(Record().Float("I1", {1}).Float("label", {kNan})),
            "read f at offset 0: label 'label' is nan, wanted a finite number");
  spec.classes = 2;
  EXPECT_EQ(error(Record().Float("I1", {1}).Float("label", {0.5})),
            "read f at offset 0: label 'label' is 0.5, wanted a whole number in [0, 2)");
  EXPECT_EQ(error(Record().Float("I1", {1}).Int("label", {2})),
            "read f at offset 0: label 'label' is 2, wanted a whole number in [0, 2)");
  EXPECT_EQ(error(Record().Float("I1", {1}).Int("label", {0, 1})),
            "read f at offset 0: label 'label' has 2 values, wanted 1");
  EXPECT_EQ(error(Record().Float("I1", {1}).Text("label", {"1"})),
            "read f at offset 0: label 'label' is bytes, wanted float");
  FeatureSpec id = Feature("user", FeatureType::kId);
  id.column = "u";
  id.size = 10;
  FeatureSpec list = IdList();
  list.size = 124;
  spec = Spec({id, list});
  spec.wants_label = false;
  EXPECT_EQ(error(Record().Int("u", {10})),
            "read f at offset 0: feature 'user' (column 'u') has id 10, which is outside [0, 10)");
  EXPECT_EQ(error(Record().Int("u", {-1})),
            "read f at offset 0: feature 'user' (column 'u') has id -1, which is outside [0, 10)");
  EXPECT_EQ(error(Record().Float("u", {1})),
            "read f at offset 0: feature 'user' (column 'u') is float, wanted int64");
  EXPECT_EQ(error(Record().Int("ids", {1, 124}).Float("values", {1, 1})),
            "read f at offset 0: feature 'ids' has id 124, which is outside [0, 124)");
  EXPECT_EQ(error(Record().Int("ids", {1, 2}).Float("values", {1})),
            "read f at offset 0: feature 'ids' has 2 values and 1 weights in 'values'");
  EXPECT_EQ(error(Record().Int("ids", {1}).Float("values", {kInf})),
            "read f at offset 0: feature 'ids' has weight inf in 'values', wanted a finite number");
  EXPECT_EQ(error(Record().Int("other", {1})),
            "read f: its records have no feature 'u' nor any other that is wanted; they have other "
            "int64[1]");
}

TEST(RecordParserTest, ARecordOfAnotherDataSetIsNamed) {
  InputSpec spec = Spec({Vector("v", 1)});
  spec.wants_label = false;
  const std::string dense = Record().Float("v", {1}).File();
  EXPECT_EQ(ErrorOf(spec, dense + Record().Int("ids", {1}).File()),
            fmt::format("read f at offset {}: has none of the model's features ('v' …), but 'ids'",
                        dense.size()));
  EXPECT_TRUE(ReadBatch(spec, dense + Record().File()).ok());  // all of it is missing
}

TEST(RecordParserTest, SpecsThatCannotBeAreRefused) {
  const std::string file = Record().Int("a", {1}).File();
  const auto error = [&](std::vector<FeatureSpec> features) {
    return ErrorOf(Spec(std::move(features)), file);
  };
  FeatureSpec a = Feature("a", FeatureType::kId);
  EXPECT_EQ(error({a, a}), "two features are called 'a'");
  FeatureSpec cross = Feature("x", FeatureType::kCross);
  cross.of = {"a", "bb"};
  EXPECT_EQ(error({a, cross}),
            "cross 'x' is of 'bb', which is no categorical feature before it, nearest is 'a'");
  FeatureSpec b = Feature("bb", FeatureType::kId);
  b.multi_valued = true;
  EXPECT_EQ(error({a, b, cross}), "cross 'x' is of 'bb', which has several values");
  FeatureSpec bucket = Feature("b", FeatureType::kBucket);
  EXPECT_EQ(error({bucket}), "feature 'b' has no bucket boundaries");
  bucket.boundaries = {1, 1};
  EXPECT_EQ(error({bucket}), "feature 'b' has boundary 1 behind 1, wanted ascending ones");
  FeatureSpec v = Vector("v", 2);
  v.standardise = true;
  EXPECT_EQ(error({v}),
            "feature 'v' is to be standardised and has 0 means and 0 deviations, wanted 2");
}

TEST(RecordParserTest, CsvWithAHeader) {
  InputSpec spec = Spec({Vector("x", 1), Feature("color", FeatureType::kHash),
                         Feature("n", FeatureType::kId), IdList()});
  spec.label = "y";
  spec.id_columns = {"key"};
  auto batch = ReadBatch(spec,
                         "key,x,color,n,ids,values,y\n"
                         "k1,1.5,\"a,b\",7,1|2,0.5|1,1\r\n"
                         "k2,,,,,,0\n"
                         "k3, 2 ,c,8,3,1,0");
  ASSERT_TRUE(batch.ok()) << batch.status();
  const Batch& b = **batch;
  EXPECT_EQ(b.dense, (std::vector<float>{1.5, 0, 2}));
  EXPECT_EQ(b.labels, (std::vector<float>{1, 0, 0}));
  EXPECT_EQ(b.ids, (std::vector<std::string>{"k1", "k2", "k3"}));
  EXPECT_EQ(b.columns[0].keys,
            (std::vector<uint64_t>{HashBucket("a,b", 0), HashBucket("", 0), HashBucket("c", 0)}));
  EXPECT_EQ(b.columns[1].keys, (std::vector<uint64_t>{7, 0, 8}));
  EXPECT_EQ(b.columns[2].offsets, (std::vector<uint32_t>{0, 2, 2, 3}));
  EXPECT_EQ(b.columns[2].weights, (std::vector<float>{0.5, 1, 1}));
}

TEST(RecordParserTest, CsvErrorsNameTheLine) {
  InputSpec spec = Spec({Vector("x", 1), Feature("n", FeatureType::kId)});
  EXPECT_EQ(ErrorOf(spec, "label,x,n\n1,2,3\n\n1,abc,3\n"),
            "read f at line 4: feature 'x' is 'abc', wanted a number");
  EXPECT_EQ(ErrorOf(spec, "label,x,n\n1,2,3.5\n"),
            "read f at line 2: feature 'n' is '3.5', wanted a whole number");
  EXPECT_EQ(ErrorOf(spec, "label,x,n\n1,2\n"),
            "read f at line 2: the line has 2 columns, wanted 3");
  EXPECT_EQ(ErrorOf(spec, "label,x,n\n1,1e99,3\n"),
            "read f at line 2: feature 'x' is inf, wanted a finite number");
  EXPECT_EQ(ErrorOf(spec, "label,x,n\n"), "read f: has no records");
  EXPECT_EQ(ErrorOf(spec, "label,xx,n\n1,2,3\n"),
            "read f: there is no column 'x', the file has label, xx, n, nearest is 'xx'");
  EXPECT_EQ(ErrorOf(spec, "1,2,3\n"),
            "read f: a CSV file without header and no names for its columns (csv_columns) can only "
            "be read as a label and one float feature");
  EXPECT_EQ(ErrorOf(Spec({Vector("v", 5)}), "1,2,3\n"),
            "read f: the first line has 3 columns, wanted 5 for feature 'v' and a label");
  EXPECT_EQ(ErrorOf(Spec({Vector("v", 2)}), "1,2,3\n1,x,3\n"),
            "read f at line 2: feature 'v' is 'x' in column 2, wanted a number");
}

TEST(RecordParserTest, CsvWithoutAHeader) {
  InputSpec spec = Spec({Vector("v", 2)});
  auto batch = ReadBatch(spec, "0,1.5,2.5\n1,3.5,4\n");
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ((*batch)->labels, (std::vector<float>{0, 1}));
  EXPECT_EQ((*batch)->dense, (std::vector<float>{1.5, 2.5, 3.5, 4}));
  spec.csv_label = "last";
  batch = ReadBatch(spec, "0,1.5,2\n1,3.5,4\n");
  EXPECT_EQ((*batch)->labels, (std::vector<float>{2, 4}));
  spec.csv_label = "middle";
  EXPECT_EQ(ErrorOf(spec, "0,1,2\n"), "csv_label is 'middle', wanted first or last");
  // As many columns as the vector has: no label, which only predictions can do without.
  spec = Spec({Vector("v", 3)});
  EXPECT_EQ(ErrorOf(spec, "0,1.5,2\n"),
            "read f: the first line has 3 columns, wanted 3 for feature 'v' and a label");
  spec.wants_label = false;
  batch = ReadBatch(spec, "0,1.5,2\n");
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ((*batch)->dense, (std::vector<float>{0, 1.5, 2}));
  batch = ReadBatch(spec, "1.5,2,3,7\n");  // a label that is passed over
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ((*batch)->dense, (std::vector<float>{1.5, 2, 3}));
  EXPECT_EQ((*batch)->labels, std::vector<float>{0});
  spec = Spec({Vector("a", 1), Feature("b", FeatureType::kId)});
  spec.csv_columns = {"b", "unused", "a", "label"};
  batch = ReadBatch(spec, "5,x,0.5,1\n");
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_EQ((*batch)->dense, std::vector<float>{0.5});
  EXPECT_EQ((*batch)->columns[0].keys, std::vector<uint64_t>{5});
  EXPECT_EQ((*batch)->labels, std::vector<float>{1});
}

TEST(RecordParserTest, Libsvm) {
  InputSpec spec = Spec({IdList()});
  spec.classes = 2;
  spec.group = "qid";
  auto batch = ReadBatch(spec, "-1 qid:4 7:1 3:0.5 # why\n+1 9:1e1  2:1 \n0\n", "libsvm");
  ASSERT_TRUE(batch.ok()) << batch.status();
  const Batch& b = **batch;
  EXPECT_EQ(b.labels, (std::vector<float>{0, 1, 0}));
  EXPECT_EQ(b.columns[0].keys, (std::vector<uint64_t>{7, 3, 9, 2}));
  EXPECT_EQ(b.columns[0].weights, (std::vector<float>{1, 0.5, 10, 1}));
  EXPECT_EQ(b.columns[0].offsets, (std::vector<uint32_t>{0, 2, 4, 4}));
  EXPECT_EQ(b.groups, (std::vector<uint64_t>{4, 0, 0}));
  spec.classes = 3;
  EXPECT_EQ(ErrorOf(spec, "-1 7:1\n"),
            "read f at line 1: label 'label' is -1, wanted a whole number in [0, 3)");
  EXPECT_EQ(ErrorOf(spec, "1 7:1\n1 7\n"), "read f at line 2: found '7', wanted id:value");
  EXPECT_EQ(ErrorOf(spec, "1 7:1\n1 7:x\n"), "read f at line 2: found '7:x', wanted id:value");
  EXPECT_EQ(ErrorOf(spec, "1 7:1\nx 7:1\n"), "read f at line 2: label is 'x', wanted a number");
  EXPECT_EQ(ErrorOf(Spec({Vector("x", 1)}), "1 7:1\n"),
            "read f: there is no column 'x', the file has label, ids, values, qid");
}

TEST(RecordParserTest, Criteo) {
  InputSpec spec = Spec({Vector("I1", 1), Vector("I13", 1), Feature("C1", FeatureType::kId),
                         Feature("C26", FeatureType::kHash)});
  FeatureSpec number = Feature("n", FeatureType::kId);
  number.column = "I2";
  spec.features.push_back(number);
  spec.features[1].default_value = -1;
  std::string line = "1\t5\t16";
  for (int i = 3; i <= 13; ++i) line += "\t";
  line += "\t68fd1e64";
  for (int i = 2; i <= 25; ++i) line += "\tx";
  auto batch = ReadBatch(spec, line + "\tabc\n" + line + "\t\n");
  ASSERT_TRUE(batch.ok()) << batch.status();
  const Batch& b = **batch;
  EXPECT_EQ(b.dense, (std::vector<float>{5, -1, 5, -1}));
  EXPECT_EQ(b.columns[0].keys[0], 0x68fd1e64u);
  EXPECT_EQ(b.columns[1].keys, (std::vector<uint64_t>{HashBucket("abc", 0), HashBucket("", 0)}));
  EXPECT_EQ(b.columns[2].keys[0], 16u);
  spec = Spec({Feature("C2", FeatureType::kId)});
  EXPECT_EQ(ErrorOf(spec, line + "\t\n"),
            "read f at line 1: feature 'C2' is 'x', wanted a hexadecimal number");
}

}  // namespace
}  // namespace capstan
