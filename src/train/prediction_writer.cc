#include "train/prediction_writer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "formats/example_builder.h"
#include "formats/tfrecord_writer.h"

namespace capstan {
namespace {

// One example's answer.
struct Answer {
  std::span<const std::string> ids;
  int64_t label = 0;                     // predicted class; not for regression
  float value = 0;                       // regression
  std::span<const float> probabilities;  // of all classes; empty for regression
};

// Turns logits into answers, one after another.
class AnswerMaker {
 public:
  explicit AnswerMaker(const ModelSpec& spec)
      : loss_(spec.loss), outputs_(OutputCount(spec)), id_count_(spec.input.id_columns.size()) {
    probabilities_.resize(loss_ == Loss::kMeanSquare ? 0 : loss_ == Loss::kSigmoid ? 2 : outputs_);
  }

  Answer Make(const Batch& batch, std::span<const float> logits, int example) {
    Answer answer;
    if (!batch.ids.empty()) {
      answer.ids = std::span<const std::string>(batch.ids).subspan(example * id_count_, id_count_);
    }
    const float* own = logits.data() + static_cast<size_t>(example) * outputs_;
    if (loss_ == Loss::kMeanSquare) {
      answer.value = own[0];
      return answer;
    }
    if (loss_ == Loss::kSigmoid) {
      probabilities_[1] = 1.0f / (1.0f + std::exp(-own[0]));
      probabilities_[0] = 1.0f - probabilities_[1];
      answer.label = own[0] >= 0 ? 1 : 0;
    } else {
      const float* largest = std::max_element(own, own + outputs_);
      float sum = 0;
      for (int i = 0; i < outputs_; ++i) sum += probabilities_[i] = std::exp(own[i] - *largest);
      for (float& probability : probabilities_) probability /= sum;
      answer.label = largest - own;
    }
    answer.probabilities = probabilities_;
    return answer;
  }

 private:
  const Loss loss_;
  const int outputs_;
  const size_t id_count_;
  std::vector<float> probabilities_;
};

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string JsonString(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20) {
      quoted += fmt::format("\\u{:04x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

class TextLines {
 public:
  TextLines(PredictionFormat format, const ModelSpec& spec) : format_(format), spec_(spec) {}

  std::string Header() const {
    if (format_ != PredictionFormat::kCsv) return "";
    std::string line;
    for (const std::string& id : spec_.input.id_columns) line += CsvField(id) + ",";
    line += "prediction";
    if (spec_.loss == Loss::kMeanSquare) return line + "\n";
    if (spec_.classes == 2) return line + ",probability\n";
    for (int i = 0; i < spec_.classes; ++i) line += fmt::format(",probability_{}", i);
    return line + "\n";
  }

  void Append(const Answer& answer, std::string* out) const {
    if (format_ == PredictionFormat::kCsv) return AppendCsv(answer, out);
    if (format_ == PredictionFormat::kJson) return AppendJson(answer, out);
    const bool regression = spec_.loss == Loss::kMeanSquare;
    const auto values =
        regression ? std::span<const float>(&answer.value, 1) : answer.probabilities;
    for (size_t i = 0; i < values.size(); ++i) {
      fmt::format_to(std::back_inserter(*out), "{}{:.18e}", i > 0 ? "," : "",
                     static_cast<double>(values[i]));
    }
    *out += '\n';
  }

 private:
  void AppendCsv(const Answer& answer, std::string* out) const {
    for (const std::string& id : answer.ids) *out += CsvField(id) + ",";
    auto to = std::back_inserter(*out);
    if (spec_.loss == Loss::kMeanSquare) {
      fmt::format_to(to, "{}\n", answer.value);
      return;
    }
    fmt::format_to(to, "{}", answer.label);
    const auto shown = spec_.classes == 2 ? answer.probabilities.last(1) : answer.probabilities;
    for (const float probability : shown) fmt::format_to(to, ",{}", probability);
    *out += '\n';
  }

  void AppendJson(const Answer& answer, std::string* out) const {
    *out += '{';
    for (size_t i = 0; i < answer.ids.size(); ++i) {
      *out += JsonString(spec_.input.id_columns[i]) + ": " + JsonString(answer.ids[i]) + ", ";
    }
    auto to = std::back_inserter(*out);
    if (spec_.loss == Loss::kMeanSquare) {
      fmt::format_to(to, "\"prediction\": {}}}\n", answer.value);
    } else if (spec_.classes == 2) {
      fmt::format_to(to, "\"prediction\": {}, \"probability\": {}}}\n", answer.label,
                     answer.probabilities[1]);
    } else {
      fmt::format_to(to, "\"prediction\": {}, \"probability\": [{}]}}\n", answer.label,
                     fmt::join(answer.probabilities, ", "));
    }
  }

  const PredictionFormat format_;
  const ModelSpec& spec_;
};

class TextPredictionWriter : public PredictionWriter {
 public:
  TextPredictionWriter(FileSystem& fs, std::string path, std::unique_ptr<WritableFile> file,
                       PredictionFormat format, const ModelSpec& spec)
      : fs_(fs),
        path_(std::move(path)),
        file_(std::move(file)),
        spec_(spec),
        lines_(format, spec_),
        answers_(spec_) {
    text_ = lines_.Header();
  }
  ~TextPredictionWriter() override {
    if (file_ != nullptr && path_ != "-") fs_.Remove(file_->path()).IgnoreError();
  }

  Status Write(const Batch& batch, std::span<const float> logits) override {
    for (int i = 0; i < batch.size; ++i) lines_.Append(answers_.Make(batch, logits, i), &text_);
    const Status status = file_->Append(text_);
    text_.clear();
    return status;
  }
  Status Close() override {
    RETURN_IF_ERROR(file_->Append(text_));
    RETURN_IF_ERROR(file_->Close());
    const std::string beside = file_->path();
    file_.reset();
    return path_ == "-" ? OkStatus() : fs_.Rename(beside, path_);
  }

 private:
  FileSystem& fs_;
  const std::string path_;
  std::unique_ptr<WritableFile> file_;
  const ModelSpec spec_;
  const TextLines lines_;
  AnswerMaker answers_;
  std::string text_;
};

class TfRecordPredictionWriter : public PredictionWriter {
 public:
  TfRecordPredictionWriter(FileSystem& fs, std::string path, std::unique_ptr<TfRecordWriter> file,
                           const ModelSpec& spec)
      : fs_(fs), path_(std::move(path)), file_(std::move(file)), spec_(spec), answers_(spec_) {}
  ~TfRecordPredictionWriter() override {
    if (file_ != nullptr) fs_.Remove(path_ + ".tmp").IgnoreError();
  }

  Status Write(const Batch& batch, std::span<const float> logits) override {
    for (int i = 0; i < batch.size; ++i) {
      const Answer answer = answers_.Make(batch, logits, i);
      for (size_t k = 0; k < answer.ids.size(); ++k) {
        const std::string_view id = answer.ids[k];
        example_.AddBytes(spec_.input.id_columns[k], {&id, 1});
      }
      if (spec_.loss == Loss::kMeanSquare) {
        example_.AddFloats("prediction", {&answer.value, 1});
      } else {
        example_.AddInts("prediction", {&answer.label, 1});
        example_.AddFloats("probability", spec_.classes == 2 ? answer.probabilities.last(1)
                                                             : answer.probabilities);
      }
      RETURN_IF_ERROR(file_->Write(example_.Finish()));
    }
    return OkStatus();
  }
  Status Close() override {
    RETURN_IF_ERROR(file_->Close());
    file_.reset();
    return fs_.Rename(path_ + ".tmp", path_);
  }

 private:
  FileSystem& fs_;
  const std::string path_;
  std::unique_ptr<TfRecordWriter> file_;
  const ModelSpec spec_;
  AnswerMaker answers_;
  ExampleBuilder example_;
};

}  // namespace

StatusOr<PredictionFormat> ParsePredictionFormat(const std::string& name, const std::string& path) {
  if (name == "csv") return PredictionFormat::kCsv;
  if (name == "json") return PredictionFormat::kJson;
  if (name == "tfrecord") return PredictionFormat::kTfRecord;
  if (name == "script") return PredictionFormat::kScript;
  if (!name.empty()) {
    return Error("unknown format '{}', wanted csv, json, tfrecord or script", name);
  }
  if (path.ends_with(".json") || path.ends_with(".jsonl")) return PredictionFormat::kJson;
  if (path.ends_with(".tfrecord") || path.ends_with(".tfrecords")) {
    return PredictionFormat::kTfRecord;
  }
  return PredictionFormat::kCsv;
}

StatusOr<std::unique_ptr<PredictionWriter>> NewPredictionWriter(FileSystem& fs,
                                                                const std::string& path,
                                                                PredictionFormat format,
                                                                const ModelSpec& spec) {
  if (format == PredictionFormat::kTfRecord) {
    if (path == "-") return Error("TFRecords go to a file, not to the standard output");
    ASSIGN_OR_RETURN(std::unique_ptr<TfRecordWriter> file,
                     TfRecordWriter::Create(fs, path + ".tmp", Compression::kNone));
    return std::make_unique<TfRecordPredictionWriter>(fs, path, std::move(file), spec);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file,
                   fs.Create(path == "-" ? "/dev/stdout" : path + ".tmp"));
  return std::make_unique<TextPredictionWriter>(fs, path, std::move(file), format, spec);
}

}  // namespace capstan
