// The flags of one command, declared once: parser, --help and the manual (docs/flags.md) come from
// here. TensorFlow's form: --flag=value or --flag value, underscores, --flag and --noflag for
// switches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"

namespace capstan {

class FlagSet {
 public:
  // "train", "one sentence of what the command does"
  FlagSet(std::string command, std::string summary);
  ~FlagSet();

  using Value = std::variant<std::string*, int64_t*, int*, double*, float*, bool*>;

  // A heading in --help for the flags that follow.
  void Group(const std::string& heading);
  // `value` holds the default and must outlive the set. `help` is one phrase with units.
  void Add(const std::string& name, Value value, const std::string& help,
           std::vector<std::string> aliases = {});
  // Words behind the flags ("inspect PATH"): `name` for --help. Without this, words are an error.
  void AddWords(const std::string& name, std::vector<std::string>* words, const std::string& help);

  // kInvalidArgument with one sentence on an unknown flag (names the nearest) or a wrong value.
  Status Parse(const std::vector<std::string>& args);
  bool help_asked() const;
  bool Given(const std::string& name) const;

  const std::string& command() const;
  std::string Help() const;
  std::string Markdown() const;

 private:
  struct Flag;
  struct Rep;
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
