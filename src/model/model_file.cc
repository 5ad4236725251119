#include "model/model_file.h"

#include <algorithm>
#include <set>

#include "base/yaml.h"

namespace capstan {
namespace {

template <typename T>
struct Word {
  const char* word;
  T value;
};
constexpr Word<FeatureType> kFeatureTypes[] = {
    {"float", FeatureType::kFloat}, {"bucket", FeatureType::kBucket},
    {"id", FeatureType::kId},       {"hash", FeatureType::kHash},
    {"cross", FeatureType::kCross}, {"vocabulary", FeatureType::kVocabulary}};
constexpr Word<Combiner> kCombiners[] = {
    {"sum", Combiner::kSum}, {"mean", Combiner::kMean}, {"sqrtn", Combiner::kSqrtN}};
constexpr Word<Loss> kLosses[] = {
    {"sigmoid", Loss::kSigmoid}, {"softmax", Loss::kSoftmax}, {"mean_square", Loss::kMeanSquare}};
constexpr Word<Naming> kNamings[] = {{"model_file", Naming::kModelFile},
                                     {"dense_2018", Naming::kDense2018},
                                     {"sparse_2018", Naming::kSparse2018}};
constexpr Word<LearningRateSchedule::Kind> kSchedules[] = {
    {"constant", LearningRateSchedule::Kind::kConstant},
    {"exponential", LearningRateSchedule::Kind::kExponential},
    {"polynomial", LearningRateSchedule::Kind::kPolynomial},
    {"cosine", LearningRateSchedule::Kind::kCosine}};

template <typename T, size_t N>
Status GetWord(const YamlNode& node, const Word<T> (&words)[N], T* value) {
  if (!node.exists()) return OkStatus();
  std::string text;
  RETURN_IF_ERROR(node.Get(&text));
  std::vector<std::string> known;
  for (const Word<T>& word : words) {
    if (text == word.word) {
      *value = word.value;
      return OkStatus();
    }
    known.emplace_back(word.word);
  }
  return node.ErrorHere(
      fmt::format("unknown '{}', wanted one of {}", text, fmt::join(known, ", ")));
}

template <typename T, size_t N>
const char* WordOf(const Word<T> (&words)[N], T value) {
  for (const Word<T>& word : words) {
    if (word.value == value) return word.word;
  }
  return "";
}

// Reads the keys of one map: each Read names a key; Finish refuses what was not named.
class MapReader {
 public:
  explicit MapReader(const YamlNode& node) : node_(node) {}

  template <typename T>
  void Read(const char* key, T* value) {
    known_.emplace_back(key);
    if (status_.ok()) status_ = node_[key].Get(value);
  }
  template <typename T, size_t N>
  void ReadWord(const char* key, const Word<T> (&words)[N], T* value) {
    known_.emplace_back(key);
    if (status_.ok()) status_ = GetWord(node_[key], words, value);
  }
  YamlNode Child(const char* key) {
    known_.emplace_back(key);
    return node_[key];
  }
  // Unknown keys first: they explain best what else is wrong.
  Status Finish() const {
    if (!node_.exists()) return OkStatus();
    RETURN_IF_ERROR(node_.CheckKeys(known_));
    return status_;
  }

 private:
  const YamlNode node_;
  std::vector<std::string> known_;
  Status status_;
};

Status ParseOptimizerNode(const YamlNode& node, OptimizerSpec* spec) {
  if (!node.exists()) return OkStatus();
  std::string name(NameOf(spec->kind));
  if (node.is_scalar()) {
    RETURN_IF_ERROR(node.Get(&name));
  } else {
    MapReader map(node);
    map.Read("name", &name);
    map.Read("learning_rate", &spec->learning_rate);
    map.Read("initial_accumulator", &spec->initial_accumulator);
    map.Read("momentum", &spec->momentum);
    map.Read("nesterov", &spec->nesterov);
    map.Read("rmsprop_momentum", &spec->rmsprop_momentum);
    map.Read("decay", &spec->decay);
    map.Read("rho", &spec->rho);
    map.Read("beta1", &spec->beta1);
    map.Read("beta2", &spec->beta2);
    map.Read("epsilon", &spec->epsilon);
    map.Read("learning_rate_power", &spec->learning_rate_power);
    map.Read("l1", &spec->l1);
    map.Read("l2", &spec->l2);
    RETURN_IF_ERROR(map.Finish());
  }
  StatusOr<OptimizerKind> kind = ParseOptimizer(name);
  if (!kind.ok()) return node.ErrorHere(Message(kind.status()));
  spec->kind = *kind;
  return OkStatus();
}

Status ParseMlpNode(const YamlNode& node, MlpSpec* mlp, OptimizerSpec* optimizer) {
  MapReader map(node);
  map.Read("hidden", &mlp->hidden);
  map.Read("batch_norm", &mlp->batch_norm);
  map.Read("batch_norm_output", &mlp->batch_norm_output);
  map.Read("bn_epsilon", &mlp->bn_epsilon);
  map.Read("bn_decay", &mlp->bn_decay);
  map.Read("dropout", &mlp->dropout);
  map.Read("dropout_last_only", &mlp->dropout_last_only);
  const YamlNode optimizer_node = map.Child("optimizer");
  RETURN_IF_ERROR(map.Finish());
  return optimizer == nullptr ? OkStatus() : ParseOptimizerNode(optimizer_node, optimizer);
}

Status ParseSchedule(const YamlNode& node, LearningRateSchedule* schedule) {
  MapReader map(node);
  map.ReadWord("kind", kSchedules, &schedule->kind);
  map.Read("decay_steps", &schedule->decay_steps);
  map.Read("decay_rate", &schedule->decay_rate);
  map.Read("staircase", &schedule->staircase);
  map.Read("power", &schedule->power);
  map.Read("end_factor", &schedule->end_factor);
  map.Read("warmup_steps", &schedule->warmup_steps);
  RETURN_IF_ERROR(map.Finish());
  if (schedule->decay_steps < 1) return node.ErrorHere("decay_steps is below 1");
  return OkStatus();
}

// The keys of a table, which a feature may give too when the table is its own.
void ReadEmbeddingKeys(MapReader* map, EmbeddingSpec* embedding, int64_t* admission_count) {
  map->Read("dim", &embedding->dim);
  map->Read("admission_count", admission_count);
  map->Read("expiry_steps", &embedding->expiry_steps);
}

// "C{1..26}": the text before, the numbers, the text behind. False: no braces.
struct NameRange {
  std::string before, after;
  int64_t first = 0, last = 0;
};
bool ParseNameRange(const std::string& name, NameRange* range) {
  const size_t open = name.find('{');
  const size_t dots = name.find("..", open);
  const size_t close = name.find('}', dots);
  if (open == std::string::npos || dots == std::string::npos || close == std::string::npos) {
    return false;
  }
  range->before = name.substr(0, open);
  range->after = name.substr(close + 1);
  char* end = nullptr;
  range->first = std::strtoll(name.c_str() + open + 1, &end, 10);
  if (end != name.c_str() + dots) return false;
  range->last = std::strtoll(name.c_str() + dots + 2, &end, 10);
  return end == name.c_str() + close && range->first <= range->last &&
         range->last - range->first < 100000;
}

// "{}" stands for the number.
std::string WithNumber(std::string text, int64_t number) {
  if (const size_t braces = text.find("{}"); braces != std::string::npos) {
    text.replace(braces, 2, std::to_string(number));
  }
  return text;
}

// A feature node and the table it implies.
Status ParseFeature(const YamlNode& node, const EmbeddingSpec& defaults, FeatureSpec* feature,
                    EmbeddingSpec* embedding) {
  *embedding = defaults;
  int64_t admission_count = defaults.admission_count;
  MapReader map(node);
  map.Read("name", &feature->name);
  map.Read("column", &feature->column);
  map.ReadWord("type", kFeatureTypes, &feature->type);
  map.Read("length", &feature->length);
  map.Read("default", &feature->default_value);
  map.Read("log1p", &feature->log1p);
  map.Read("standardise", &feature->standardise);
  map.Read("mean", &feature->mean);
  map.Read("stddev", &feature->stddev);
  map.Read("boundaries", &feature->boundaries);
  map.Read("size", &feature->size);
  map.Read("default_id", &feature->default_id);
  map.Read("buckets", &feature->buckets);
  map.Read("vocabulary", &feature->vocabulary);
  map.Read("of", &feature->of);
  map.Read("weights", &feature->weights);
  map.Read("table", &feature->table);
  map.Read("wide", &feature->wide);
  map.Read("deep", &feature->deep);
  const YamlNode combiner = map.Child("combiner");
  feature->multi_valued = combiner.exists();
  ReadEmbeddingKeys(&map, embedding, &admission_count);
  RETURN_IF_ERROR(map.Finish());
  RETURN_IF_ERROR(GetWord(combiner, kCombiners, &feature->combiner));
  if (feature->name.empty()) return node.ErrorHere("a feature has no name");
  if (admission_count < 0 || admission_count > 1'000'000) {
    return node.ErrorHere(
        fmt::format("admission_count {} is not in [0, 1000000]", admission_count));
  }
  embedding->admission_count = static_cast<uint32_t>(admission_count);
  return OkStatus();
}

// Puts a finished feature into the spec; its table is made if it is not there yet.
void AddFeature(FeatureSpec feature, EmbeddingSpec embedding, ModelSpec* spec) {
  if (feature.column.empty() && feature.type != FeatureType::kCross) feature.column = feature.name;
  if (IsCategorical(feature)) {
    if (feature.table.empty()) feature.table = feature.name;
    const auto same = [&](const EmbeddingSpec& other) { return other.name == feature.table; };
    if (std::none_of(spec->embeddings.begin(), spec->embeddings.end(), same)) {
      embedding.name = feature.table;
      if (feature.type == FeatureType::kId) embedding.dense_size = 0;
      spec->embeddings.push_back(embedding);
    }
  }
  spec->input.features.push_back(std::move(feature));
}

Status ParseFeatures(const YamlNode& list, const EmbeddingSpec& defaults, ModelSpec* spec) {
  if (!list.is_list()) return list.ErrorHere("wanted a list of features");
  for (const YamlNode& node : list.elements()) {
    FeatureSpec feature;
    EmbeddingSpec embedding;
    RETURN_IF_ERROR(ParseFeature(node, defaults, &feature, &embedding));
    NameRange range;
    if (!ParseNameRange(feature.name, &range)) {
      AddFeature(std::move(feature), embedding, spec);
      continue;
    }
    for (int64_t number = range.first; number <= range.last; ++number) {
      FeatureSpec one = feature;
      one.name = range.before + std::to_string(number) + range.after;
      one.column = WithNumber(feature.column, number);
      one.table = WithNumber(feature.table, number);
      one.weights = WithNumber(feature.weights, number);
      AddFeature(std::move(one), embedding, spec);
    }
  }
  return OkStatus();
}

Status ParseTables(const YamlNode& list, const EmbeddingSpec& defaults, ModelSpec* spec) {
  if (!list.exists()) return OkStatus();
  if (!list.is_list()) return list.ErrorHere("wanted a list of tables");
  for (const YamlNode& node : list.elements()) {
    EmbeddingSpec embedding = defaults;
    int64_t admission_count = defaults.admission_count;
    MapReader map(node);
    map.Read("name", &embedding.name);
    map.Read("size", &embedding.dense_size);
    ReadEmbeddingKeys(&map, &embedding, &admission_count);
    RETURN_IF_ERROR(map.Finish());
    if (admission_count < 0 || admission_count > 1'000'000) {
      return node.ErrorHere(
          fmt::format("admission_count {} is not in [0, 1000000]", admission_count));
    }
    embedding.admission_count = static_cast<uint32_t>(admission_count);
    if (embedding.name.empty()) return node.ErrorHere("a table has no name");
    spec->embeddings.push_back(embedding);
  }
  return OkStatus();
}

Status ParseInputKeys(MapReader* map, InputSpec* input) {
  map->Read("label", &input->label);
  map->Read("example_weight", &input->example_weight);
  map->Read("group", &input->group);
  map->Read("ids", &input->id_columns);
  const YamlNode csv = map->Child("csv");
  MapReader csv_map(csv);
  csv_map.Read("columns", &input->csv_columns);
  csv_map.Read("label", &input->csv_label);
  return csv_map.Finish();
}

}  // namespace

StatusOr<ModelSpec> ParseModelFile(const std::string& text, const std::string& name) {
  ASSIGN_OR_RETURN(const YamlNode root, YamlNode::Parse(text, name));
  if (!root.is_map()) return Error("{}: found no map of keys and values", name);
  ModelSpec spec;
  spec.embeddings.clear();
  std::string kind = "wide_and_deep";
  int64_t seed = 0, admission_count = 0;
  EmbeddingSpec defaults;
  MapReader map(root);
  map.Read("model", &kind);
  RETURN_IF_ERROR(ParseInputKeys(&map, &spec.input));
  map.ReadWord("loss", kLosses, &spec.loss);
  map.Read("classes", &spec.classes);
  map.Read("class_weights", &spec.class_weights);
  map.Read("init", &spec.init);
  map.ReadWord("naming", kNamings, &spec.naming);
  map.Read("pooled_first_layer", &spec.pooled_first_layer);
  map.Read("seed", &seed);
  const YamlNode features = map.Child("features"), tables = map.Child("tables"),
                 embedding = map.Child("embedding"), optimizer = map.Child("optimizer"),
                 wide = map.Child("wide"), deep = map.Child("deep"), bottom = map.Child("bottom"),
                 schedule = map.Child("schedule");
  RETURN_IF_ERROR(map.Finish());

  StatusOr<ModelKind> parsed_kind = ParseModelKind(kind);
  if (!parsed_kind.ok()) return root["model"].ErrorHere(Message(parsed_kind.status()));
  spec.kind = *parsed_kind;
  spec.seed = static_cast<uint64_t>(seed);
  spec.input.classes = spec.loss == Loss::kMeanSquare ? 0 : spec.classes;

  MapReader embedding_map(embedding);
  embedding_map.Read("init_stddev", &spec.embedding_init_stddev);
  ReadEmbeddingKeys(&embedding_map, &defaults, &admission_count);
  RETURN_IF_ERROR(embedding_map.Finish());
  defaults.admission_count =
      static_cast<uint32_t>(std::clamp<int64_t>(admission_count, 0, 1000000));
  RETURN_IF_ERROR(ParseTables(tables, defaults, &spec));
  if (!features.exists()) return Error("{}: no key 'features'", name);
  RETURN_IF_ERROR(ParseFeatures(features, defaults, &spec));

  RETURN_IF_ERROR(ParseOptimizerNode(optimizer, &spec.deep_optimizer));
  spec.wide_optimizer = spec.deep_optimizer;
  RETURN_IF_ERROR(ParseMlpNode(deep, &spec.deep, &spec.deep_optimizer));
  RETURN_IF_ERROR(ParseMlpNode(bottom, &spec.bottom, nullptr));
  MapReader wide_map(wide);
  const YamlNode wide_optimizer = wide_map.Child("optimizer");
  RETURN_IF_ERROR(wide_map.Finish());
  RETURN_IF_ERROR(ParseOptimizerNode(wide_optimizer, &spec.wide_optimizer));
  RETURN_IF_ERROR(ParseSchedule(schedule, &spec.schedule));
  RETURN_IF_ERROR(Annotate(CheckModelSpec(spec), name));
  return spec;
}

namespace {

// A JSON string is a YAML string.
std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string QuotedList(const std::vector<std::string>& words) {
  std::vector<std::string> quoted;
  for (const std::string& word : words) quoted.push_back(Quoted(word));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

std::string NumberList(const std::vector<float>& numbers) {
  std::vector<std::string> words;
  for (const float number : numbers) words.push_back(fmt::format("{:.9g}", number));
  return fmt::format("[{}]", fmt::join(words, ", "));
}

std::string OptimizerText(const OptimizerSpec& o) {
  return fmt::format(
      "{{name: {}, learning_rate: {:.9g}, initial_accumulator: {:.9g}, momentum: {:.9g}, nesterov: "
      "{}, rmsprop_momentum: {:.9g}, decay: {:.9g}, rho: {:.9g}, beta1: {:.9g}, beta2: {:.9g}, "
      "epsilon: {:.9g}, learning_rate_power: {:.9g}, l1: {:.9g}, l2: {:.9g}}}",
      NameOf(o.kind), o.learning_rate, o.initial_accumulator, o.momentum, o.nesterov,
      o.rmsprop_momentum, o.decay, o.rho, o.beta1, o.beta2, o.epsilon, o.learning_rate_power, o.l1,
      o.l2);
}

std::string MlpText(const MlpSpec& m, const std::string& optimizer) {
  return fmt::format(
      "{{hidden: [{}], batch_norm: {}, batch_norm_output: {}, bn_epsilon: {:.9g}, bn_decay: "
      "{:.9g}, "
      "dropout: {:.9g}, dropout_last_only: {}{}}}",
      fmt::join(m.hidden, ", "), m.batch_norm, m.batch_norm_output, m.bn_epsilon, m.bn_decay,
      m.dropout, m.dropout_last_only, optimizer);
}

std::string FeatureText(const FeatureSpec& f) {
  std::string text =
      fmt::format("  - {{name: {}, type: {}", Quoted(f.name), WordOf(kFeatureTypes, f.type));
  if (!f.column.empty()) text += ", column: " + Quoted(f.column);
  if (f.type == FeatureType::kFloat) {
    text += fmt::format(", length: {}, default: {:.9g}, log1p: {}, standardise: {}", f.length,
                        f.default_value, f.log1p, f.standardise);
    if (!f.mean.empty()) text += ", mean: " + NumberList(f.mean);
    if (!f.stddev.empty()) text += ", stddev: " + NumberList(f.stddev);
    return text + "}\n";
  }
  if (f.type == FeatureType::kBucket) {
    text +=
        fmt::format(", default: {:.9g}, boundaries: {}", f.default_value, NumberList(f.boundaries));
  }
  if (f.type == FeatureType::kId) {
    text += fmt::format(", size: {}, default_id: {}", f.size, f.default_id);
  }
  if (f.buckets != 0) text += fmt::format(", buckets: {}", f.buckets);
  if (!f.vocabulary.empty()) text += ", vocabulary: " + QuotedList(f.vocabulary);
  if (!f.of.empty()) text += ", of: " + QuotedList(f.of);
  if (f.multi_valued) text += fmt::format(", combiner: {}", WordOf(kCombiners, f.combiner));
  if (!f.weights.empty()) text += ", weights: " + Quoted(f.weights);
  return text + fmt::format(", table: {}, wide: {}, deep: {}}}\n", Quoted(f.table), f.wide, f.deep);
}

std::string InputText(const InputSpec& input) {
  std::string text = "label: " + Quoted(input.label) + "\n";
  if (!input.example_weight.empty())
    text += "example_weight: " + Quoted(input.example_weight) + "\n";
  if (!input.group.empty()) text += "group: " + Quoted(input.group) + "\n";
  if (!input.id_columns.empty()) text += "ids: " + QuotedList(input.id_columns) + "\n";
  if (!input.csv_columns.empty() || !input.csv_label.empty()) {
    text += "csv: {columns: " + QuotedList(input.csv_columns);
    text += ", label: " + Quoted(input.csv_label) + "}\n";
  }
  return text;
}

}  // namespace

std::string ToModelFile(const ModelSpec& spec) {
  std::string text = fmt::format("model: {}\n", NameOf(spec.kind));
  text += InputText(spec.input);
  text += fmt::format("loss: {}\nclasses: {}\n", WordOf(kLosses, spec.loss), spec.classes);
  if (!spec.class_weights.empty())
    text += "class_weights: " + NumberList(spec.class_weights) + "\n";
  text += fmt::format("init: {}\nnaming: {}\npooled_first_layer: {}\nseed: {}\n", spec.init,
                      WordOf(kNamings, spec.naming), spec.pooled_first_layer,
                      static_cast<int64_t>(spec.seed));
  text += fmt::format("embedding: {{init_stddev: {:.9g}}}\n", spec.embedding_init_stddev);
  if (!spec.embeddings.empty()) text += "tables:\n";
  for (const EmbeddingSpec& e : spec.embeddings) {
    text +=
        fmt::format("  - {{name: {}, dim: {}, size: {}, admission_count: {}, expiry_steps: {}}}\n",
                    Quoted(e.name), e.dim, e.dense_size, e.admission_count, e.expiry_steps);
  }
  text += "features:\n";
  for (const FeatureSpec& feature : spec.input.features) text += FeatureText(feature);
  const LearningRateSchedule& s = spec.schedule;
  text += "wide: {optimizer: " + OptimizerText(spec.wide_optimizer) + "}\n";
  text +=
      "deep: " + MlpText(spec.deep, ", optimizer: " + OptimizerText(spec.deep_optimizer)) + "\n";
  text += "bottom: " + MlpText(spec.bottom, "") + "\n";
  text += fmt::format(
      "schedule: {{kind: {}, decay_steps: {}, decay_rate: {:.9g}, staircase: {}, power: {:.9g}, "
      "end_factor: {:.9g}, warmup_steps: {}}}\n",
      WordOf(kSchedules, s.kind), s.decay_steps, s.decay_rate, s.staircase, s.power, s.end_factor,
      s.warmup_steps);
  return text;
}

}  // namespace capstan
