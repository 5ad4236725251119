#include "net/metrics_page.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <vector>

namespace capstan {

struct MetricsPage::Rep {
  std::map<std::string, prometheus::MetricFamily> families;

  prometheus::ClientMetric* Add(const std::string& name, const std::string& help,
                                prometheus::MetricType type, const Labels& labels) {
    prometheus::MetricFamily& family = families[name];
    family.name = name;
    family.help = help;
    family.type = type;
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    for (const auto& [label, value] : labels) {
      metric.label.emplace_back().name = label;
      metric.label.back().value = value;
    }
    return &metric;
  }
};

MetricsPage::MetricsPage() : rep_(std::make_unique<Rep>()) {}
MetricsPage::~MetricsPage() = default;

void MetricsPage::Counter(const std::string& name, const std::string& help, double value,
                          const Labels& labels) {
  rep_->Add(name, help, prometheus::MetricType::Counter, labels)->counter.value = value;
}

void MetricsPage::Gauge(const std::string& name, const std::string& help, double value,
                        const Labels& labels) {
  rep_->Add(name, help, prometheus::MetricType::Gauge, labels)->gauge.value = value;
}

void MetricsPage::Histogram(const std::string& name, const std::string& help,
                            const LatencyHistogram& times, const Labels& labels) {
  auto& histogram = rep_->Add(name, help, prometheus::MetricType::Histogram, labels)->histogram;
  histogram.sample_sum = times.sum_seconds;
  uint64_t upto = 0;
  for (size_t i = 0; i < times.counts.size(); ++i) {
    upto += static_cast<uint64_t>(times.counts[i]);
    auto& bucket = histogram.bucket.emplace_back();
    bucket.cumulative_count = upto;
    bucket.upper_bound = i < LatencyHistogram::kBounds.size()
                             ? LatencyHistogram::kBounds[i]
                             : std::numeric_limits<double>::infinity();
  }
  histogram.sample_count = upto;
}

std::string MetricsPage::Text() const {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& [name, family] : rep_->families) families.push_back(family);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace capstan
