#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "data/teacher.h"
#include "data/teacher_scale.h"

namespace capstan {
namespace {

constexpr int kNumbers = 13;
constexpr int kFeatures = 26;
constexpr int kWideRanks = 40;
constexpr int kPairs = 4;
constexpr int kPairRanks = 20;
constexpr int kPairWidth = 2;
constexpr int kHidden = 8;
constexpr int kSample = 1 << 13;
constexpr double kPositiveRate = 0.25;
constexpr double kBestAuc = 0.80;
constexpr float kMaxNumber = 1e6f;

// Kaggle Criteo's numbers of distinct values.
constexpr std::array<int64_t, kFeatures> kCardinalities = {
    1460, 583,   10131227, 2202608, 305,  24,   12517, 633,     3,  93145, 5683,   8351593, 3194,
    27,   14992, 5461306,  10,      5652, 2173, 4,     7046547, 18, 15,    286181, 105,     142572};

// What the numbers of the teacher are drawn for.
enum class Purpose : uint64_t { kRow = 1, kSample, kWide, kPairs, kNetwork, kFeature };

RandomStream Stream(uint64_t seed, Purpose purpose, uint64_t number) {
  return RandomStream(MixBits(seed, static_cast<uint64_t>(purpose), number));
}

// Ranks 0 … n-1 with a density like (rank + 1)^-1.05, by the inverse of its continuous form
// x^-0.05: the twentieth power makes it cheap.
class ZipfLike {
 public:
  explicit ZipfLike(int64_t n) : n_(n), span_(1.0 - std::pow(static_cast<double>(n + 1), -0.05)) {}

  int64_t Rank(double uniform) const {
    const double x = 1.0 / (1.0 - uniform * span_);
    const double x2 = x * x, x4 = x2 * x2, x8 = x4 * x4;
    return std::min(static_cast<int64_t>(x8 * x8 * x4) - 1, n_ - 1);
  }

 private:
  int64_t n_;
  double span_;
};

struct Feature {
  ZipfLike zipf;
  int64_t cardinality;
  // Frequent ids lie anywhere: id = rank × factor + shift, mod cardinality.
  int64_t factor, shift;
  std::array<float, kWideRanks> weights;
};

struct Pair {
  int left, right;  // features
  std::array<float, kPairRanks * kPairWidth> left_vectors, right_vectors;
};

class ClickTeacher : public Teacher {
 public:
  explicit ClickTeacher(const TeacherOptions& options) : seed_(options.seed) {
    for (int f = 0; f < kFeatures; ++f) AddFeature(options, f);
    for (int p = 0; p < kPairs; ++p) AddPair(p);
    MakeNetwork();
    Calibrate();
  }

  void MakeRow(int64_t row, TeacherRow* out) const override {
    RandomStream random = Stream(seed_, Purpose::kRow, static_cast<uint64_t>(row));
    const Parts parts = Draw(&random, out);
    out->logit = fit_.bias + fit_.scale * Score(parts);
    out->label = random.Uniform() < Sigmoid(out->logit) ? 1 : 0;
  }
  const std::vector<int64_t>& cardinalities() const override { return cardinalities_; }

 private:
  struct Parts {
    double wide = 0, numbers = 0, pairs = 0;
  };

  void AddFeature(const TeacherOptions& options, int f) {
    RandomStream random = Stream(seed_, Purpose::kFeature, f);
    const auto scaled = std::llround(static_cast<double>(kCardinalities[f]) * options.scale);
    const int64_t n = std::clamp<int64_t>(scaled, 2, std::max<int64_t>(2, options.cap));
    int64_t factor = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(n) * 0.618034));
    while (std::gcd(factor, n) != 1) ++factor;
    Feature feature{ZipfLike(n), n, factor, static_cast<int64_t>(random.Below(n)), {}};
    const double importance = 0.4 + random.Uniform();
    RandomStream weights = Stream(seed_, Purpose::kWide, f);
    for (float& weight : feature.weights) {
      weight = static_cast<float>(importance * weights.Normal());
    }
    features_.push_back(feature);
    cardinalities_.push_back(n);
  }

  void AddPair(int p) {
    RandomStream random = Stream(seed_, Purpose::kPairs, p);
    Pair pair;
    pair.left = static_cast<int>(random.Below(kFeatures));
    pair.right = static_cast<int>((pair.left + 1 + random.Below(kFeatures - 1)) % kFeatures);
    for (float& x : pair.left_vectors) x = static_cast<float>(random.Normal());
    for (float& x : pair.right_vectors) x = static_cast<float>(random.Normal());
    pairs_.push_back(pair);
  }

  void MakeNetwork() {
    RandomStream random = Stream(seed_, Purpose::kNetwork, 0);
    for (auto& unit : hidden_) {
      for (float& w : unit) w = static_cast<float>(0.6 * random.Normal() / std::sqrt(kNumbers));
    }
    for (float& b : hidden_bias_) b = static_cast<float>(0.5 * random.Normal());
    for (float& w : output_) w = static_cast<float>(random.Normal());
  }

  // Fills numbers and ids; the parts of the score are not yet standardised.
  Parts Draw(RandomStream* random, TeacherRow* out) const {
    Parts parts;
    out->numbers.resize(kNumbers);
    out->ids.resize(kFeatures);
    std::array<float, kNumbers> logs;
    for (int i = 0; i < kNumbers; ++i) {
      const double mu = 0.5 + 0.45 * (i % 7), sigma = 0.6 + 0.15 * (i % 5);
      const auto x = std::floor(static_cast<float>(std::exp(mu + sigma * random->Normal())));
      out->numbers[i] = std::min(x, kMaxNumber);
      logs[i] = static_cast<float>(log_scale_[i](std::log1p(out->numbers[i])));
    }
    std::array<int64_t, kFeatures> ranks;
    for (int f = 0; f < kFeatures; ++f) {
      const Feature& feature = features_[f];
      const int64_t rank = ranks[f] = feature.zipf.Rank(random->Uniform());
      out->ids[f] = (rank * feature.factor + feature.shift) % feature.cardinality;
      if (rank < kWideRanks) parts.wide += feature.weights[rank];
    }
    for (int h = 0; h < kHidden; ++h) {
      float sum = hidden_bias_[h];
      for (int i = 0; i < kNumbers; ++i) sum += hidden_[h][i] * logs[i];
      parts.numbers += output_[h] * std::tanh(sum);
    }
    for (const Pair& pair : pairs_) {
      const int64_t left = ranks[pair.left], right = ranks[pair.right];
      if (left >= kPairRanks || right >= kPairRanks) continue;
      for (int k = 0; k < kPairWidth; ++k) {
        parts.pairs +=
            pair.left_vectors[left * kPairWidth + k] * pair.right_vectors[right * kPairWidth + k];
      }
    }
    return parts;
  }

  double Score(const Parts& parts) const {
    return std::sqrt(0.67) * wide_scale_(parts.wide) +
           std::sqrt(0.30) * number_scale_(parts.numbers) +
           std::sqrt(0.03) * pair_scale_(parts.pairs);
  }

  // On rows of their own: first the numbers' logarithms, then the parts, then the logit.
  void Calibrate() {
    TeacherRow row;
    std::array<std::vector<double>, kNumbers> logs;
    for (int i = 0; i < kSample; ++i) {
      RandomStream random = Stream(seed_, Purpose::kSample, i);
      Draw(&random, &row);
      for (int k = 0; k < kNumbers; ++k) logs[k].push_back(std::log1p(row.numbers[k]));
    }
    for (int k = 0; k < kNumbers; ++k) log_scale_[k] = MeasureSample(logs[k]);
    std::vector<double> wide, numbers, pairs, scores;
    std::vector<Parts> parts;
    for (int i = 0; i < kSample; ++i) {
      RandomStream random = Stream(seed_, Purpose::kSample, i);
      parts.push_back(Draw(&random, &row));
      wide.push_back(parts.back().wide);
      numbers.push_back(parts.back().numbers);
      pairs.push_back(parts.back().pairs);
    }
    wide_scale_ = MeasureSample(wide);
    number_scale_ = MeasureSample(numbers);
    pair_scale_ = MeasureSample(pairs);
    for (const Parts& p : parts) scores.push_back(Score(p));
    fit_ = FitTeacherScale(std::move(scores), kPositiveRate, kBestAuc);
  }

  const uint64_t seed_;
  std::vector<Feature> features_;
  std::vector<int64_t> cardinalities_;
  std::vector<Pair> pairs_;
  std::array<std::array<float, kNumbers>, kHidden> hidden_;
  std::array<float, kHidden> hidden_bias_, output_;
  std::array<Standardiser, kNumbers> log_scale_;
  Standardiser wide_scale_, number_scale_, pair_scale_;
  TeacherScale fit_;
};

}  // namespace

std::unique_ptr<Teacher> NewClickTeacher(const TeacherOptions& options) {
  return std::make_unique<ClickTeacher>(options);
}

}  // namespace capstan
