#include "net/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <exception>

namespace capstan {

void Counter::Add(double amount) {
  if (counter_ != nullptr) counter_->Increment(amount);
}

void Gauge::Set(double value) {
  if (gauge_ != nullptr) gauge_->Set(value);
}

void Histogram::Observe(double value) {
  if (histogram_ != nullptr) histogram_->Observe(value);
}

MetricsRegistry::MetricsRegistry() : registry_(std::make_unique<prometheus::Registry>()) {}
MetricsRegistry::~MetricsRegistry() = default;

// The one place where prometheus-cpp's exceptions become a status.
template <typename Add>
auto MetricsRegistry::Checked(const std::string& name, const Add& add) -> decltype(add()) {
  try {
    return add();
  } catch (const std::exception& error) {
    MutexLock lock(&mutex_);
    if (status_.ok()) status_ = Error("metric '{}': {}", name, error.what());
    return nullptr;
  }
}

Counter MetricsRegistry::AddCounter(const std::string& name, const std::string& description,
                                    const Labels& labels) {
  return Counter(Checked(name, [&] {
    return &prometheus::BuildCounter()
                .Name(name)
                .Help(description)
                .Register(*registry_)
                .Add(labels);
  }));
}

Gauge MetricsRegistry::AddGauge(const std::string& name, const std::string& description,
                                const Labels& labels) {
  return Gauge(Checked(name, [&] {
    return &prometheus::BuildGauge().Name(name).Help(description).Register(*registry_).Add(labels);
  }));
}

Histogram MetricsRegistry::AddHistogram(const std::string& name, const std::string& description,
                                        const std::vector<double>& bounds, const Labels& labels) {
  return Histogram(Checked(name, [&]() -> prometheus::Histogram* {
    if (!std::is_sorted(bounds.begin(), bounds.end(), std::less_equal<>())) {
      throw std::invalid_argument("bounds do not ascend");
    }
    return &prometheus::BuildHistogram()
                .Name(name)
                .Help(description)
                .Register(*registry_)
                .Add(labels, bounds);
  }));
}

Status MetricsRegistry::status() const {
  MutexLock lock(&mutex_);
  return status_;
}

std::string MetricsRegistry::Text() const {
  auto families = registry_->Collect();
  std::sort(families.begin(), families.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return prometheus::TextSerializer().Serialize(families);
}

std::vector<double> LatencyBounds() {
  return {1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50};
}

}  // namespace capstan
