#include "launch/failure_table.h"

#include <algorithm>
#include <charconv>

#include "base/nearest.h"

namespace capstan {
namespace {

struct ActionWord {
  std::string_view word;
  FailureAction action;
};
constexpr ActionWord kActions[] = {{"succeed", FailureAction::kSucceed},
                                   {"retry", FailureAction::kRetry},
                                   {"give_up", FailureAction::kGiveUp},
                                   {"fail", FailureAction::kFailJob}};
constexpr int kFirstRetryable = 128;  // TFJob's rule

bool TakeNumber(std::string_view* text, int* value) {
  const auto result = std::from_chars(text->data(), text->data() + text->size(), *value);
  if (result.ec != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(result.ptr - text->data()));
  return true;
}

}  // namespace

std::string_view NameOf(FailureAction action) {
  for (const ActionWord& word : kActions) {
    if (word.action == action) return word.word;
  }
  return "unknown";
}

StatusOr<FailureAction> ParseFailureAction(std::string_view word) {
  std::vector<std::string> known;
  for (const ActionWord& action : kActions) {
    if (action.word == word) return action.action;
    known.emplace_back(action.word);
  }
  return Error("unknown action '{}', wanted one of {}{}", word, fmt::join(known, ", "),
               NearestHint(word, known));
}

StatusOr<FailureRule> ParseExitCodes(std::string_view text) {
  FailureRule rule;
  std::string_view rest = text;
  bool good = TakeNumber(&rest, &rule.first);
  rule.last = rule.first;
  if (good && rest.starts_with("-")) {
    rest.remove_prefix(1);
    good = TakeNumber(&rest, &rule.last);
  }
  if (!good || !rest.empty() || rule.first < 1 || rule.last > 255 || rule.first > rule.last) {
    return Error("exit codes '{}', wanted a number of 1 to 255 or a range as 1-127", text);
  }
  return rule;
}

FailureAction FailureTable::ActionFor(int exit_code) const {
  if (exit_code == 0) return FailureAction::kSucceed;
  for (const FailureRule& rule : rules) {
    if (exit_code >= rule.first && exit_code <= rule.last) return rule.action;
  }
  return exit_code >= kFirstRetryable ? FailureAction::kRetry : FailureAction::kFailJob;
}

FailureAction FailureTable::ActionFor(const TaskEnd& end, int retries) const {
  if (end.evicted) return FailureAction::kRetry;
  const FailureAction action = ActionFor(end.exit_code);
  return action == FailureAction::kRetry && retries >= retry_limit ? at_limit : action;
}

std::vector<FailureRule> FailureTable::Ranges() const {
  std::vector<FailureRule> ranges;
  for (int code = 1; code <= 255; ++code) {
    const FailureAction action = ActionFor(code);
    if (!ranges.empty() && ranges.back().action == action) {
      ranges.back().last = code;
    } else {
      ranges.push_back({.first = code, .last = code, .action = action});
    }
  }
  return ranges;
}

void RetryCount::NoteStep(int64_t step) {
  if (step <= best_step_) return;
  // The first step heard of is no progress beyond an earlier one.
  if (best_step_ >= 0) retries_ = 0;
  best_step_ = step;
}

std::chrono::milliseconds RetryDelay(int retry) {
  const int doublings = std::clamp(retry - 1, 0, 6);
  return std::min(std::chrono::milliseconds(1000) * (1 << doublings),
                  std::chrono::milliseconds(60'000));
}

}  // namespace capstan
