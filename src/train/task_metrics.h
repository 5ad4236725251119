// What each kind of task shows of itself on /metrics; docs/metrics.md lists it.
#pragma once

#include "base/memory_use.h"
#include "model/metrics.h"
#include "net/metrics_page.h"
#include "ps/cluster_spec.h"
#include "ps/parameter_server.h"
#include "train/cluster_chief.h"
#include "train/cluster_worker.h"

namespace capstan {

void AddTaskMetrics(const ClusterSpec& spec, const MemoryUse& memory, MetricsPage* page);
void AddServerMetrics(const ParameterServer::Statistics& statistics, MetricsPage* page);
void AddWorkerMetrics(const ClusterWorker::Statistics& statistics, MetricsPage* page);
void AddChiefMetrics(const ClusterChief::Statistics& statistics, MetricsPage* page);
// Of the last one; `step` < 0: there was none.
void AddValidationMetrics(int64_t step, const EvaluationResult& result, MetricsPage* page);

}  // namespace capstan
