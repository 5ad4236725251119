#include "net/metrics.h"

#include <gtest/gtest.h>

#include <thread>

namespace capstan {
namespace {

bool Has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(MetricsTest, TextOfAllKinds) {
  MetricsRegistry metrics;
  Gauge rows = metrics.AddGauge("rows", "Rows held.", {{"table", "user"}});
  Counter out = metrics.AddCounter("bytes_total", "Bytes.", {{"way", "out"}});
  Counter in = metrics.AddCounter("bytes_total", "Bytes.", {{"way", "in"}});
  Histogram pull = metrics.AddHistogram("pull_seconds", "Pulls.", {0.1, 1});
  ASSERT_TRUE(metrics.status().ok()) << metrics.status();
  rows.Set(12);
  out.Add();
  out.Add(2.5);
  in.Add(4);
  pull.Observe(0.05);
  pull.Observe(0.5);
  pull.Observe(5);
  const std::string text = metrics.Text();
  EXPECT_TRUE(Has(text, "# TYPE bytes_total counter")) << text;
  EXPECT_TRUE(Has(text, "bytes_total{way=\"out\"} 3.5")) << text;
  EXPECT_TRUE(Has(text, "bytes_total{way=\"in\"} 4")) << text;
  EXPECT_TRUE(Has(text, "# HELP rows Rows held.")) << text;
  EXPECT_TRUE(Has(text, "rows{table=\"user\"} 12")) << text;
  EXPECT_TRUE(Has(text, "pull_seconds_bucket{le=\"0.1\"} 1")) << text;
  EXPECT_TRUE(Has(text, "pull_seconds_bucket{le=\"1\"} 2")) << text;
  EXPECT_TRUE(Has(text, "pull_seconds_bucket{le=\"+Inf\"} 3")) << text;
  EXPECT_LT(text.find("bytes_total"), text.find("pull_seconds"));
  EXPECT_LT(text.find("pull_seconds"), text.find("rows"));
}

TEST(MetricsTest, SameLabelsAreTheSameSeries) {
  MetricsRegistry metrics;
  metrics.AddCounter("steps_total", "Steps.").Add(1);
  metrics.AddCounter("steps_total", "Steps.").Add(1);
  EXPECT_TRUE(Has(metrics.Text(), "steps_total 2")) << metrics.Text();
}

TEST(MetricsTest, RefusedOnesCountNothing) {
  MetricsRegistry metrics;
  metrics.AddCounter("fine", "Fine.").Add();
  metrics.AddCounter("not fine", "A blank in the name.").Add();
  EXPECT_NE(Message(metrics.status()).find("'not fine'"), std::string::npos);
  metrics.AddGauge("fine", "Another kind.").Set(1);
  metrics.AddHistogram("falling", "Bounds.", {2, 1}).Observe(1);
  metrics.AddHistogram("equal", "Bounds.", {1, 1}).Observe(1);
  metrics.AddGauge("g", "A bad label.", {{"not fine", "x"}}).Set(1);
  EXPECT_TRUE(Has(metrics.Text(), "fine 1")) << metrics.Text();
  EXPECT_EQ(metrics.Text().find("falling_"), std::string::npos);
}

TEST(MetricsTest, HandlesOfNoRegistry) {
  Counter().Add();
  Gauge().Set(1);
  Histogram().Observe(1);
}

TEST(MetricsTest, ManyThreads) {
  MetricsRegistry metrics;
  Counter counter = metrics.AddCounter("n_total", "N.");
  Histogram histogram = metrics.AddHistogram("h", "H.", LatencyBounds());
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 1000; ++k) {
        counter.Add();
        histogram.Observe(0.001 * k);
        if (k % 100 == 0) metrics.AddGauge("g", "G.", {{"i", std::to_string(i)}}).Set(k);
        if (k % 250 == 0) metrics.Text();
      }
    });
  }
  threads.clear();
  EXPECT_TRUE(Has(metrics.Text(), "n_total 4000")) << metrics.Text();
  EXPECT_TRUE(Has(metrics.Text(), "h_count 4000")) << metrics.Text();
}

}  // namespace
}  // namespace capstan
