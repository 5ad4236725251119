#include "tensor/gemm.h"

#include <dnnl.hpp>
#include <unordered_map>

// Of the OpenMP run-time library that oneDNN uses; its header is gcc's alone.
extern "C" void omp_set_num_threads(int threads);

namespace capstan {
namespace {

using dnnl::memory;

dnnl::engine MakeEngine() { return dnnl::engine(dnnl::engine::kind::cpu, 0); }

memory::data_type TypeOf(DType dtype) {
  return dtype == DType::kBfloat16 ? memory::data_type::bf16 : memory::data_type::f32;
}

// A [rows, cols] operand that is stored row-major, or transposed.
memory::desc Operand(int rows, int cols, bool transposed, int stride, DType dtype) {
  if (stride == 0) stride = transposed ? rows : cols;
  const memory::dims strides = transposed ? memory::dims{1, stride} : memory::dims{stride, 1};
  return memory::desc({rows, cols}, TypeOf(dtype), strides);
}

}  // namespace

struct Gemm::Primitive {
  explicit Primitive(const GemmShape& shape);

  dnnl::engine engine = MakeEngine();
  dnnl::stream stream{engine};
  dnnl::matmul matmul;
  memory a, b, c, bias, scratchpad;
  std::unordered_map<int, memory> arguments;
};

// Throws dnnl::error.
Gemm::Primitive::Primitive(const GemmShape& shape) {
  const memory::desc a_desc = Operand(shape.m, shape.k, shape.transpose_a, shape.lda, shape.input);
  const memory::desc b_desc = Operand(shape.k, shape.n, shape.transpose_b, shape.ldb, shape.input);
  const memory::desc c_desc = Operand(shape.m, shape.n, false, shape.ldc, shape.output);
  const memory::desc bias_desc({1, shape.n}, memory::data_type::f32, memory::format_tag::ab);

  dnnl::primitive_attr attributes;
  // The library's own scratchpad belongs to the thread that made the primitive.
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (shape.relu) {
    dnnl::post_ops post_ops;
    post_ops.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attributes.set_post_ops(post_ops);
  }
  const dnnl::matmul::desc desc = shape.bias ? dnnl::matmul::desc(a_desc, b_desc, bias_desc, c_desc)
                                             : dnnl::matmul::desc(a_desc, b_desc, c_desc);
  const dnnl::matmul::primitive_desc primitive_desc(desc, attributes, engine);
  matmul = dnnl::matmul(primitive_desc);

  a = memory(a_desc, engine, nullptr);
  b = memory(b_desc, engine, nullptr);
  c = memory(c_desc, engine, nullptr);
  scratchpad = memory(primitive_desc.scratchpad_desc(), engine);
  arguments = {{DNNL_ARG_SRC, a},
               {DNNL_ARG_WEIGHTS, b},
               {DNNL_ARG_DST, c},
               {DNNL_ARG_SCRATCHPAD, scratchpad}};
  if (shape.bias) {
    bias = memory(bias_desc, engine, nullptr);
    arguments.emplace(DNNL_ARG_BIAS, bias);
  }
}

Gemm::Gemm(const GemmShape& shape) : shape_(shape) {}
Gemm::~Gemm() = default;

StatusOr<std::unique_ptr<Gemm>> Gemm::Make(const GemmShape& shape) {
  omp_set_num_threads(1);  // The library plans for the threads that it sees now.
  std::unique_ptr<Gemm> gemm(new Gemm(shape));
  try {
    gemm->primitive_ = std::make_unique<Primitive>(shape);
  } catch (const dnnl::error& error) {
    return MakeStatus(absl::StatusCode::kUnimplemented,
                      fmt::format("make a product of [{},{}] and [{},{}] in {}: {}", shape.m,
                                  shape.k, shape.k, shape.n, NameOf(shape.input), error.message));
  }
  return gemm;
}

void Gemm::Run(const void* a, const void* b, void* c, const float* bias) {
  omp_set_num_threads(1);  // A setting of the calling thread.
  primitive_->a.set_data_handle(const_cast<void*>(a));
  primitive_->b.set_data_handle(const_cast<void*>(b));
  primitive_->c.set_data_handle(c);
  if (shape_.bias) primitive_->bias.set_data_handle(const_cast<float*>(bias));
  primitive_->matmul.execute(primitive_->stream, primitive_->arguments);
  primitive_->stream.wait();
}

}  // namespace capstan
