#include <nlohmann/json.hpp>

#include "launch/job_file.h"
#include "launch/job_file_keys.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

const char* TypeText(KeyType type) {
  switch (type) {
    case KeyType::kText:
      return "text";
    case KeyType::kWord:
      return "word";
    case KeyType::kNumber:
      return "whole number";
    case KeyType::kSwitch:
      return "true or false";
    case KeyType::kQuantity:
      return "quantity";
    case KeyType::kDuration:
      return "duration";
    case KeyType::kCommand:
      return "list of words, or a line";
    case KeyType::kTextMap:
      return "map of text";
    case KeyType::kNumberMap:
      return "map of numbers";
    case KeyType::kCodes:
      return "map of exit codes";
    case KeyType::kAnyMap:
      return "map";
    case KeyType::kMap:
      return "map of the keys below";
    case KeyType::kMapList:
      return "list of maps of the keys below";
  }
  return "";
}

// Scalars that people also write without quotes.
const Json& Scalar() {
  static const Json kScalar = {{"type", {"string", "number", "boolean"}}};
  return kScalar;
}

Json SchemaOfMap(const KeyMap& keys);

Json SchemaOf(const KeyMap::Key& key) {
  Json schema;
  schema["description"] = key.sentence;
  const auto take = [&](const Json& type) { schema.update(type); };
  switch (key.type) {
    case KeyType::kText:
      take(Scalar());
      break;
    case KeyType::kWord:
      schema["enum"] = key.words;
      break;
    case KeyType::kNumber:
      schema["type"] = "integer";
      break;
    case KeyType::kSwitch:
      schema["type"] = "boolean";
      break;
    case KeyType::kQuantity:
      schema["type"] = {"string", "number"};
      break;
    case KeyType::kDuration:
      schema["anyOf"] = {
          {{"type", "string"}, {"pattern", "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$|^0$"}},
          {{"const", 0}}};
      break;
    case KeyType::kCommand:
      schema["anyOf"] = {{{"type", "string"}}, {{"type", "array"}, {"items", Scalar()}}};
      break;
    case KeyType::kTextMap:
      schema["type"] = "object";
      schema["additionalProperties"] = {{"type", {"string", "number", "boolean", "null"}}};
      break;
    case KeyType::kNumberMap:
      schema["type"] = "object";
      schema["additionalProperties"] = {{"type", "integer"}};
      break;
    case KeyType::kCodes:
      schema["type"] = "object";
      schema["propertyNames"] = {{"pattern", "^[0-9]+(-[0-9]+)?$"}};
      schema["additionalProperties"] = {{"enum", {"retry", "fail", "give_up", "succeed"}}};
      break;
    case KeyType::kAnyMap:
      schema["type"] = "object";
      break;
    case KeyType::kMap:
      take(SchemaOfMap(*key.children));
      break;
    case KeyType::kMapList:
      schema["type"] = "array";
      schema["items"] = SchemaOfMap(*key.children);
      break;
  }
  return schema;
}

Json SchemaOfMap(const KeyMap& keys) {
  Json schema;
  schema["type"] = "object";
  schema["additionalProperties"] = false;
  for (const KeyMap::Key& key : keys.keys()) schema["properties"][key.name] = SchemaOf(key);
  return schema;
}

void AddTable(const std::string& heading, const KeyMap& keys, std::string* page) {
  *page += fmt::format("\n## {}\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |\n",
                       heading);
  for (const KeyMap::Key& key : keys.keys()) {
    const std::string words =
        key.words.empty() ? TypeText(key.type) : fmt::format("{}", fmt::join(key.words, ", "));
    const std::string shown = key.default_text.empty() ? "" : "`" + key.default_text + "`";
    *page += fmt::format("| `{}` | {} | {} | {} |\n", key.name, words, shown, key.sentence);
  }
}

bool IsRole(const std::string& name) {
  return name == "chief" || name == "worker" || name == "ps" || name == "evaluator";
}

void AddSections(const std::string& path, const KeyMap& keys, std::string* page) {
  for (const KeyMap::Key& key : keys.keys()) {
    // The four roles have the same keys, and volumes and tolerations are the same everywhere.
    const bool is_shown_once = key.name == "volumes" || key.name == "tolerations" ||
                               (key.name == "retries" && !path.empty());
    if (key.children == nullptr || (is_shown_once && !path.empty())) continue;
    if (IsRole(key.name) && key.name != "chief") continue;
    const std::string here = path.empty() ? key.name : path + "." + key.name;
    AddTable(IsRole(key.name) ? "chief, worker, ps, evaluator"
                              : here + (key.type == KeyType::kMapList ? "[]" : ""),
             *key.children, page);
    AddSections(here, *key.children, page);
  }
}

constexpr char kPageBegin[] =
    "# Job files\n\n"
    "Made by `capstan manual job_file` from the declarations in `src/launch/`; "
    "`docs/job_file.schema.json` (`capstan manual job_file_schema`) is the same for editors.\n\n"
    "One YAML file describes a job for this machine's processes, Docker and Kubernetes; "
    "`capstan render FILE --engine=…` shows what becomes of it. What a role leaves open is as the "
    "top of the file says: `env`, `volumes`, `node_selector` and `tolerations` are added up, all "
    "else is replaced. A manifest of kind TFJob (kubeflow.org/v1) may stand in place of a job "
    "file.\n\n"
    "- *quantity*: Kubernetes' numbers with units, `500m`, `2`, `2Gi`.\n"
    "- *duration*: `90s`, `10m`, `2h`, `1d`, `1h30m`; `0`.\n"
    "- Each task gets `CAPSTAN_JOB`, `CAPSTAN_ROLE` and, when the job has more than one task, "
    "`TF_CONFIG`. `capstan train` needs no flags of hosts: it reads `TF_CONFIG`. It gets "
    "`--auth_token_file` (or `--tls_cert`, …) when its command names neither these nor "
    "`--insecure`.\n"
    "- In commands `{ps_hosts}`, `{worker_hosts}`, `{chief_host}`, `{job_name}`, `{task_index}` "
    "and `{port}` are replaced. `$(NAME)` is text.\n"
    "- Local runs have no mounts: the path of a volume with a `folder` (or of a `host_path`) is "
    "replaced by that folder in commands and environment.\n"
    "- Checkpoints, events and exports of `capstan train` must lie on volumes that outlive the "
    "pod, the same in each role, and data not on an empty one; `s3://`, `gs://` and `hdfs://` are "
    "refused.\n";

}  // namespace

std::string JobFilePage() {
  JobFileKeys file;
  KeyMap keys;
  DeclareJobFile(&keys, &file);
  std::string page = kPageBegin;
  AddTable("The file", keys, &page);
  AddSections("", keys, &page);
  return page;
}

std::string JobFileSchema() {
  JobFileKeys file;
  KeyMap keys;
  DeclareJobFile(&keys, &file);
  Json schema;
  schema["$schema"] = "http://json-schema.org/draft-07/schema#";
  schema["title"] = "capstan job file";
  schema.update(SchemaOfMap(keys));
  schema["required"] = {"name"};
  return schema.dump(1) + "\n";
}

}  // namespace capstan
