// Compiled once for each instruction set (foreach_target includes this file again), and with
// -ffp-contract=off: the compiler would otherwise fuse multiplications and additions where the
// instruction set can, and change bits.
#include "params/optimizer_kernels.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "params/optimizer_kernels.cc"
#include <hwy/foreach_target.h>  // before highway.h
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace capstan {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A rule is a struct with Apply(d, constants, g, w, s0, s1) on vectors of weights; the formulas are
// those of tensorflow/core/kernels/training_ops (ApplyAdagrad, ApplyFtrl, …).
struct SgdRule {
  static constexpr int kSlots = 0;
  template <class D, class V>
  static HWY_INLINE void Apply(D d, const UpdateConstants& c, V g, V& w, V&, V&) {
    w = hn::Sub(w, hn::Mul(hn::Set(d, c.learning_rate), g));
  }
};

struct MomentumRule {
  static constexpr int kSlots = 1;
  template <class D, class V>
  static HWY_INLINE void Apply(D d, const UpdateConstants& c, V g, V& w, V& momentum, V&) {
    const V keep = hn::Set(d, c.keep);
    const V rate = hn::Set(d, c.learning_rate);
    momentum = hn::Add(hn::Mul(momentum, keep), g);
    if (c.nesterov) {
      w = hn::Sub(w, hn::Add(hn::Mul(g, rate), hn::Mul(hn::Mul(momentum, keep), rate)));
    } else {
      w = hn::Sub(w, hn::Mul(momentum, rate));
    }
  }
};

struct AdagradRule {
  static constexpr int kSlots = 1;
  template <class D, class V>
  static HWY_INLINE void Apply(D d, const UpdateConstants& c, V g, V& w, V& accumulator, V&) {
    accumulator = hn::Add(accumulator, hn::Mul(g, g));
    w = hn::Sub(w, hn::Div(hn::Mul(hn::Set(d, c.learning_rate), g), hn::Sqrt(accumulator)));
  }
};

struct AdadeltaRule {
  static constexpr int kSlots = 2;
  template <class D, class V>
  static HWY_INLINE void Apply(D d, const UpdateConstants& c, V g, V& w, V& squares, V& updates) {
    const V keep = hn::Set(d, c.keep);
    const V join = hn::Set(d, c.join);
    const V epsilon = hn::Set(d, c.epsilon);
    squares = hn::Add(hn::Mul(squares, keep), hn::Mul(hn::Mul(g, g), join));
    const V update = hn::Mul(
        hn::Div(hn::Sqrt(hn::Add(updates, epsilon)), hn::Sqrt(hn::Add(squares, epsilon))), g);
    w = hn::Sub(w, hn::Mul(update, hn::Set(d, c.learning_rate)));
    updates = hn::Add(hn::Mul(updates, keep), hn::Mul(hn::Mul(update, update), join));
  }
};

struct AdamRule {
  static constexpr int kSlots = 2;
  template <class D, class V>
  static HWY_INLINE void Apply(D d, const UpdateConstants& c, V g, V& w, V& m, V& v) {
    m = hn::Add(m, hn::Mul(hn::Sub(g, m), hn::Set(d, c.join)));
    v = hn::Add(v, hn::Mul(hn::Sub(hn::Mul(g, g), v), hn::Set(d, c.join2)));
    w = hn::Sub(w, hn::Div(hn::Mul(m, hn::Set(d, c.learning_rate)),
                           hn::Add(hn::Sqrt(v), hn::Set(d, c.epsilon))));
  }
};

// x^power by libm, element by element: only for a learning_rate_power other than -0.5.
template <class D, class V>
HWY_NOINLINE V Power(D d, V x, float power) {
  HWY_ALIGN float lanes[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(x, d, lanes);
  for (size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = std::pow(lanes[i], power);
  return hn::Load(d, lanes);
}

struct FtrlRule {
  static constexpr int kSlots = 2;
  template <class D, class V>
  static HWY_INLINE void Apply(D d, const UpdateConstants& c, V g, V& w, V& accumulator,
                               V& linear) {
    const V rate = hn::Set(d, c.learning_rate);
    const V l1 = hn::Set(d, c.l1);
    const V sum = hn::Add(accumulator, hn::Mul(g, g));
    const V new_power = c.inverse_sqrt ? hn::Sqrt(sum) : Power(d, sum, c.power);
    const V old_power = c.inverse_sqrt ? hn::Sqrt(accumulator) : Power(d, accumulator, c.power);
    const V sigma = hn::Div(hn::Sub(new_power, old_power), rate);
    linear = hn::Add(linear, hn::Sub(g, hn::Mul(sigma, w)));
    const V quadratic = hn::Add(hn::Div(new_power, rate), hn::Set(d, 2.0f * c.l2));
    const V shrunk = hn::Div(hn::Sub(hn::CopySign(l1, linear), linear), quadratic);
    w = hn::IfThenElseZero(hn::Gt(hn::Abs(linear), l1), shrunk);
    accumulator = sum;
  }
};

struct RmsPropRule {
  static constexpr int kSlots = 2;
  template <class D, class V>
  static HWY_INLINE void Apply(D d, const UpdateConstants& c, V g, V& w, V& square, V& momentum) {
    square = hn::Add(square, hn::Mul(hn::Sub(hn::Mul(g, g), square), hn::Set(d, c.join)));
    const V step = hn::Div(hn::Mul(g, hn::Set(d, c.learning_rate)),
                           hn::Sqrt(hn::Add(square, hn::Set(d, c.epsilon))));
    momentum = hn::Add(hn::Mul(momentum, hn::Set(d, c.momentum)), step);
    w = hn::Sub(w, momentum);
  }
};

struct MovingAverageRule {
  static constexpr int kSlots = 0;
  template <class D, class V>
  static HWY_INLINE void Apply(D d, const UpdateConstants& c, V g, V& w, V&, V&) {
    w = hn::Add(w, hn::Mul(hn::Sub(g, w), hn::Set(d, c.join)));
  }
};

// The gradient that the rule sees: scale · sum, + sign(w)·l1 + w·l2.
template <bool kRegularized, class D, class V>
HWY_INLINE V FinishGradient(D d, const UpdateConstants& c, V sum, V w) {
  V g = hn::Mul(sum, hn::Set(d, c.gradient_scale));
  if constexpr (kRegularized) {
    const V l1 = hn::IfThenElseZero(hn::Ne(w, hn::Zero(d)), hn::CopySign(hn::Set(d, c.l1), w));
    g = hn::Add(g, hn::Add(l1, hn::Mul(w, hn::Set(d, c.l2))));
  }
  return g;
}

// As many whole vectors of `d` as there are from `i` on; returns where it stopped.
template <class Rule, bool kRegularized, class D>
HWY_INLINE int64_t UpdateVectors(D d, const UpdateConstants& c, int64_t i, int64_t count, float* w,
                                 float* s0, float* s1, const float* gradients) {
  using V = hn::Vec<D>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  for (; i + lanes <= count; i += lanes) {
    V weight = hn::LoadU(d, w + i);
    V slot0 = hn::Zero(d), slot1 = hn::Zero(d);
    if constexpr (Rule::kSlots > 0) slot0 = hn::LoadU(d, s0 + i);
    if constexpr (Rule::kSlots > 1) slot1 = hn::LoadU(d, s1 + i);
    const V g = FinishGradient<kRegularized>(d, c, hn::LoadU(d, gradients + i), weight);
    Rule::Apply(d, c, g, weight, slot0, slot1);
    hn::StoreU(weight, d, w + i);
    if constexpr (Rule::kSlots > 0) hn::StoreU(slot0, d, s0 + i);
    if constexpr (Rule::kSlots > 1) hn::StoreU(slot1, d, s1 + i);
  }
  return i;
}

template <class Rule, bool kRegularized>
struct Elementwise {
  static HWY_INLINE void Update(const UpdateConstants& c, int64_t count, float* w, float* s0,
                                float* s1, const float* g) {
    int64_t i = 0;
    const hn::CappedTag<float, 16> wide;
    const hn::CappedTag<float, 4> quarter;
    const hn::CappedTag<float, 1> one;
    i = UpdateVectors<Rule, kRegularized>(wide, c, i, count, w, s0, s1, g);
    if (i < count) i = UpdateVectors<Rule, kRegularized>(quarter, c, i, count, w, s0, s1, g);
    if (i < count) UpdateVectors<Rule, kRegularized>(one, c, i, count, w, s0, s1, g);
  }
};

// Row-wise Adagrad: s0[0] += mean of g², then Adagrad with that one accumulator. The mean is taken
// over 16 partial sums, element i in sum i mod 16, added pairwise: fixed for any vector width.
template <bool kRegularized>
struct RowWise {
  static HWY_INLINE void Update(const UpdateConstants& c, int64_t count, float* w, float* s0,
                                float*, const float* gradients) {
    const hn::CappedTag<float, 16> d;
    const hn::CappedTag<float, 1> one;
    const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
    HWY_ALIGN float sums[16] = {};
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
      const auto weight = hn::LoadU(d, w + i);
      const auto g = FinishGradient<kRegularized>(d, c, hn::LoadU(d, gradients + i), weight);
      float* const sum = sums + i % 16;
      hn::StoreU(hn::Add(hn::LoadU(d, sum), hn::Mul(g, g)), d, sum);
    }
    for (; i < count; ++i) {
      const auto weight = hn::LoadU(one, w + i);
      const auto g = FinishGradient<kRegularized>(one, c, hn::LoadU(one, gradients + i), weight);
      sums[i % 16] += hn::GetLane(hn::Mul(g, g));
    }
    for (int width = 8; width > 0; width /= 2) {
      for (int k = 0; k < width; ++k) sums[k] += sums[k + width];
    }
    s0[0] += sums[0] / static_cast<float>(count);
    UpdateConstants step = c;
    step.learning_rate = c.learning_rate / std::sqrt(s0[0]);
    Elementwise<SgdRule, kRegularized>::Update(step, count, w, nullptr, nullptr, gradients);
  }
};

// Calls body(Loop{}) with the loop of the rule: the one place that knows which rule is which.
template <bool kRegularized, class Body>
HWY_INLINE void WithRule(OptimizerKind kind, const Body& body) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return body(Elementwise<SgdRule, kRegularized>{});
    case OptimizerKind::kMomentum:
      return body(Elementwise<MomentumRule, kRegularized>{});
    case OptimizerKind::kAdagrad:
      return body(Elementwise<AdagradRule, kRegularized>{});
    case OptimizerKind::kAdadelta:
      return body(Elementwise<AdadeltaRule, kRegularized>{});
    case OptimizerKind::kAdam:
      return body(Elementwise<AdamRule, kRegularized>{});
    case OptimizerKind::kFtrl:
      return body(Elementwise<FtrlRule, false>{});
    case OptimizerKind::kRmsProp:
      return body(Elementwise<RmsPropRule, kRegularized>{});
    case OptimizerKind::kRowWiseAdagrad:
      return body(RowWise<kRegularized>{});
    case OptimizerKind::kMovingAverage:
      return body(Elementwise<MovingAverageRule, false>{});
  }
}

struct SpanBody {
  const UpdateConstants& c;
  int64_t count;
  float* weights;
  float* slot0;
  float* slot1;
  const float* gradients;
  template <class Loop>
  HWY_INLINE void operator()(Loop) const {
    Loop::Update(c, count, weights, slot0, slot1, gradients);
  }
};

struct RowsBody {
  const UpdateConstants& c;
  const RowsUpdate& u;
  template <class Loop>
  HWY_INLINE void operator()(Loop) const {
    for (int64_t i = 0; i < u.rows; ++i) {
      if (u.prefetch_bytes > 0 && i + u.prefetch_ahead < u.prefetch_rows) {
        const char* const next = u.row[i + u.prefetch_ahead];
        for (int at = 0; at < u.prefetch_bytes; at += 64) __builtin_prefetch(next + at, 1);
      }
      if (u.row[i] == nullptr) continue;
      float* const row = reinterpret_cast<float*>(u.row[i]);
      Loop::Update(c, u.dim, row + u.weights_offset, row + u.slot_offset[0], row + u.slot_offset[1],
                   u.gradients + i * u.gradient_stride);
    }
  }
};

void UpdateSpanHere(const UpdateConstants& c, int64_t count, float* weights, float* slot0,
                    float* slot1, const float* gradients) {
  const SpanBody body{c, count, weights, slot0, slot1, gradients};
  c.regularized ? WithRule<true>(c.kind, body) : WithRule<false>(c.kind, body);
}

void UpdateRowsHere(const UpdateConstants& c, const RowsUpdate& update) {
  const RowsBody body{c, update};
  c.regularized ? WithRule<true>(c.kind, body) : WithRule<false>(c.kind, body);
}

}  // namespace HWY_NAMESPACE
}  // namespace capstan
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace capstan {

HWY_EXPORT(UpdateSpanHere);
HWY_EXPORT(UpdateRowsHere);

void UpdateSpan(const UpdateConstants& constants, int64_t count, float* weights, float* slot0,
                float* slot1, const float* gradients) {
  HWY_DYNAMIC_DISPATCH(UpdateSpanHere)(constants, count, weights, slot0, slot1, gradients);
}

void UpdateRows(const UpdateConstants& constants, const RowsUpdate& update) {
  HWY_DYNAMIC_DISPATCH(UpdateRowsHere)(constants, update);
}

UpdateConstants MakeUpdateConstants(const OptimizerSpec& spec, const UpdateScalars& scalars) {
  UpdateConstants c;
  c.kind = spec.kind;
  c.gradient_scale = scalars.gradient_scale;
  c.learning_rate = scalars.learning_rate;
  c.l1 = spec.l1;
  c.l2 = spec.l2;
  c.regularized = spec.l1 != 0.0f || spec.l2 != 0.0f;
  c.epsilon = spec.epsilon;
  switch (spec.kind) {
    case OptimizerKind::kMomentum:
      c.keep = spec.momentum;
      c.nesterov = spec.nesterov;
      break;
    case OptimizerKind::kAdadelta:
      c.keep = spec.rho;
      if (c.epsilon == 0.0f) c.epsilon = 1e-8f;
      break;
    case OptimizerKind::kAdam:
      c.keep = spec.beta1;
      c.join2 = 1.0f - spec.beta2;
      if (c.epsilon == 0.0f) c.epsilon = 1e-8f;
      c.learning_rate = scalars.learning_rate * std::sqrt(1.0f - scalars.beta2_power) /
                        (1.0f - scalars.beta1_power);
      break;
    case OptimizerKind::kFtrl:
      c.inverse_sqrt = spec.learning_rate_power == -0.5f;
      c.power = -spec.learning_rate_power;
      break;
    case OptimizerKind::kRmsProp:
      c.keep = spec.decay;
      c.momentum = spec.rmsprop_momentum;
      if (c.epsilon == 0.0f) c.epsilon = 1e-10f;
      break;
    case OptimizerKind::kMovingAverage:
      c.keep = spec.decay;
      break;
    default:
      break;
  }
  c.join = 1.0f - c.keep;
  return c;
}

}  // namespace capstan
#endif  // HWY_ONCE
