// The flags of `capstan train`: those of deep_recommend_system in both name sets, and ours.
#pragma once

#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "cli/flags.h"
#include "model/model_spec.h"
#include "model/script_model.h"
#include "train/session.h"

namespace capstan {

// Values as given; zeros and empty texts stand for a default that depends on the data.
struct TrainFlags {
  std::string train_files = "./data/cancer/cancer_train.csv.tfrecords";
  std::string validation_files;
  std::string file_format;
  int train_batch_size = 0;
  int validation_batch_size = 1024;
  int epoch_number = 0;
  int64_t shuffle_block = 65536;
  int64_t max_bad_records = 0;
  int64_t seed = 0;
  int threads = 0;
  int input_threads = 1;
  std::string model_file;
  std::string precision = "fp32";
  std::string id_columns, group_column, weight_column, label_column;
  ScriptModelOptions script;
  int steps_to_validate = -1;
  std::string checkpoint_path, output_path, model_path;
  std::string mode = "train";
  bool resume_from_checkpoint = true;
  std::string inference_data_file, inference_result_file = "./inference_result.txt";
  bool log_json = false, quiet = false;
  SessionOptions session;
};

// --file_format: an error of usage, unless it is a name of a format, or empty.
Status CheckFileFormat(const std::string& name);

// Declares all of them on `flags`, which fills `*values`.
void DeclareTrainFlags(FlagSet* flags, TrainFlags* values);

// The model: from --model_file (flags that were given override it), or as the scripts would make it
// from what the training files hold.
StatusOr<ModelSpec> ModelSpecFromFlags(FileSystem& fs, const FlagSet& flags,
                                       const TrainFlags& values);

// Everything else, with the defaults of the dense or the sparse script, or those of model files.
StatusOr<SessionOptions> SessionOptionsFromFlags(FileSystem& fs, const FlagSet& flags,
                                                 const TrainFlags& values, const ModelSpec& spec);

// --threads, or the processors that this process may use.
int ThreadCount(int threads_flag);

}  // namespace capstan
