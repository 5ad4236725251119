#include "train/task_metrics.h"

#include <cmath>
#include <string>

namespace capstan {
namespace {

// A name, what it says, and a number of the statistics.
struct Entry {
  const char *name, *help;
  double value;
};

void AddCounters(std::initializer_list<Entry> entries, MetricsPage* page) {
  for (const Entry& entry : entries) page->Counter(entry.name, entry.help, entry.value);
}

void AddGauges(std::initializer_list<Entry> entries, MetricsPage* page) {
  for (const Entry& entry : entries) page->Gauge(entry.name, entry.help, entry.value);
}

double AsDouble(int64_t number) { return static_cast<double>(number); }

constexpr char kPulls[] = "Pulls: a server answered, a worker made.";
constexpr char kPushes[] = "Pushed batches or slices: a server applied, a worker made.";
constexpr char kSent[] = "Bytes of messages sent: a server's answers, a worker's requests.";
constexpr char kReceived[] =
    "Bytes of messages received: requests to a server, answers to a worker.";
constexpr char kPullSeconds[] =
    "Time of a pull: at a server in queue and work, at a worker until all servers answered.";
constexpr char kPushSeconds[] =
    "Time of a push: at a server in queue and work, at a worker until all servers answered.";

}  // namespace

void AddTaskMetrics(const ClusterSpec& spec, const MemoryUse& memory, MetricsPage* page) {
  page->Gauge("capstan_task_info", "Role and index of this task.", 1,
              {{"role", std::string(NameOf(spec.role))}, {"index", std::to_string(spec.index)}});
  if (memory.limit_bytes == 0) return;
  AddGauges({{"capstan_memory_used_bytes", "Memory in use, by the cgroup or by this process.",
              AsDouble(memory.used_bytes)},
             {"capstan_memory_limit_bytes", "Limit of the cgroup, or memory of the machine.",
              AsDouble(memory.limit_bytes)}},
            page);
}

void AddServerMetrics(const ParameterServer::Statistics& s, MetricsPage* page) {
  AddCounters(
      {{"capstan_pulls_total", kPulls, AsDouble(s.pulls)},
       {"capstan_pushes_total", kPushes, AsDouble(s.pushes)},
       {"capstan_pushes_dropped_total", "Pushes that came again and were dropped.",
        AsDouble(s.dropped_pushes)},
       {"capstan_received_bytes_total", kReceived, AsDouble(s.bytes_in)},
       {"capstan_sent_bytes_total", kSent, AsDouble(s.bytes_out)},
       {"capstan_checkpoint_cuts_total", "Cuts made for checkpoints.", AsDouble(s.cuts)},
       {"capstan_checkpoint_cut_seconds_total", "Time of cuts, in which the server serves nothing.",
        s.cut_seconds},
       {"capstan_checkpoint_parts_total", "Parts of checkpoints written.",
        AsDouble(s.parts_written)},
       {"capstan_checkpoint_write_seconds_total", "Time of writing them.", s.write_seconds}},
      page);
  AddGauges(
      {{"capstan_applied_step", "Steps (async: pushes) applied to the parameters.",
        AsDouble(s.applied_step)},
       {"capstan_waiting_pulls", "Pulls that wait for their step.", AsDouble(s.waiting_pulls)},
       {"capstan_parameter_bytes", "Memory of all parameters.", AsDouble(s.memory_bytes)}},
      page);
  page->Histogram("capstan_pull_seconds", kPullSeconds, s.pull_times);
  page->Histogram("capstan_push_seconds", kPushSeconds, s.push_times);
  for (const ParameterServer::TableStatistics& table : s.tables) {
    page->Gauge("capstan_table_rows", "Rows of a table on this server.", AsDouble(table.rows),
                {{"table", table.name}});
    page->Gauge("capstan_table_bytes", "Memory of a table on this server.",
                AsDouble(table.memory_bytes), {{"table", table.name}});
  }
}

void AddWorkerMetrics(const ClusterWorker::Statistics& s, MetricsPage* page) {
  const RemoteParameters::Statistics& calls = s.calls;
  AddCounters(
      {{"capstan_pulls_total", kPulls, AsDouble(calls.pulls)},
       {"capstan_pushes_total", kPushes, AsDouble(calls.pushes)},
       {"capstan_retries_total", "Calls of servers made again.", AsDouble(calls.retries)},
       {"capstan_received_bytes_total", kReceived, AsDouble(calls.bytes_in)},
       {"capstan_sent_bytes_total", kSent, AsDouble(calls.bytes_out)},
       {"capstan_steps_total", "Batches (sync: shares of a batch) that this task trained.",
        AsDouble(s.steps)},
       {"capstan_examples_total", "Examples that this task trained.", AsDouble(s.examples)},
       {"capstan_compute_seconds_total", "Time of forward and backward passes.", s.compute_seconds},
       {"capstan_input_seconds_total", "Time of waiting for batches of the data.", s.input_seconds},
       {"capstan_lease_seconds_total", "Time of waiting for work from the chief.", s.lease_seconds},
       {"capstan_staleness_sum_total",
        "Async: pushes of others between this task's pulls and pushes.",
        AsDouble(calls.staleness_sum)}},
      page);
  page->Gauge("capstan_staleness_max", "Async: the most of them in one batch.",
              AsDouble(calls.staleness_max));
  page->Histogram("capstan_pull_seconds", kPullSeconds, calls.pull_times);
  page->Histogram("capstan_push_seconds", kPushSeconds, calls.push_times);
}

void AddChiefMetrics(const ClusterChief::Statistics& s, MetricsPage* page) {
  AddGauges({{"capstan_global_step", "Step of the model.", AsDouble(s.global_step)},
             {"capstan_trained_examples", "Examples that the model was trained on, each once.",
              AsDouble(s.examples)},
             {"capstan_examples_per_second", "Of the whole cluster, in the last seconds.",
              s.examples_per_s},
             {"capstan_generation", "Starts of servers from a checkpoint or from nothing.",
              AsDouble(s.generation)},
             {"capstan_checkpoint_last_seconds",
              "Time of the last checkpoint, first cut to commit.", s.last_checkpoint_seconds},
             {"capstan_checkpoint_last_step", "Step of the last checkpoint; -1: none yet.",
              AsDouble(s.last_checkpoint_step)}},
            page);
  AddCounters({{"capstan_checkpoints_total", "Checkpoints committed.", AsDouble(s.checkpoints)},
               {"capstan_rollbacks_total", "Returns to the last checkpoint after a lost server.",
                AsDouble(s.generation > 0 ? s.generation - 1 : 0)},
               {"capstan_leases_done_total", "Blocks (sync: slices) done since the last start.",
                AsDouble(s.leases.done)},
               {"capstan_results_repeated_total", "Results that came again and were dropped.",
                AsDouble(s.repeated)}},
              page);
  const auto leases = [&](const char* state, int64_t count) {
    page->Gauge("capstan_leases",
                "Open blocks (sync: slices of the step): free, granted; late are some of granted.",
                AsDouble(count), {{"state", state}});
  };
  leases("free", s.leases.free);
  leases("granted", s.leases.granted);
  leases("late", s.leases.late);
  int64_t present = 0, lost = 0, left = 0, missing = 0;
  for (size_t i = 0; i < s.workers.size(); ++i) {
    const Coordinator::WorkerState& worker = s.workers[i];
    ++(!worker.seen ? missing : worker.left ? left : worker.lost ? lost : present);
    const MetricsPage::Labels label = {{"worker", std::to_string(i)}};
    page->Counter("capstan_worker_restarts_total", "Starts of a worker after its first.",
                  AsDouble(worker.restarts), label);
    page->Counter("capstan_worker_examples_total", "Examples that a worker reported as done.",
                  AsDouble(worker.examples), label);
  }
  const auto workers = [&](const char* state, int64_t count) {
    page->Gauge("capstan_workers",
                "Workers: present, lost (silent), left (done), missing (never seen).",
                AsDouble(count), {{"state", state}});
  };
  workers("present", present);
  workers("lost", lost);
  workers("left", left);
  workers("missing", missing);
  AddValidationMetrics(s.validation_step, s.validation, page);
}

void AddValidationMetrics(int64_t step, const EvaluationResult& result, MetricsPage* page) {
  if (step < 0) return;
  const auto add = [page](const char* name, const char* help, double value) {
    if (!std::isnan(value)) page->Gauge(name, help, value);
  };
  add("capstan_validation_step", "Step of the last validation.", AsDouble(step));
  add("capstan_validation_loss", "Loss on the validation files.", result.loss);
  add("capstan_validation_auc", "AUC on the validation files.", result.auc);
  add("capstan_validation_rmse", "Root mean square error on them (regression).", result.rmse);
}

}  // namespace capstan
