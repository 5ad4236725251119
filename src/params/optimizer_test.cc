#include "params/optimizer.h"

#include <gtest/gtest.h>

#include <hwy/targets.h>

#include <cmath>
#include <cstring>

#include "base/random.h"
#include "params/optimizer_kernels.h"

namespace capstan {
namespace {

constexpr OptimizerKind kAll[] = {
    OptimizerKind::kSgd,      OptimizerKind::kMomentum,       OptimizerKind::kAdagrad,
    OptimizerKind::kAdadelta, OptimizerKind::kAdam,           OptimizerKind::kFtrl,
    OptimizerKind::kRmsProp,  OptimizerKind::kRowWiseAdagrad, OptimizerKind::kMovingAverage};

// One weight, by the book, in double. `mean_square` is the row's mean of g² (row-wise only).
void PlainUpdate(const OptimizerSpec& s, const UpdateScalars& u, double mean_square, double sum,
                 double* w, double* s0, double* s1) {
  double g = sum * u.gradient_scale;
  const double sign = *w > 0 ? 1 : *w < 0 ? -1 : 0;
  if (s.kind != OptimizerKind::kFtrl && s.kind != OptimizerKind::kMovingAverage) {
    g += sign * s.l1 + *w * s.l2;
  }
  const double lr = u.learning_rate;
  switch (s.kind) {
    case OptimizerKind::kSgd:
      *w -= lr * g;
      break;
    case OptimizerKind::kMomentum:
      *s0 = *s0 * s.momentum + g;
      *w -= s.nesterov ? g * lr + *s0 * s.momentum * lr : *s0 * lr;
      break;
    case OptimizerKind::kAdagrad:
      *s0 += g * g;
      *w -= lr * g / std::sqrt(*s0);
      break;
    case OptimizerKind::kRowWiseAdagrad:
      *w -= lr * g / std::sqrt(*s0 + mean_square);
      break;
    case OptimizerKind::kAdadelta: {
      *s0 = *s0 * s.rho + g * g * (1 - s.rho);
      const double update = std::sqrt(*s1 + 1e-8) / std::sqrt(*s0 + 1e-8) * g;
      *w -= update * lr;
      *s1 = *s1 * s.rho + update * update * (1 - s.rho);
      break;
    }
    case OptimizerKind::kAdam: {
      const double rate = lr * std::sqrt(1.0 - u.beta2_power) / (1.0 - u.beta1_power);
      *s0 += (g - *s0) * (1 - s.beta1);
      *s1 += (g * g - *s1) * (1 - s.beta2);
      *w -= *s0 * rate / (std::sqrt(*s1) + 1e-8);
      break;
    }
    case OptimizerKind::kFtrl: {
      const double next = *s0 + g * g;
      const double power = -s.learning_rate_power;
      *s1 += g - (std::pow(next, power) - std::pow(*s0, power)) / lr * *w;
      const double quadratic = std::pow(next, power) / lr + 2 * s.l2;
      *w = std::abs(*s1) > s.l1 ? ((*s1 > 0 ? 1 : -1) * s.l1 - *s1) / quadratic : 0;
      *s0 = next;
      break;
    }
    case OptimizerKind::kRmsProp:
      *s0 += (g * g - *s0) * (1 - s.decay);
      *s1 = *s1 * s.rmsprop_momentum + lr * g / std::sqrt(*s0 + 1e-10);
      *w -= *s1;
      break;
    case OptimizerKind::kMovingAverage:
      *w += (1 - s.decay) * (g - *w);
      break;
  }
}

std::vector<float> Values(int count, uint64_t seed) {
  RandomStream random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(random.Normal());
  return values;
}

std::vector<OptimizerSpec> Variants() {
  std::vector<OptimizerSpec> specs;
  for (OptimizerKind kind : kAll) {
    specs.push_back({.kind = kind, .learning_rate = 0.05f, .rmsprop_momentum = 0.3f});
    specs.push_back({.kind = kind, .nesterov = true, .l1 = 0.01f, .l2 = 0.02f});
  }
  specs.push_back({.kind = OptimizerKind::kFtrl, .learning_rate_power = -0.7f, .l1 = 0.001f});
  return specs;
}

TEST(Optimizer, EqualsThePlainFormulasForAnyCount) {
  for (const OptimizerSpec& spec : Variants()) {
    for (int count : {1, 3, 4, 8, 16, 21, 35}) {
      std::vector<float> w = Values(count, 1);
      std::vector<double> pw(w.begin(), w.end());
      std::vector<float> s[2];
      std::vector<double> ps[2];
      for (int k = 0; k < 2; ++k) {
        s[k].assign(count, InitialSlotValue(spec, k));
        ps[k].assign(s[k].begin(), s[k].end());
      }
      for (int step = 1; step <= 30; ++step) {
        const std::vector<float> g = Values(count, 100 + step);
        UpdateScalars u{.learning_rate = spec.learning_rate, .gradient_scale = 0.5f};
        u.beta1_power = static_cast<float>(std::pow(spec.beta1, step));
        u.beta2_power = static_cast<float>(std::pow(spec.beta2, step));
        float* slots[2] = {s[0].data(), s[1].data()};
        ApplyUpdate(spec, u, count, w.data(), slots, g.data());
        double mean_square = 0;
        for (int i = 0; i < count; ++i) {
          const double sign = pw[i] > 0 ? 1 : -1;
          const double gi = g[i] * 0.5 + sign * spec.l1 + pw[i] * spec.l2;
          mean_square += gi * gi / count;
        }
        const bool row_wise = IsRowWise(spec.kind);
        for (int i = 0; i < count; ++i) {
          const int slot = row_wise ? 0 : i;
          PlainUpdate(spec, u, mean_square, g[i], &pw[i], &ps[0][slot], &ps[1][slot]);
        }
        if (row_wise) ps[0][0] += mean_square;
      }
      for (int i = 0; i < count; ++i) {
        EXPECT_NEAR(w[i], pw[i], 2e-5 * (1 + std::abs(pw[i]))) << NameOf(spec.kind) << " " << i;
        if (IsRowWise(spec.kind) && i > 0) continue;
        for (int k = 0; k < SlotCount(spec.kind); ++k) {
          EXPECT_NEAR(s[k][i], ps[k][i], 2e-5 * (1 + std::abs(ps[k][i]))) << NameOf(spec.kind);
        }
      }
    }
  }
}

// The bits of weights and slots after some steps, on the instruction set chosen before.
std::vector<float> WeightsAndSlots(const OptimizerSpec& spec, int count, int split) {
  std::vector<float> all = Values(count, 7);
  all.resize(3 * count);
  for (int k = 0; k < 2; ++k) {
    for (int i = 0; i < count; ++i) all[(k + 1) * count + i] = InitialSlotValue(spec, k);
  }
  for (int step = 1; step <= 10; ++step) {
    const std::vector<float> g = Values(count, 200 + step);
    for (int begin = 0; begin < count; begin += split) {
      float* slots[2] = {all.data() + count + begin, all.data() + 2 * count + begin};
      ApplyUpdate(spec, {.learning_rate = 0.1f}, std::min(split, count - begin), all.data() + begin,
                  slots, g.data() + begin);
    }
  }
  return all;
}

TEST(Optimizer, BitsDoNotDependOnTheVectorWidthNorOnTheSplit) {
  constexpr int kCount = 77;
  for (const OptimizerSpec& spec : Variants()) {
    const std::vector<float> wanted = WeightsAndSlots(spec, kCount, kCount);
    if (!IsRowWise(spec.kind)) {
      const std::vector<float> split = WeightsAndSlots(spec, kCount, 5);
      EXPECT_EQ(std::memcmp(split.data(), wanted.data(), wanted.size() * 4), 0)
          << NameOf(spec.kind);
    }
    for (const uint32_t target : hwy::SupportedAndGeneratedTargets()) {
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      const std::vector<float> got = WeightsAndSlots(spec, kCount, kCount);
      EXPECT_EQ(std::memcmp(got.data(), wanted.data(), wanted.size() * 4), 0)
          << NameOf(spec.kind) << " on " << hwy::TargetName(target);
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

TEST(Optimizer, RowsAreUpdatedWhereTheyLieAndNullsAreSkipped) {
  const OptimizerSpec spec{.kind = OptimizerKind::kAdagrad};
  const UpdateConstants constants = MakeUpdateConstants(spec, {.learning_rate = 0.1f});
  std::vector<std::vector<float>> rows(5, std::vector<float>(12, 0.5f));
  std::vector<char*> pointers;
  for (auto& row : rows) pointers.push_back(reinterpret_cast<char*>(row.data()));
  pointers[2] = nullptr;
  const std::vector<float> gradients = Values(5 * 6, 3);
  UpdateRows(constants, {.rows = 5,
                         .row = pointers.data(),
                         .dim = 3,
                         .weights_offset = 4,
                         .slot_offset = {8, 0},
                         .gradients = gradients.data() + 1,
                         .gradient_stride = 6,
                         .prefetch_bytes = 48,
                         .prefetch_ahead = 2,
                         .prefetch_rows = 5});
  for (int r = 0; r < 5; ++r) {
    std::vector<float> wanted(12, 0.5f);
    float* slot = wanted.data() + 8;
    if (r != 2) {
      ApplyUpdate(spec, {.learning_rate = 0.1f}, 3, wanted.data() + 4, &slot,
                  gradients.data() + 1 + r * 6);
    }
    EXPECT_EQ(rows[r], wanted) << r;
  }
}

TEST(Optimizer, Names) {
  for (OptimizerKind kind : kAll) {
    EXPECT_EQ(static_cast<int>(SlotNames(kind).size()), SlotCount(kind));
    if (kind == OptimizerKind::kMovingAverage) continue;
    EXPECT_EQ(ParseOptimizer(NameOf(kind)).value(), kind);
  }
  EXPECT_EQ(Message(ParseOptimizer("adagrd").status()),
            "unknown optimizer 'adagrd', nearest is 'adagrad'; known are sgd momentum adagrad "
            "adadelta adam ftrl rmsprop rowwise_adagrad");
  EXPECT_FALSE(ParseOptimizer("moving_average").ok());
}

}  // namespace
}  // namespace capstan
