// Metrics of a task in Prometheus' text form, read from wherever they are counted and written down
// when somebody asks.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "base/latency_histogram.h"

namespace capstan {

// Each call adds one time series: the same name with other labels is another one, of the same kind.
// Names and labels are constants of ours and fit Prometheus' rules; values of labels may be any
// text. One thread.
class MetricsPage {
 public:
  using Labels = std::map<std::string, std::string>;

  MetricsPage();
  ~MetricsPage();

  // Never falls while the task lives. `name` ends in "_total".
  void Counter(const std::string& name, const std::string& help, double value,
               const Labels& labels = {});
  void Gauge(const std::string& name, const std::string& help, double value,
             const Labels& labels = {});
  // `name` ends in "_seconds".
  void Histogram(const std::string& name, const std::string& help, const LatencyHistogram& times,
                 const Labels& labels = {});

  // Text exposition format 0.0.4; families by name.
  std::string Text() const;

 private:
  struct Rep;
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
