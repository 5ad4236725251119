// Batch normalisation over the columns of a matrix (arXiv:1502.03167). x is [rows, cols],
// row-major, with `stride` floats from row to row; per-column arrays are [cols]. The same bits on
// AVX2 and AVX-512: sums run down the columns.
#pragma once

namespace capstan {

// mean and (biased) variance of each column.
void ColumnMoments(int rows, int cols, const float* x, int stride, float* mean, float* variance);

// In place: x = (x − mean) · inverse_stddev. `mean` and `inverse_stddev` by column.
void Normalise(int rows, int cols, const float* mean, const float* inverse_stddev, float* x,
               int stride);
// y = x · scale + shift.
void ScaleAndShift(int rows, int cols, const float* x, int stride, const float* scale,
                   const float* shift, float* y, int y_stride);

// The backward step of y = x̂ · scale + shift where x̂ normalises x by its own moments. In place dy
// → dx; dscale = Σ dy x̂, dshift = Σ dy.
void BatchNormGradient(int rows, int cols, const float* normalised, int stride, const float* scale,
                       const float* inverse_stddev, float* dy, int dy_stride, float* dscale,
                       float* dshift);

}  // namespace capstan
