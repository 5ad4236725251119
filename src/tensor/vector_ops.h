// Elementwise loops and sums over matrices, by the widest instructions of the machine. A matrix is
// [rows, cols], row-major, with `stride` elements from row to row. "T" is float or Bfloat16; all
// arithmetic is in float. The same bits on AVX2 and AVX-512.
#pragma once

#include <cstdint>

#include "tensor/bfloat16.h"

namespace capstan {

void FloatsToBfloat16(const float* in, int64_t count, Bfloat16* out);
void Bfloat16ToFloats(const Bfloat16* in, int64_t count, float* out);

// y += a x
void Axpy(float a, const float* x, int64_t count, float* y);
// y += x
void AddTo(const float* x, int64_t count, float* y);
float Dot(const float* x, const float* y, int64_t count);

// x += bias [cols], for each row.
void AddBias(int rows, int cols, const float* bias, float* x, int stride);
// out = max(x, 0)
void Relu(int rows, int cols, const float* x, int stride, float* out, int out_stride);
void Relu(int rows, int cols, const float* x, int stride, Bfloat16* out, int out_stride);

// The backward step of y = max(x, 0) (and dropout): out = dy · scale where y > 0, else 0; sums
// [cols] = column sums of out before rounding, rows added in ascending order. `out` may be `dy`.
void ReluGradient(int rows, int cols, const float* dy, int dy_stride, const float* y, int y_stride,
                  float scale, float* out, int out_stride, float* sums);
void ReluGradient(int rows, int cols, const float* dy, int dy_stride, const float* y, int y_stride,
                  float scale, Bfloat16* out, int out_stride, float* sums);
void ReluGradient(int rows, int cols, const float* dy, int dy_stride, const Bfloat16* y,
                  int y_stride, float scale, float* out, int out_stride, float* sums);
void ReluGradient(int rows, int cols, const float* dy, int dy_stride, const Bfloat16* y,
                  int y_stride, float scale, Bfloat16* out, int out_stride, float* sums);

// sums [cols], overwritten; rows are added in ascending order.
void ColumnSums(int rows, int cols, const float* x, int stride, float* sums);

// In place: x = x · scale where the hash of (key, column) is at least `threshold`, else 0.
// P(drop) = threshold / 2^32.
void DropRow(uint32_t key, uint32_t threshold, float scale, int cols, float* x);
void DropRow(uint32_t key, uint32_t threshold, float scale, int cols, Bfloat16* x);

}  // namespace capstan
