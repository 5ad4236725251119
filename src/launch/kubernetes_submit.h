// The writes of a submit, in an order that leaks nothing wherever it is cut: the anchor first,
// suspended; then what belongs to it; then the anchor is let go.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "launch/job_outline.h"
#include "net/kubernetes_client.h"

namespace capstan {

struct SubmitOptions {
  bool dry_run = false;  // asks the server, writes nothing
  // Sentences on the way: what was found, what waits.
  std::function<void(const std::string&)> notice = [](const std::string&) {};
  // For a job that wants one and brings none: printable, not to be guessed.
  std::function<StatusOr<std::string>()> make_token;
};

// See Engine::Submit. Rights and every object are checked with the server before the first write.
Status SubmitPlan(KubernetesClient* client, const Plan& plan, const SubmitOptions& options);

// Fields of `wanted` whose values in `found` differ, with both values, at most `limit`:
// "spec.completions is 4, the job file gives 2". Quantities are compared as numbers.
std::string DifferenceOf(const std::string& wanted, const std::string& found, size_t limit = 3);

}  // namespace capstan
