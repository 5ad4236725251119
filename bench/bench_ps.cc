// What a parameter server costs without a network: answering pulls, taking pushes, and the bytes
// that a worker exchanges per example.
//
//   bench_ps [--smoke]
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "ps/parameter_server.h"
#include "ps/remote_parameters.h"

namespace capstan {
namespace {

constexpr int kTables = 26, kBatch = 2048;
constexpr RunId kRun{.run = 1, .generation = 1};

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Of the processor: others may use the machine too.
double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

TableSpec Table(int number) {
  TableSpec table{.name = "c" + std::to_string(number)};
  table.parts = {{.name = "wide", .dim = 1},
                 {.name = "embedding",
                  .dim = 16,
                  .initializer = {.kind = Initializer::Kind::kUniform, .scale = 0.05f}}};
  return table;
}

std::vector<TableSpec> Tables(int count) {
  std::vector<TableSpec> tables;
  for (int t = 0; t < count; ++t) tables.push_back(Table(t));
  return tables;
}

// The dense part of the clicks model: 429-256-128-64-1.
std::vector<DenseSpec> Dense() {
  std::vector<DenseSpec> dense;
  const int width[] = {429, 256, 128, 64, 1};
  for (int l = 0; l < 4; ++l) {
    dense.push_back({.variable = "k" + std::to_string(l), .shape = {width[l], width[l + 1]}});
    dense.push_back({.variable = "b" + std::to_string(l), .shape = {width[l + 1]}});
  }
  LayOutDense(&dense);
  return dense;
}

// Calls servers directly.
class DirectTransport : public Transport {
 public:
  std::vector<std::unique_ptr<ParameterServer>> servers;

  void Call(const std::string& address, Method method, std::string request,
            std::chrono::milliseconds deadline, Reply done) override {
    ParameterServer& server = *servers[std::strtoul(address.c_str(), nullptr, 10)];
    if (method == Method::kPull) server.Pull(std::move(request), std::move(done));
    if (method == Method::kPush) server.Push(std::move(request), std::move(done));
  }
};

std::unique_ptr<ParameterServer> NewServer(int index, int servers, int tables, WorkerPool* pool) {
  auto server = std::make_unique<ParameterServer>(ParameterServerOptions{.index = index,
                                                                         .servers = servers,
                                                                         .mode = TrainMode::kAsync,
                                                                         .tables = Tables(tables),
                                                                         .dense = Dense()},
                                                  pool, ParameterServer::Storage());
  Mutex mutex;
  CondVar changed;
  bool begun = false;
  server->Control(ControlRequest{.kind = ControlKind::kBegin, .run = kRun}.Encode(),
                  [&](StatusOr<std::string> answer) {
                    if (!answer.ok()) std::abort();
                    MutexLock lock(&mutex);
                    begun = true;
                    changed.NotifyAll();
                  });
  MutexLock lock(&mutex);
  while (!begun) changed.Wait(&mutex);
  return server;
}

void Check(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", Message(status).c_str());
  std::exit(1);
}

// One server, one table: pulls of `keys` random rows out of `rows`.
void AnswerPulls(int keys, int64_t rows, double seconds) {
  WorkerPool pool(1);
  const auto server = NewServer(0, 1, 1, &pool);
  uint64_t id = 0;
  const auto request_of = [&](std::vector<uint64_t> list) {
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return PullRequest{.run = kRun, .pull_id = ++id, .wants_dense = false, .keys = {list}};
  };
  std::string answer;
  const Reply reply = [&](StatusOr<std::string> bytes) {
    Check(bytes.status());
    answer = *std::move(bytes);
  };
  // Rows come with their first push.
  for (int64_t begin = 0; begin < rows; begin += keys) {
    std::vector<uint64_t> list;
    for (int64_t key = begin; key < begin + keys; ++key) list.push_back(MixBits(key));
    const PullRequest pull = request_of(list);
    server->Pull(pull.Encode(), reply);
    const std::vector<float> zeros(pull.keys[0].size() * 17, 0.0f);
    const std::string counts(pull.keys[0].size(), '\x01');
    const PushPart part{
        .identity = {.lease = 1, .index = begin / keys},
        .weight_sum = 1,
        .touched = {""},
        .counts = {counts},
        .rows = {{reinterpret_cast<const char*>(zeros.data()), zeros.size() * sizeof(float)}}};
    const PushRequest push{.run = kRun,
                           .pull_id = pull.pull_id,
                           .rates_step = 1,
                           .parts = {part},
                           .dense = {{{0, 1}, ""}}};
    server->Push(push.Encode(), reply);
  }
  RandomStream random(1);
  std::vector<std::string> requests;
  double encode = 0;
  for (int i = 0; i < 64; ++i) {
    std::vector<uint64_t> list;
    while (static_cast<int>(list.size()) < keys) list.push_back(MixBits(random.Below(rows)));
    const PullRequest request = request_of(list);
    const double start = Now();
    requests.push_back(request.Encode());
    encode += Now() - start;
  }
  std::vector<double> times;
  const double end = Now() + seconds;
  double decode = 0;
  while (Now() < end || times.size() < 10) {
    const std::string& request = requests[times.size() % requests.size()];
    double start = Now();
    server->Pull(request, reply);
    times.push_back(Now() - start);
    start = Now();
    Check(PullAnswer::Decode(answer).status());
    decode += Now() - start;
  }
  std::sort(times.begin(), times.end());
  const double median = times[times.size() / 2];
  std::printf(
      "pull of %d rows of dim 16 + wide, of %.1f M rows: median %.3f ms, 99 %% %.3f ms: %.1f M "
      "rows/s\n",
      keys, rows * 1e-6, median * 1e3, times[times.size() * 99 / 100] * 1e3, keys / median * 1e-6);
  std::printf(
      "  request %.1f bytes/key, encoded in %.1f ns/key; answer %.1f bytes/key, looked "
      "through in %.2f ns/key\n",
      static_cast<double>(requests[0].size()) / keys, encode / 64 / keys * 1e9,
      static_cast<double>(answer.size()) / keys,
      decode / static_cast<double>(times.size()) / keys * 1e9);
}

// Categories as often as the clicks of the README have them: 26 columns, from a few values to
// millions, by Zipf.
struct ClickKeys {
  explicit ClickKeys(uint64_t seed) : random(seed) {}

  void Next(std::vector<std::vector<uint64_t>>* keys, std::vector<std::vector<uint32_t>>* counts) {
    keys->assign(kTables, {});
    counts->assign(kTables, {});
    for (int t = 0; t < kTables; ++t) {
      const double values = std::pow(10.0, 1.0 + 5.3 * t / (kTables - 1));
      std::vector<uint64_t> all(kBatch);
      for (uint64_t& key : all) {
        // Zipf with exponent 1.05, by the inverse of its integral.
        const double a = -0.05, most = std::pow(values, a);
        const double x = std::pow(1.0 + random.Uniform() * (most - 1.0), 1.0 / a);
        key = MixBits(t, static_cast<uint64_t>(x));
      }
      std::sort(all.begin(), all.end());
      for (const uint64_t key : all) {
        if ((*keys)[t].empty() || (*keys)[t].back() != key) {
          (*keys)[t].push_back(key);
          (*counts)[t].push_back(0);
        }
        ++(*counts)[t].back();
      }
      // In an order that the wire does not know.
      for (size_t i = (*keys)[t].size(); i > 1; --i) {
        const size_t j = random.Below(i);
        std::swap((*keys)[t][i - 1], (*keys)[t][j]);
        std::swap((*counts)[t][i - 1], (*counts)[t][j]);
      }
    }
  }
  RandomStream random;
};

// A worker's batches against `servers` servers in the same thread.
void ExchangeBatches(ValueFormat format, int servers, double seconds) {
  WorkerPool pool(1);
  DirectTransport transport;
  RemoteParametersOptions options{.mode = TrainMode::kAsync, .incarnation = 1, .format = format};
  for (int s = 0; s < servers; ++s) {
    transport.servers.push_back(NewServer(s, servers, kTables, &pool));
    options.servers.push_back(std::to_string(s));
  }
  RemoteParameters worker(Tables(kTables), Dense(), options, &transport);
  worker.SetRun(kRun);
  ClickKeys clicks(3);
  std::vector<std::vector<std::vector<uint64_t>>> keys(16);
  std::vector<std::vector<std::vector<uint32_t>>> counts(16);
  for (int b = 0; b < 16; ++b) clicks.Next(&keys[b], &counts[b]);
  const std::vector<float> row_gradients(kBatch * 17, 0.01f);
  const std::vector<float> dense(worker.dense().size(), 0.01f);
  PulledRows rows;
  double pull = 0, push = 0, distinct = 0;
  int64_t batches = 0, index = 0;
  RemoteParameters::Statistics before;
  for (const double end = Now() + seconds; batches < 16 || Now() < end; ++batches, ++index) {
    if (index == 16) {  // until here rows were made
      before = worker.statistics();
      pull = push = distinct = 0;
      batches = 0;
    }
    std::vector<TableKeys> views;
    Gradients gradients{.dense = dense, .scale = 1.0f / kBatch};
    const size_t b = index % 16;
    for (int t = 0; t < kTables; ++t) {
      views.push_back({keys[b][t], counts[b][t]});
      gradients.rows.push_back(std::span(row_gradients).first(keys[b][t].size() * 17));
      distinct += static_cast<double>(keys[b][t].size());
    }
    double start = CpuSeconds();
    Check(worker.Pull(index + 1, views, &rows));
    pull += CpuSeconds() - start;
    worker.SetPushIdentity({.lease = 1, .index = index});
    start = CpuSeconds();
    Check(worker.Push({.step = index + 1}, gradients));
    push += CpuSeconds() - start;
  }
  const RemoteParameters::Statistics after = worker.statistics();
  const double examples = static_cast<double>(batches) * kBatch;
  const double bytes =
      static_cast<double>(after.bytes_in + after.bytes_out - before.bytes_in - before.bytes_out);
  std::printf(
      "batch %d, %d tables, %d servers, %s: %.0f bytes per example (%.2f distinct rows each); pull "
      "%.2f + push %.2f us of processor time per example, client and servers together\n",
      kBatch, kTables, servers, format == ValueFormat::kFloat32 ? "fp32" : "bf16", bytes / examples,
      distinct / examples, pull / examples * 1e6, push / examples * 1e6);
}

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const double seconds = smoke ? 0.1 : 2.0;
  capstan::AnswerPulls(10000, smoke ? 100000 : 2000000, seconds);
  for (const auto format : {capstan::ValueFormat::kFloat32, capstan::ValueFormat::kBfloat16}) {
    capstan::ExchangeBatches(format, 2, seconds);
  }
}
