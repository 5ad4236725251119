// What is read from the records: pure data, filled from a model file or from flags.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace capstan {

enum class FeatureType {
  kFloat,       // dense vector of `length` floats: log1p, then standardised
  kBucket,      // one float → index of its bucket, a category
  kId,          // int64 → itself
  kHash,        // string → FarmHash Fingerprint64 mod buckets, as tf.strings.to_hash_bucket_fast
  kVocabulary,  // string → index in the list; unknown words share the index behind the last
  kCross,  // single-valued categories a, b, … → hash of "A_X_B": their ids in decimal (kHash,
           // kVocabulary: the strings themselves) joined by "_X_"
};

enum class Combiner { kSum, kMean, kSqrtN };

struct FeatureSpec {
  std::string name;    // in messages, signatures and variable names
  std::string column;  // in the records; several features may read one column (not kCross)
  FeatureType type = FeatureType::kFloat;

  // kFloat. A missing feature is `default_value` in every element.
  int length = 1;
  float default_value = 0.0f;       // kBucket too
  bool log1p = false;               // log(1 + max(x, 0))
  bool standardise = false;         // (x - mean) / stddev, elementwise, after log1p
  std::vector<float> mean, stddev;  // [length]; empty: to be measured on the training files

  std::vector<float>
      boundaries;          // kBucket: ascending; bucket i has boundaries[i-1] <= x < boundaries[i]
  int64_t size = 0;        // kId: ids must lie in [0, size); 0: any id
  int64_t default_id = 0;  // kId: a missing single value
  int64_t buckets = 0;     // kHash, kCross: 0 stands for 2^63 - 1
  std::vector<std::string> vocabulary;  // kVocabulary
  std::vector<std::string> of;          // kCross: names of features

  // kId, kHash, kVocabulary: a list of values per example, pooled. Missing = empty = zeros.
  bool multi_valued = false;
  std::string weights;  // column with a float for each value; "": all 1
  Combiner combiner = Combiner::kSum;

  // Categories: which table has the rows and who uses them.
  std::string table;
  bool wide = true, deep = true;
};

inline bool IsCategorical(const FeatureSpec& feature) {
  return feature.type != FeatureType::kFloat;
}

struct InputSpec {
  std::vector<FeatureSpec> features;
  std::string label = "label";          // int64 or float, found by looking
  int classes = 0;                      // > 0: labels are whole numbers in [0, classes)
  bool wants_label = true;              // false: passed over where there is one (predictions)
  std::string example_weight;           // column of a float; "": all 1
  std::string group;                    // column whose values group examples for GAUC; "": none
  std::vector<std::string> id_columns;  // carried through to predictions as text
  // CSV without a header: the columns' names in order. Empty: all but the label are one vector for
  // the only float feature.
  std::vector<std::string> csv_columns;
  std::string csv_label;  // "first", "last" or "" (found by looking); only for CSV without names
};

// Floats of all kFloat features side by side, in order: the width of Batch::dense.
int DenseWidth(const InputSpec& spec);

}  // namespace capstan
