// Rows of tables that lie anywhere in memory: read into matrices, and added up into rows.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/bfloat16.h"

namespace capstan {

// The values of one categorical feature in some examples, as pointers to rows. A null row stands
// for zeros.
struct RowReader {
  const float* const* rows = nullptr;  // [distinct]
  const uint32_t* index = nullptr;     // [values], into rows
  int offset = 0;                      // floats from a row's start to the vector that is read
  int dim = 0;                         // of that vector
};

// out[i, 0:dim] = the vector of value i, for i in [0, count). Prefetches.
void GatherRows(const RowReader& reader, int count, float* out, int stride);
void GatherRows(const RowReader& reader, int count, Bfloat16* out, int stride);

// out[i, 0:dim] += the vector of value i: made for dims of a few.
void AddRows(const RowReader& reader, int count, float* out, int stride);

// Example i has the values offsets[i] … offsets[i+1]-1 (offsets may be null: value i). out[i,
// 0:dim] += Σ coefficient × vector. `coefficients` of these values, from the first on, or null:
// all 1.
void PoolRows(const RowReader& reader, const uint32_t* offsets, const float* coefficients,
              int count, float* out, int stride);

// targets[i][0:dim] += coefficients[i] × sources[i][0:dim], in ascending order of i; targets may be
// equal. `coefficients` may be empty: all 1.
void AddToRows(std::span<float* const> targets, std::span<const float* const> sources,
               std::span<const float> coefficients, int dim);

// targets[i][0:dim] += source[i, 0:dim], in ascending order of i, for rows of `stride` floats.
void AddMatrixToRows(std::span<float* const> targets, const float* source, int stride, int dim);

// Rows of `dim` floats: to[row] += from[row], then from[row] = 0, for each of `rows`.
void DrainRows(std::span<const uint32_t> rows, int dim, float* from, float* to);

}  // namespace capstan
