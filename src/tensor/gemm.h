// Matrix products of fixed shapes, made once and run often (oneDNN). A product runs on the calling
// thread alone, and gives the same bits for the same inputs on one instruction set.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "tensor/dtype.h"

namespace capstan {

// C [m, n] = op(A) op(B) (+ bias [n]) (then ReLU), all row-major; op(A) is [m, k], op(B) is [k, n].
struct GemmShape {
  int m = 0, n = 0, k = 0;
  bool transpose_a = false;  // A is stored [k, m]
  bool transpose_b = false;  // B is stored [n, k]
  // Elements from row to row as stored; 0: the rows lie together.
  int lda = 0, ldb = 0, ldc = 0;
  DType input = DType::kFloat;   // of A and B: kFloat or kBfloat16
  DType output = DType::kFloat;  // of C; bfloat16 only with such inputs
  bool bias = false, relu = false;
};

class Gemm {
 public:
  // Costs milliseconds. kUnimplemented when this machine has no such product (bfloat16 needs
  // AVX-512).
  static StatusOr<std::unique_ptr<Gemm>> Make(const GemmShape& shape);
  ~Gemm();
  Gemm(const Gemm&) = delete;
  Gemm& operator=(const Gemm&) = delete;

  const GemmShape& shape() const { return shape_; }

  // Not thread-safe: one Gemm per thread. C must not overlap A or B. `bias` iff the shape has one.
  void Run(const void* a, const void* b, void* c, const float* bias = nullptr);

 private:
  struct Primitive;
  explicit Gemm(const GemmShape& shape);

  const GemmShape shape_;
  std::unique_ptr<Primitive> primitive_;
};

}  // namespace capstan
