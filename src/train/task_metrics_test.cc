#include "train/task_metrics.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>

namespace capstan {
namespace {

bool Has(const MetricsPage& page, const std::string& line) {
  return ("\n" + page.Text()).find("\n" + line + "\n") != std::string::npos;
}

ClusterChief::Statistics ChiefStatistics() {
  ClusterChief::Statistics chief;
  chief.generation = 3;
  chief.leases = {.free = 5, .granted = 3, .late = 1, .done = 70};
  chief.workers = {{.seen = true, .examples = 100, .restarts = 2},
                   {.seen = true, .lost = true},
                   {.seen = true, .lost = true, .left = true},
                   {}};
  chief.validation_step = 40;
  chief.validation.auc = 0.75;
  return chief;
}

void AddAll(MetricsPage* page) {
  ClusterSpec spec;
  spec.ps = {"a:1"};
  spec.workers = {"b:1"};
  AddTaskMetrics(spec, {.used_bytes = 1, .limit_bytes = 2}, page);
  AddServerMetrics({.tables = {{.name = "C1", .rows = 7, .memory_bytes = 99}}}, page);
  AddChiefMetrics(ChiefStatistics(), page);
}

TEST(TaskMetricsTest, OfAServer) {
  MetricsPage page;
  AddServerMetrics({.pulls = 3, .tables = {{.name = "C1", .rows = 7, .memory_bytes = 99}}}, &page);
  EXPECT_TRUE(Has(page, "capstan_pulls_total 3")) << page.Text();
  EXPECT_TRUE(Has(page, "capstan_table_rows{table=\"C1\"} 7")) << page.Text();
  EXPECT_TRUE(Has(page, "capstan_table_bytes{table=\"C1\"} 99")) << page.Text();
  EXPECT_TRUE(Has(page, "capstan_pull_seconds_count 0")) << page.Text();
}

TEST(TaskMetricsTest, OfAChief) {
  MetricsPage page;
  AddChiefMetrics(ChiefStatistics(), &page);
  EXPECT_TRUE(Has(page, "capstan_rollbacks_total 2")) << page.Text();
  EXPECT_TRUE(Has(page, "capstan_leases{state=\"granted\"} 3")) << page.Text();
  EXPECT_TRUE(Has(page, "capstan_leases{state=\"late\"} 1")) << page.Text();
  EXPECT_TRUE(Has(page, "capstan_leases_done_total 70")) << page.Text();
  for (const char* state : {"present", "lost", "left", "missing"}) {
    EXPECT_TRUE(Has(page, fmt::format("capstan_workers{{state=\"{}\"}} 1", state))) << page.Text();
  }
  EXPECT_TRUE(Has(page, "capstan_worker_restarts_total{worker=\"0\"} 2")) << page.Text();
  EXPECT_TRUE(Has(page, "capstan_validation_auc 0.75")) << page.Text();
}

TEST(TaskMetricsTest, NoValidationYet) {
  MetricsPage page;
  AddValidationMetrics(-1, EvaluationResult(), &page);
  EXPECT_EQ(page.Text(), "");
}

// Prometheus' rules for names: of a counter "_total", of times "_seconds".
TEST(TaskMetricsTest, NamesTellTheKind) {
  MetricsPage page;
  AddAll(&page);
  MetricsPage of_worker;
  AddWorkerMetrics({}, &of_worker);
  std::istringstream text(page.Text() + of_worker.Text());
  int types = 0;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("# TYPE ")) continue;
    ++types;
    std::istringstream words(line);
    std::string sharp, type, name, kind;
    words >> sharp >> type >> name >> kind;
    EXPECT_TRUE(name.starts_with("capstan_")) << line;
    EXPECT_EQ(kind == "counter", name.ends_with("_total")) << line;
    if (kind == "histogram") {
      EXPECT_TRUE(name.ends_with("_seconds")) << line;
    }
  }
  EXPECT_GT(types, 30);
}

}  // namespace
}  // namespace capstan
