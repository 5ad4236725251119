// Where generated data comes from: a known truth, from which labels are drawn with noise. Row i is
// a pure function of (seed, i).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace capstan {

struct TeacherOptions {
  uint64_t seed = 0;
  // Clicks: the Kaggle-Criteo cardinalities times `scale`, at most `cap`, at least 2.
  double scale = 1.0;
  int64_t cap = 1'000'000;
};

struct TeacherRow {
  std::vector<float> numbers;  // whole numbers
  std::vector<int64_t> ids;
  double logit = 0;  // of the true probability of label 1
  int label = 0;     // drawn from it
};

class Teacher {
 public:
  virtual ~Teacher() = default;
  // Any thread. `*row` keeps its memory between calls.
  virtual void MakeRow(int64_t row, TeacherRow* out) const = 0;
  // [id]: ids lie in [0, cardinality); empty when ids are a list of any length.
  virtual const std::vector<int64_t>& cardinalities() const = 0;
};

// 13 numbers (log-normal, rounded down) and 26 ids (Zipf-like, exponent 1.05), a positive rate of
// 25 % and a best AUC of about 0.8. The truth is wide and deep:
//
//   logit = bias + scale × (√.67 wide + √.30 numbers + √.03 pairs), each with variance 1
//   wide     a normal weight for each of the 40 most frequent ids of a feature
//   numbers  a small tanh network of the standardised log(1 + x)
//   pairs    products of 2-vectors of the 20 most frequent ids of 4 pairs of features
//
// Only frequent ids matter, so that a wide & deep model can come within 0.01 of the best AUC in one
// pass over two million rows.
std::unique_ptr<Teacher> NewClickTeacher(const TeacherOptions& options);

// 9 numbers in 1 … 10 of two classes, from geometric distributions of different slope: a linear
// logit is exact. 35 % positive, best accuracy about 0.97.
std::unique_ptr<Teacher> NewDenseTeacher(const TeacherOptions& options);

// 11 … 14 ids in 1 … 123: one of each of 14 groups, some missing. 24 % positive, best AUC about
// 0.91.
std::unique_ptr<Teacher> NewSparseTeacher(const TeacherOptions& options);

// "clicks", "dense" or "sparse".
StatusOr<std::unique_ptr<Teacher>> NewTeacher(const std::string& kind,
                                              const TeacherOptions& options);

}  // namespace capstan
