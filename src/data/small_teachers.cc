// The teachers that stand in for two small data sets, and the choice of one by name.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/nearest.h"
#include "base/random.h"
#include "data/teacher.h"
#include "data/teacher_scale.h"

namespace capstan {
namespace {

const std::vector<int64_t> kNoCardinalities;

class DenseTeacher : public Teacher {
 public:
  explicit DenseTeacher(const TeacherOptions& options) : seed_(options.seed) {
    for (int f = 0; f < kNumbers; ++f) {
      RandomStream random(MixBits(seed_, 1, f));
      slopes_[f][0] = 0.54 + 0.06 * random.Uniform();
      slopes_[f][1] = 0.92 + 0.10 * random.Uniform();
      // Chances of 1 … 10 are slope^k / sum; the logit's part is k log(slope1/slope0) - log(sums).
      for (int label = 0; label < 2; ++label) {
        double sum = 0;
        for (int k = 0; k < kValues; ++k) {
          sum += std::pow(slopes_[f][label], k + 1);
          cumulative_[f][label][k] = sum;
        }
      }
    }
  }

  void MakeRow(int64_t row, TeacherRow* out) const override {
    RandomStream random(MixBits(seed_, 2, static_cast<uint64_t>(row)));
    out->label = random.Uniform() < kPositiveRate ? 1 : 0;
    out->numbers.resize(kNumbers);
    out->ids.clear();
    out->logit = std::log(kPositiveRate / (1 - kPositiveRate));
    for (int f = 0; f < kNumbers; ++f) {
      const auto& cumulative = cumulative_[f][out->label];
      const double u = random.Uniform() * cumulative.back();
      const auto place = std::upper_bound(cumulative.begin(), cumulative.end(), u);
      const auto k = std::min<int64_t>(place - cumulative.begin(), kValues - 1) + 1;
      out->numbers[f] = static_cast<float>(k);
      out->logit += static_cast<double>(k) * std::log(slopes_[f][1] / slopes_[f][0]) -
                    std::log(cumulative_[f][1].back() / cumulative_[f][0].back());
    }
  }
  const std::vector<int64_t>& cardinalities() const override { return kNoCardinalities; }

 private:
  static constexpr int kNumbers = 9;
  static constexpr int kValues = 10;
  static constexpr double kPositiveRate = 0.35;

  const uint64_t seed_;
  std::array<std::array<double, 2>, kNumbers> slopes_;
  std::array<std::array<std::array<double, kValues>, 2>, kNumbers> cumulative_;
};

class SparseTeacher : public Teacher {
 public:
  explicit SparseTeacher(const TeacherOptions& options) : seed_(options.seed) {
    RandomStream random(MixBits(seed_, 3, 0));
    for (float& weight : weights_) weight = static_cast<float>(random.Normal());
    for (float& weight : pair_weights_) weight = static_cast<float>(random.Normal());
    std::vector<double> scores;
    TeacherRow row;
    for (int i = 0; i < kSample; ++i) scores.push_back(Draw(MixBits(seed_, 4, i), &row).score);
    score_scale_ = MeasureSample(scores);
    for (double& score : scores) score = score_scale_(score);
    fit_ = FitTeacherScale(std::move(scores), 0.24, 0.91);
  }

  void MakeRow(int64_t row, TeacherRow* out) const override {
    Drawn drawn = Draw(MixBits(seed_, 5, static_cast<uint64_t>(row)), out);
    out->logit = fit_.bias + fit_.scale * score_scale_(drawn.score);
    out->label = drawn.random.Uniform() < Sigmoid(out->logit) ? 1 : 0;
  }
  const std::vector<int64_t>& cardinalities() const override { return kNoCardinalities; }

 private:
  static constexpr int kGroups = 14;
  static constexpr int kIds = 123;
  static constexpr int kSample = 1 << 13;
  static constexpr std::array<int, kGroups> kGroupSizes = {5, 8, 5, 16, 5, 7, 14,
                                                           6, 5, 2, 3,  3, 5, 39};

  struct Drawn {
    double score = 0;
    RandomStream random;
  };

  Drawn Draw(uint64_t stream_seed, TeacherRow* out) const {
    Drawn drawn{0, RandomStream(stream_seed)};
    out->numbers.clear();
    out->ids.clear();
    int first = 1;
    int before = 0;  // the id of the group before
    for (int group = 0; group < kGroups; ++group) {
      const int size = kGroupSizes[group];
      const double u = drawn.random.Uniform();
      // Squared: the first ids of a group are the frequent ones.
      const int id = first + std::min(size - 1, static_cast<int>(u * u * size));
      first += size;
      const bool may_miss = group == 1 || group == 6 || group == 13;
      if (may_miss && drawn.random.Uniform() < 0.02) continue;
      out->ids.push_back(id);
      drawn.score += weights_[id];
      if (before > 0) drawn.score += 0.2 * pair_weights_[(before * 31 + id) % kIds];
      before = id;
    }
    return drawn;
  }

  const uint64_t seed_;
  std::array<float, kIds + 1> weights_;
  std::array<float, kIds> pair_weights_;
  Standardiser score_scale_;
  TeacherScale fit_;
};

}  // namespace

std::unique_ptr<Teacher> NewDenseTeacher(const TeacherOptions& options) {
  return std::make_unique<DenseTeacher>(options);
}

std::unique_ptr<Teacher> NewSparseTeacher(const TeacherOptions& options) {
  return std::make_unique<SparseTeacher>(options);
}

StatusOr<std::unique_ptr<Teacher>> NewTeacher(const std::string& kind,
                                              const TeacherOptions& options) {
  if (!(options.scale > 0) || options.scale > 100 || options.cap < 2) {
    return Error("scale {} and cap {}: wanted above 0, at most 100, and a cap of 2 or more",
                 options.scale, options.cap);
  }
  if (kind == "clicks") return NewClickTeacher(options);
  if (kind == "dense") return NewDenseTeacher(options);
  if (kind == "sparse") return NewSparseTeacher(options);
  const std::vector<std::string> known = {"clicks", "dense", "sparse"};
  return Error("kind '{}' is not known, wanted clicks, dense or sparse{}", kind,
               NearestHint(kind, known));
}

}  // namespace capstan
