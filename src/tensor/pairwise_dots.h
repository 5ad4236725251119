// Dot products of all pairs of an example's vectors: the interaction of DLRM (arXiv:1906.00091),
// and the second order of a factorisation machine.
#pragma once

#include <cstdint>
#include <vector>

namespace capstan {

// Pairs of `count` vectors: (1,0), (2,0), (2,1), (3,0), ….
inline int PairCount(int count) { return count * (count - 1) / 2; }

// Works on one example's vectors v [count, dim]. Not thread-safe: it has scratch memory.
class PairwiseDots {
 public:
  PairwiseDots(int count, int dim);

  // dots [PairCount] = v_i · v_j.
  void Forward(const float* v, float* dots);
  // dv [count, dim] = Σ_j ddots_ij v_j, overwritten.
  void Backward(const float* v, const float* ddots, float* dv);

 private:
  const int count_, dim_;
  std::vector<float> transposed_;  // forward: [dim, stride]; backward: [count, count]
  std::vector<float> line_;
};

// ½ Σ_d ((Σ_i v_id)² − Σ_i v_id²) over all pairs i < j of v [count, dim]: the sum of their dot
// products. `sum` [dim] receives Σ_i v_i, whose difference to v_i is the gradient by v_i.
float SumOfPairwiseDots(const float* v, int count, int dim, float* sum);
// dv [count, dim] += scale (sum − v).
void AddPairwiseGradient(const float* v, const float* sum, int count, int dim, float scale,
                         float* dv);

}  // namespace capstan
