// Prints what our optimizers make of given weights and gradients, for test_optimizers.py.
//
// Standard input, words separated by white space:
//   optimizer  dense|rows  rows dim steps  [name=value …]  end
//   rows*dim weights, then steps * rows*dim gradients
// Standard output: "weights" and its values, then for each slot its name and values, one a line.
// "dense" is a dense variable [rows, dim]; "rows" a table of that many rows, all touched each step.
#include <cstdio>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "params/local_parameters.h"

namespace capstan {
namespace {

struct Trace {
  OptimizerSpec optimizer;
  bool dense = true;
  int64_t rows = 0, steps = 0;
  int dim = 0;
  std::vector<float> weights, gradients;
};

bool SetField(const std::string& name, float value, OptimizerSpec* spec) {
  if (name == "nesterov") {
    spec->nesterov = value != 0;
    return true;
  }
  const std::map<std::string, float*> fields = {{"learning_rate", &spec->learning_rate},
                                                {"initial_accumulator", &spec->initial_accumulator},
                                                {"momentum", &spec->momentum},
                                                {"rmsprop_momentum", &spec->rmsprop_momentum},
                                                {"decay", &spec->decay},
                                                {"rho", &spec->rho},
                                                {"beta1", &spec->beta1},
                                                {"beta2", &spec->beta2},
                                                {"epsilon", &spec->epsilon},
                                                {"learning_rate_power", &spec->learning_rate_power},
                                                {"l1", &spec->l1},
                                                {"l2", &spec->l2}};
  const auto field = fields.find(name);
  if (field == fields.end()) return false;
  *field->second = value;
  return true;
}

StatusOr<Trace> ReadTrace(std::istream& in) {
  Trace trace;
  std::string optimizer, form, word;
  in >> optimizer >> form >> trace.rows >> trace.dim >> trace.steps;
  ASSIGN_OR_RETURN(trace.optimizer.kind, ParseOptimizer(optimizer));
  trace.dense = form == "dense";
  while (in >> word && word != "end") {
    const size_t equals = word.find('=');
    if (equals == std::string::npos ||
        !SetField(word.substr(0, equals), std::stof(word.substr(equals + 1)), &trace.optimizer)) {
      return Error("read trace: setting '{}'", word);
    }
  }
  trace.weights.resize(trace.rows * trace.dim);
  trace.gradients.resize(trace.steps * trace.rows * trace.dim);
  for (float& value : trace.weights) in >> value;
  for (float& value : trace.gradients) in >> value;
  if (!in) return Error("read trace: too few numbers");
  return trace;
}

void PrintLine(const std::string& name, const std::vector<float>& values) {
  std::printf("%s", name.c_str());
  for (const float value : values) std::printf(" %.9g", value);
  std::printf("\n");
}

Status TraceDense(const Trace& trace, WorkerPool* pool) {
  const std::vector<DenseSpec> variables = {
      {.variable = "w", .shape = {trace.rows, trace.dim}, .optimizer = trace.optimizer}};
  ASSIGN_OR_RETURN(auto parameters, LocalParameters::Create({}, variables, 1, pool));
  DenseBlock& block = parameters->dense_block();
  std::copy(trace.weights.begin(), trace.weights.end(), block.weights().begin());
  std::vector<float> gradients(block.size());
  PulledRows rows;
  for (int64_t step = 1; step <= trace.steps; ++step) {
    RETURN_IF_ERROR(parameters->Pull(step, {}, &rows));
    const auto from = trace.gradients.begin() + (step - 1) * trace.weights.size();
    std::copy_n(from, trace.weights.size(), gradients.begin());
    RETURN_IF_ERROR(parameters->Push({.step = step}, {.dense = gradients}));
  }
  const auto weights = block.weights().first(trace.weights.size());
  PrintLine("weights", {weights.begin(), weights.end()});
  const std::vector<std::string> names = SlotNames(trace.optimizer.kind);
  for (size_t slot = 0; slot < names.size(); ++slot) {
    const auto values = block.slot(0, static_cast<int>(slot));
    PrintLine(names[slot], {values.begin(), values.end()});
  }
  return OkStatus();
}

Status TraceRows(const Trace& trace, WorkerPool* pool) {
  TableSpec table{.name = "t"};
  table.parts = {{.name = "embedding", .dim = trace.dim, .optimizer = trace.optimizer}};
  ASSIGN_OR_RETURN(auto parameters, LocalParameters::Create({table}, {}, 1, pool));
  RowTable& row_table = parameters->table(0);
  const RowLayout& layout = row_table.layout();
  std::vector<uint64_t> keys;
  std::vector<float*> addresses;
  for (int64_t row = 0; row < trace.rows; ++row) {
    keys.push_back(row * 977);
    ASSIGN_OR_RETURN(char* const address, row_table.Insert(keys.back(), 1, 0));
    addresses.push_back(reinterpret_cast<float*>(address));
    std::copy_n(trace.weights.begin() + row * trace.dim, trace.dim,
                addresses.back() + layout.weights_offset(0));
  }
  const std::vector<uint32_t> counts(keys.size(), 1);
  const std::vector<TableKeys> pull = {{keys, counts}};
  PulledRows rows;
  for (int64_t step = 1; step <= trace.steps; ++step) {
    RETURN_IF_ERROR(parameters->Pull(step, pull, &rows));
    const std::span<const float> gradients =
        std::span(trace.gradients).subspan((step - 1) * trace.weights.size(), trace.weights.size());
    RETURN_IF_ERROR(parameters->Push({.step = step}, {.rows = {gradients}}));
  }
  const auto print = [&](const std::string& name, int offset, int count) {
    std::vector<float> values;
    for (const float* row : addresses)
      values.insert(values.end(), row + offset, row + offset + count);
    PrintLine(name, values);
  };
  print("weights", layout.weights_offset(0), trace.dim);
  const std::vector<std::string> names = SlotNames(trace.optimizer.kind);
  for (size_t slot = 0; slot < names.size(); ++slot) {
    print(names[slot], layout.slot_offset(0, static_cast<int>(slot)),
          IsRowWise(trace.optimizer.kind) ? 1 : trace.dim);
  }
  return OkStatus();
}

int Main() {
  WorkerPool pool(1);
  StatusOr<Trace> trace = ReadTrace(std::cin);
  const Status status = !trace.ok()    ? trace.status()
                        : trace->dense ? TraceDense(*trace, &pool)
                                       : TraceRows(*trace, &pool);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", Message(status).c_str());
  return 1;
}

}  // namespace
}  // namespace capstan

int main() { return capstan::Main(); }
