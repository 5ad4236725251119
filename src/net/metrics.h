// Metrics of a task in Prometheus' text form. A handle that was not made by a registry counts
// nothing, so that code need not ask whether metrics are on.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace capstan {

// Handles are copied freely, may be used from any thread, and must not outlive their registry.

class Counter {
 public:
  Counter() = default;
  void Add(double amount = 1);  // not negative

 private:
  friend class MetricsRegistry;
  explicit Counter(prometheus::Counter* counter) : counter_(counter) {}
  prometheus::Counter* counter_ = nullptr;
};

class Gauge {
 public:
  Gauge() = default;
  void Set(double value);

 private:
  friend class MetricsRegistry;
  explicit Gauge(prometheus::Gauge* gauge) : gauge_(gauge) {}
  prometheus::Gauge* gauge_ = nullptr;
};

class Histogram {
 public:
  Histogram() = default;
  void Observe(double value);

 private:
  friend class MetricsRegistry;
  explicit Histogram(prometheus::Histogram* histogram) : histogram_(histogram) {}
  prometheus::Histogram* histogram_ = nullptr;
};

// Thread-safe.
class MetricsRegistry {
 public:
  using Labels = std::map<std::string, std::string>;

  MetricsRegistry();
  ~MetricsRegistry();

  // One time series of the family `name` ("capstan_pull_seconds"); the same name with other labels
  // is another series, the same labels give the same series again. A family has one kind.
  Counter AddCounter(const std::string& name, const std::string& description,
                     const Labels& labels = {});
  Gauge AddGauge(const std::string& name, const std::string& description,
                 const Labels& labels = {});
  // `bounds`: upper bounds of the buckets, ascending; the last bucket has no bound.
  Histogram AddHistogram(const std::string& name, const std::string& description,
                         const std::vector<double>& bounds, const Labels& labels = {});

  // The first Add that was refused (a name that Prometheus does not allow, two kinds of one name,
  // bounds that do not ascend); its handle counts nothing.
  Status status() const EXCLUDES(mutex_);

  // Text exposition format 0.0.4; families by name.
  std::string Text() const;

 private:
  template <typename Add>
  auto Checked(const std::string& name, const Add& add) -> decltype(add());

  const std::unique_ptr<prometheus::Registry> registry_;
  mutable Mutex mutex_;
  Status status_ GUARDED_BY(mutex_);
};

// Upper bounds for latencies in seconds: 0.1 ms to 50 s, three a decade.
std::vector<double> LatencyBounds();

}  // namespace capstan
