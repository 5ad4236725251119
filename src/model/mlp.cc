#include "model/mlp.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "tensor/batch_norm.h"
#include "tensor/vector_ops.h"

namespace capstan {

Mlp::Mlp(const MlpSpec& spec, int inputs, const std::vector<std::string>& scopes, int outputs,
         const std::string& output_scope, int number, DenseBuilder* builder)
    : spec_(spec), inputs_(inputs), number_(number) {
  const auto add = [&](const std::string& scope, MlpLayer layer) {
    layer.weights = builder->AddWeights(scope, layer.in, layer.out);
    layer.biases = builder->AddBiases(scope, layer.out);
    if (layer.batch_norm) {
      layer.scale = builder->AddScale(scope, layer.out);
      layer.shift = builder->AddShift(scope, layer.out);
      layer.moving_mean = builder->AddMovingMean(scope, layer.out, spec.bn_decay);
      layer.moving_variance = builder->AddMovingVariance(scope, layer.out, spec.bn_decay);
    }
    layers_.push_back(layer);
  };
  int width = inputs;
  for (size_t i = 0; i < spec.hidden.size(); ++i) {
    const bool last = i + 1 == spec.hidden.size();
    add(scopes[i], {.in = width,
                    .out = spec.hidden[i],
                    .batch_norm = spec.batch_norm,
                    .relu = true,
                    .dropout = spec.dropout > 0 && (last || !spec.dropout_last_only)});
    width = spec.hidden[i];
  }
  if (outputs > 0) {
    add(output_scope, {.in = width, .out = outputs, .batch_norm = spec.batch_norm_output});
  }
}

// Memory and products of one layer.
struct MlpRun::Layer {
  const MlpLayer* spec = nullptr;
  MlpInput input;
  int stride = 0;  // of z and act, and of dy
  bool last = false;
  bool wants_dx = false;
  int first_gradient = 0;

  AlignedVector<float> z;                // batch norm: the product, then normalised
  AlignedVector<float> act;              // fp32, unless last: then it is the output
  AlignedVector<Bfloat16> half_act;      // bf16, unless last
  AlignedVector<Bfloat16> half_weights;  // [lead + in, out]
  std::vector<float> inverse_stddev, mean, variance;
  std::unique_ptr<Gemm> forward, weight_gradient, input_gradient;
};

MlpRun::MlpRun(const Mlp& mlp, const std::vector<DenseSpec>& variables, Precision precision,
               int max_rows, int output_stride)
    : mlp_(mlp),
      variables_(variables),
      precision_(precision),
      max_rows_(max_rows),
      output_stride_(output_stride) {}

MlpRun::~MlpRun() = default;

StatusOr<std::unique_ptr<MlpRun>> MlpRun::Make(const Mlp& mlp,
                                               const std::vector<DenseSpec>& variables,
                                               Precision precision, int max_rows, MlpInput input,
                                               int output_stride, int first_gradient,
                                               int gradient_stride) {
  std::unique_ptr<MlpRun> run(new MlpRun(mlp, variables, precision, max_rows, output_stride));
  int widest = output_stride;
  for (size_t i = 0; i < mlp.layers().size(); ++i) {
    const bool first = i == 0;
    RETURN_IF_ERROR(run->MakeLayer(static_cast<int>(i), input, first ? first_gradient : 0,
                                   first ? gradient_stride : input.stride));
    input = {.lead = 0, .stride = run->layers_.back()->stride};
    widest = std::max(widest, input.stride);
  }
  const size_t count = static_cast<size_t>(max_rows) * widest;
  run->scratch_.resize(count);
  run->sums_.resize(widest);
  for (AlignedVector<float>& gradients : run->gradients_) gradients.resize(count);
  if (precision == Precision::kBf16) run->half_gradient_.resize(count);
  return run;
}

Status MlpRun::MakeLayer(int number, MlpInput input, int first_gradient, int gradient_stride) {
  auto layer = std::make_unique<Layer>();
  const MlpLayer& spec = mlp_.layers()[number];
  layer->spec = &spec;
  layer->input = input;
  layer->last = number + 1 == static_cast<int>(mlp_.layers().size());
  layer->stride = layer->last ? output_stride_ : PaddedWidth(spec.out);
  layer->first_gradient = first_gradient;
  layer->wants_dx = first_gradient < spec.in;

  const size_t count = static_cast<size_t>(max_rows_) * layer->stride;
  if (spec.batch_norm) {
    layer->z.resize(count);
    for (auto* moments : {&layer->inverse_stddev, &layer->mean, &layer->variance}) {
      moments->resize(spec.out);
    }
  }
  if (!layer->last && half()) layer->half_act.resize(count);
  if (!layer->last && !half()) layer->act.resize(count);
  // The leading zeros of x take part in bfloat16, whose tiles want aligned rows.
  const int lead = half() ? input.lead : 0;
  if (half()) layer->half_weights.resize(static_cast<size_t>(lead + spec.in) * spec.out);

  const DType type = half() ? DType::kBfloat16 : DType::kFloat;
  GemmShape forward{.m = max_rows_, .n = spec.out, .k = lead + spec.in, .lda = input.stride};
  forward.ldc = layer->stride;
  forward.input = type;
  forward.output = layer->last || spec.batch_norm ? DType::kFloat : type;
  forward.bias = true;
  forward.relu = spec.relu && !spec.batch_norm;
  ASSIGN_OR_RETURN(layer->forward, Gemm::Make(forward));

  GemmShape weights{.m = spec.in, .n = spec.out, .k = max_rows_, .transpose_a = true};
  weights.lda = input.stride;
  weights.ldb = layer->stride;
  weights.input = type;
  ASSIGN_OR_RETURN(layer->weight_gradient, Gemm::Make(weights));

  if (layer->wants_dx) {
    GemmShape dx{.m = max_rows_, .n = spec.in - first_gradient, .k = spec.out};
    dx.transpose_b = true;
    dx.lda = layer->stride;
    dx.ldc = gradient_stride;
    dx.input = type;
    ASSIGN_OR_RETURN(layer->input_gradient, Gemm::Make(dx));
  }
  layers_.push_back(std::move(layer));
  return OkStatus();
}

void MlpRun::ConvertWeights(const MlpCall& call) {
  if (!half() || (call.dense_version != 0 && call.dense_version == converted_version_)) return;
  converted_version_ = call.dense_version;
  for (const auto& layer : layers_) {
    const int64_t count = static_cast<int64_t>(layer->spec->in) * layer->spec->out;
    FloatsToBfloat16(call.dense + OffsetOf(layer->spec->weights), count,
                     layer->half_weights.data() + (layer->half_weights.size() - count));
  }
}

void MlpRun::Forward(const MlpCall& call, const void* x, float* output) {
  ConvertWeights(call);
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = *layers_[i];
    const MlpLayer& spec = *layer.spec;
    void* act = layer.last ? output
                : half()   ? static_cast<void*>(layer.half_act.data())
                           : layer.act.data();
    void* product = spec.batch_norm ? layer.z.data() : act;
    const float* bias = call.dense + OffsetOf(spec.biases);
    if (half()) {
      layer.forward->Run(x, layer.half_weights.data(), product, bias);
    } else {
      layer.forward->Run(static_cast<const float*>(x) + layer.input.lead,
                         call.dense + OffsetOf(spec.weights), product, bias);
    }
    if (spec.batch_norm) NormaliseLayer(call, &layer, output);
    if (spec.dropout && call.training) Drop(call, static_cast<int>(i), &layer, output);
    x = act;
  }
}

void MlpRun::NormaliseLayer(const MlpCall& call, Layer* layer, float* output) {
  const MlpLayer& spec = *layer->spec;
  const int stride = layer->stride;
  const float* mean = layer->mean.data();
  const float* variance = layer->variance.data();
  if (call.training) {
    ColumnMoments(call.rows, spec.out, layer->z.data(), stride, layer->mean.data(),
                  layer->variance.data());
  } else {
    mean = call.dense + OffsetOf(spec.moving_mean);
    variance = call.dense + OffsetOf(spec.moving_variance);
  }
  for (int c = 0; c < spec.out; ++c) {
    layer->inverse_stddev[c] = 1.0f / std::sqrt(variance[c] + mlp_.spec().bn_epsilon);
  }
  Normalise(call.rows, spec.out, mean, layer->inverse_stddev.data(), layer->z.data(), stride);
  const float* scale = call.dense + OffsetOf(spec.scale);
  const float* shift = call.dense + OffsetOf(spec.shift);
  const size_t used = static_cast<size_t>(call.rows) * stride;
  const size_t rest = static_cast<size_t>(max_rows_) * stride - used;
  if (half() && !layer->last) {
    ScaleAndShift(call.rows, spec.out, layer->z.data(), stride, scale, shift, scratch_.data(),
                  stride);
    Relu(call.rows, spec.out, scratch_.data(), stride, layer->half_act.data(), stride);
    std::fill_n(layer->half_act.data() + used, rest, 0);
    return;
  }
  float* act = layer->last ? output : layer->act.data();
  ScaleAndShift(call.rows, spec.out, layer->z.data(), stride, scale, shift, act, stride);
  if (spec.relu) Relu(call.rows, spec.out, act, stride, act, stride);
  std::fill_n(act + used, rest, 0.0f);
}

void MlpRun::Drop(const MlpCall& call, int number, Layer* layer, float* output) {
  const float probability = mlp_.spec().dropout;
  const auto threshold = static_cast<uint32_t>(static_cast<double>(probability) * 0x1p32);
  const float scale = 1.0f / (1.0f - probability);
  const uint64_t key = MixBits(call.seed, static_cast<uint64_t>(call.step),
                               static_cast<uint64_t>(mlp_.number()) << 32 | number);
  float* act = layer->last ? output : layer->act.data();
  for (int row = 0; row < call.rows; ++row) {
    const auto row_key =
        static_cast<uint32_t>(MixBits(key, static_cast<uint64_t>(call.first_example + row)));
    const size_t at = static_cast<size_t>(row) * layer->stride;
    if (half() && !layer->last) {
      DropRow(row_key, threshold, scale, layer->spec->out, layer->half_act.data() + at);
    } else {
      DropRow(row_key, threshold, scale, layer->spec->out, act + at);
    }
  }
}

// dy → gradient before ReLU and dropout: in place where keep_float or fp32, else in half_gradient_.
void MlpRun::ReluBackward(const MlpCall& call, const Layer& layer, const float* output, float* dy,
                          bool keep_float, float* sums) {
  const int stride = layer.stride, out = layer.spec->out;
  const float scale =
      layer.spec->dropout && call.training ? 1.0f / (1.0f - mlp_.spec().dropout) : 1.0f;
  const auto backward = [&](const auto* y, auto* to) {
    ReluGradient(call.rows, out, dy, stride, y, stride, scale, to, stride, sums);
  };
  const bool to_float = keep_float || !half();
  if (half() && !layer.last) {
    const Bfloat16* y = layer.half_act.data();
    to_float ? backward(y, dy) : backward(y, half_gradient_.data());
  } else {
    const float* y = layer.last ? output : layer.act.data();
    to_float ? backward(y, dy) : backward(y, half_gradient_.data());
  }
}

// dy → gradient of the product, ready for the products of Backward; gradients of all variables but
// the weights.
const void* MlpRun::LayerBackward(const MlpCall& call, Layer* layer, const float* output, float* dy,
                                  float statistics_weight, float* dense_gradient) {
  const MlpLayer& spec = *layer->spec;
  const int stride = layer->stride, out = spec.out;
  float* dbias = dense_gradient + OffsetOf(spec.biases);
  if (spec.relu) {
    ReluBackward(call, *layer, output, dy, spec.batch_norm, spec.batch_norm ? sums_.data() : dbias);
  }
  if (spec.batch_norm) {
    BatchNormGradient(call.rows, out, layer->z.data(), stride, call.dense + OffsetOf(spec.scale),
                      layer->inverse_stddev.data(), dy, stride,
                      dense_gradient + OffsetOf(spec.scale), dense_gradient + OffsetOf(spec.shift));
    for (int c = 0; c < out; ++c) {
      dense_gradient[OffsetOf(spec.moving_mean) + c] = layer->mean[c] * statistics_weight;
      dense_gradient[OffsetOf(spec.moving_variance) + c] = layer->variance[c] * statistics_weight;
    }
  }
  const size_t used = static_cast<size_t>(call.rows) * stride;
  const size_t rest = static_cast<size_t>(max_rows_) * stride - used;
  if (spec.batch_norm || !spec.relu) {
    ColumnSums(call.rows, out, dy, stride, dbias);
    if (half()) FloatsToBfloat16(dy, static_cast<int64_t>(used), half_gradient_.data());
  }
  // Rows that are not there add nothing to sums over rows.
  if (half()) {
    std::fill_n(half_gradient_.data() + used, rest, 0);
    return half_gradient_.data();
  }
  std::fill_n(dy + used, rest, 0.0f);
  return dy;
}

void MlpRun::Backward(const MlpCall& call, const void* x, const float* output, float* doutput,
                      float statistics_weight, float* dense_gradient, float* dx) {
  float* dy = doutput;
  for (int i = static_cast<int>(layers_.size()) - 1; i >= 0; --i) {
    Layer& layer = *layers_[i];
    const MlpLayer& spec = *layer.spec;
    const void* dz = LayerBackward(call, &layer, output, dy, statistics_weight, dense_gradient);
    float* dweights = dense_gradient + OffsetOf(spec.weights);
    const int lead = layer.input.lead;
    const void* from = x;
    if (i > 0) {
      const Layer& below = *layers_[i - 1];
      from = half() ? static_cast<const void*>(below.half_act.data()) : below.act.data();
    }
    from = half() ? static_cast<const void*>(static_cast<const Bfloat16*>(from) + lead)
                  : static_cast<const float*>(from) + lead;
    layer.weight_gradient->Run(from, dz, dweights);
    if (!layer.wants_dx) continue;
    float* below_dy = i > 0 ? gradients_[i % 2].data() : dx;
    const int64_t skipped = static_cast<int64_t>(layer.first_gradient) * spec.out;
    if (half()) {
      layer.input_gradient->Run(dz, layer.half_weights.data() + lead * spec.out + skipped,
                                below_dy);
    } else {
      layer.input_gradient->Run(dz, call.dense + OffsetOf(spec.weights) + skipped, below_dy);
    }
    dy = below_dy;
  }
}

}  // namespace capstan
