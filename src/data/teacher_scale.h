// Turns scores into logits with a wanted positive rate and a wanted best AUC.
#pragma once

#include <vector>

namespace capstan {

// The scale and bias of logit = bias + scale × score.
struct TeacherScale {
  double scale = 1;
  double bias = 0;
};

// By bisection over a sample of scores with variance 1; the AUC is the one that is expected of the
// true probabilities.
TeacherScale FitTeacherScale(std::vector<double> scores, double positive_rate, double auc);

double Sigmoid(double x);

// Takes the mean away and divides by the standard deviation.
struct Standardiser {
  double mean = 0, stddev = 1;
  double operator()(double x) const { return (x - mean) / stddev; }
};
Standardiser MeasureSample(const std::vector<double>& sample);

}  // namespace capstan
