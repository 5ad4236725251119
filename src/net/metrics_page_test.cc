#include "net/metrics_page.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

bool Has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(MetricsPageTest, TextOfAllKinds) {
  LatencyHistogram pulls;
  pulls.Add(std::chrono::microseconds(50));
  pulls.Add(std::chrono::milliseconds(1));
  pulls.Add(std::chrono::seconds(60));
  MetricsPage page;
  page.Gauge("rows", "Rows held.", 12, {{"table", "user"}});
  page.Gauge("rows", "Rows held.", 3'000'000'000, {{"table", "item"}});
  page.Counter("bytes_total", "Bytes.", 3.5, {{"way", "out"}});
  page.Histogram("pull_seconds", "Pulls.", pulls);
  const std::string text = page.Text();
  EXPECT_TRUE(Has(text, "# TYPE bytes_total counter")) << text;
  EXPECT_TRUE(Has(text, "bytes_total{way=\"out\"} 3.5")) << text;
  EXPECT_TRUE(Has(text, "# HELP rows Rows held.")) << text;
  EXPECT_TRUE(Has(text, "# TYPE rows gauge")) << text;
  EXPECT_TRUE(Has(text, "rows{table=\"user\"} 12")) << text;
  EXPECT_TRUE(Has(text, "rows{table=\"item\"} 3000000000")) << text;
  EXPECT_TRUE(Has(text, "pull_seconds_bucket{le=\"0.0001\"} 1")) << text;
  EXPECT_TRUE(Has(text, "pull_seconds_bucket{le=\"0.001\"} 2")) << text;
  EXPECT_TRUE(Has(text, "pull_seconds_bucket{le=\"10\"} 2")) << text;
  EXPECT_TRUE(Has(text, "pull_seconds_bucket{le=\"+Inf\"} 3")) << text;
  EXPECT_TRUE(Has(text, "pull_seconds_count 3")) << text;
  EXPECT_EQ(text.find("# TYPE rows"), text.rfind("# TYPE rows"));
  EXPECT_EQ(text.find("+Inf"), text.rfind("+Inf"));
  EXPECT_LT(text.find("bytes_total"), text.find("pull_seconds"));
  EXPECT_LT(text.find("pull_seconds"), text.find("rows"));
}

TEST(MetricsPageTest, LabelsOfAnyText) {
  MetricsPage page;
  page.Gauge("rows", "Rows.", 1, {{"table", "a\"b\\c\nd"}});
  EXPECT_TRUE(Has(page.Text(), "rows{table=\"a\\\"b\\\\c\\nd\"} 1")) << page.Text();
}

TEST(MetricsPageTest, Empty) { EXPECT_EQ(MetricsPage().Text(), ""); }

}  // namespace
}  // namespace capstan
