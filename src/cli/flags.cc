#include "cli/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/nearest.h"

namespace capstan {

struct FlagSet::Flag {
  std::string group, name, help;
  std::vector<std::string> aliases;
  Value value;
  std::string default_text;
  std::string raw;  // as given
  CLI::Option* option = nullptr;
};

struct FlagSet::Rep {
  std::string command, summary, group = "flags";
  std::vector<std::unique_ptr<Flag>> flags;
  std::string words_name, words_help;
  std::vector<std::string>* words = nullptr;
  bool help = false;
  CLI::App app;
};

namespace {

std::string TextOf(const FlagSet::Value& value) {
  return std::visit([](const auto* v) { return fmt::format("{}", *v); }, value);
}

// What a flag wants, for messages and help.
std::string WantedBy(const FlagSet::Value& value) {
  if (std::holds_alternative<std::string*>(value)) return "text";
  if (std::holds_alternative<bool*>(value)) return "true or false";
  if (std::holds_alternative<int*>(value) || std::holds_alternative<int64_t*>(value)) {
    return "a whole number";
  }
  return "a number";
}

bool ParseText(const std::string& text, std::string* value) {
  *value = text;
  return true;
}
bool ParseText(const std::string& text, bool* value) {
  const bool yes = text == "true" || text == "True" || text == "1" || text == "yes";
  const bool no = text == "false" || text == "False" || text == "0" || text == "no";
  if (yes || no) *value = yes;
  return yes || no;
}
template <typename T>
bool ParseText(const std::string& text, T* value) {
  const char* end = text.data() + text.size();
  T parsed{};
  const auto result = std::from_chars(text.data(), end, parsed);
  if (result.ec != std::errc() || result.ptr != end || text.empty()) return false;
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(parsed)) return false;
  }
  *value = parsed;
  return true;
}

}  // namespace

FlagSet::FlagSet(std::string command, std::string summary) : rep_(std::make_unique<Rep>()) {
  rep_->command = std::move(command);
  rep_->summary = std::move(summary);
  rep_->app.set_help_flag();
  rep_->app.allow_extras();
  rep_->app.add_flag("--help,-h", rep_->help);
}

FlagSet::~FlagSet() = default;

void FlagSet::Group(const std::string& heading) { rep_->group = heading; }

void FlagSet::Add(const std::string& name, Value value, const std::string& help,
                  std::vector<std::string> aliases) {
  auto flag = std::make_unique<Flag>();
  flag->group = rep_->group;
  flag->name = name;
  flag->help = help;
  flag->aliases = std::move(aliases);
  flag->value = value;
  flag->default_text = TextOf(value);
  std::string names = "--" + name;
  for (const std::string& alias : flag->aliases) names += ",--" + alias;
  if (std::holds_alternative<bool*>(value)) {
    std::string negations;
    names += "{true}";
    for (const std::string& alias : flag->aliases) negations += ",--no" + alias + "{false}";
    flag->option = rep_->app.add_flag(names + ",--no" + name + "{false}" + negations, flag->raw);
  } else {
    flag->option = rep_->app.add_option(names, flag->raw)->allow_extra_args(false);
  }
  flag->option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  rep_->flags.push_back(std::move(flag));
}

void FlagSet::AddWords(const std::string& name, std::vector<std::string>* words,
                       const std::string& help) {
  rep_->words_name = name;
  rep_->words = words;
  rep_->words_help = help;
}

Status FlagSet::Parse(const std::vector<std::string>& args) {
  std::vector<std::string> words;
  for (const std::string& arg : args) {
    // CLI11 takes "--flag=" for a flag without a value; here it is an empty value.
    const bool empty_value = arg.starts_with("--") && arg.ends_with("=");
    words.push_back(empty_value ? arg.substr(0, arg.size() - 1) : arg);
    if (empty_value) words.emplace_back();
  }
  try {
    std::reverse(words.begin(), words.end());  // CLI11 takes its arguments from the back
    rep_->app.parse(words);
  } catch (const CLI::ParseError& e) {
    return Error("{}", e.what());
  }
  std::vector<std::string> known = {"help"};
  for (const auto& flag : rep_->flags) {
    known.push_back(flag->name);
    known.insert(known.end(), flag->aliases.begin(), flag->aliases.end());
  }
  for (const std::string& extra : rep_->app.remaining()) {
    if (extra.starts_with("-") && extra.size() > 1) {
      std::string name = extra.substr(extra.find_first_not_of('-'));
      name = name.substr(0, name.find('='));
      std::string hint = NearestWord(name, known);
      if (!hint.empty()) hint = ", nearest is --" + hint;
      return Error("unknown flag --{}{}; `capstan {} --help` lists all", name, hint, rep_->command);
    }
    if (rep_->words == nullptr) {
      return Error("found '{}', but capstan {} takes flags only", extra, rep_->command);
    }
    rep_->words->push_back(extra);
  }
  for (const auto& flag : rep_->flags) {
    if (flag->option->count() == 0) continue;
    const bool fits =
        std::visit([&](auto* value) { return ParseText(flag->raw, value); }, flag->value);
    if (!fits) {
      return Error("flag --{}: found '{}', wanted {}", flag->name, flag->raw,
                   WantedBy(flag->value));
    }
  }
  return OkStatus();
}

bool FlagSet::help_asked() const { return rep_->help; }

bool FlagSet::Given(const std::string& name) const {
  for (const auto& flag : rep_->flags) {
    if (flag->name == name) return flag->option->count() > 0;
  }
  return false;
}

const std::string& FlagSet::command() const { return rep_->command; }

std::string FlagSet::Help() const {
  std::string text = fmt::format("capstan {}: {}\n\nusage: capstan {} [--flag=value …]{}\n",
                                 rep_->command, rep_->summary, rep_->command,
                                 rep_->words == nullptr ? "" : " " + rep_->words_name);
  if (rep_->words != nullptr) text += fmt::format("\n{}: {}\n", rep_->words_name, rep_->words_help);
  std::string group;
  for (const auto& flag : rep_->flags) {
    if (flag->group != group) text += fmt::format("\n{}:\n", group = flag->group);
    const bool is_switch = std::holds_alternative<bool*>(flag->value);
    std::string head = is_switch && flag->default_text == "false"
                           ? "--" + flag->name
                           : fmt::format("--{}={}", flag->name, flag->default_text);
    text += fmt::format("  {:<34} {}", head, flag->help);
    if (!flag->aliases.empty()) {
      text += fmt::format(" (also --{})", fmt::join(flag->aliases, ", --"));
    }
    text += "\n";
  }
  return text;
}

std::string FlagSet::Markdown() const {
  std::string text = fmt::format("## capstan {}\n\n{}\n", rep_->command, rep_->summary);
  std::string group;
  for (const auto& flag : rep_->flags) {
    if (flag->group != group) {
      group = flag->group;
      text += fmt::format("\n### {}\n\n| flag | default | meaning |\n| --- | --- | --- |\n", group);
    }
    std::string names = "`--" + flag->name + "`";
    for (const std::string& alias : flag->aliases) names += ", `--" + alias + "`";
    const std::string shown = flag->default_text.empty() ? "" : "`" + flag->default_text + "`";
    text += fmt::format("| {} | {} | {} |\n", names, shown, flag->help);
  }
  return text + "\n";
}

}  // namespace capstan
