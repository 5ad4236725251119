// Job files: docs/job_file.md, docs/job_file.schema.json.
#pragma once

#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/status.h"
#include "base/yaml.h"
#include "launch/job_spec.h"

namespace capstan {

// A file's content: a job file, or a TFJob manifest (told by its apiVersion and kind). Other
// manifests are refused by kind. `name` is the file's name for messages.
StatusOr<JobSpec> ParseJob(const std::string& text, const std::string& name);

// The same from a file; its folder becomes JobSpec::base_folder.
StatusOr<JobSpec> ReadJob(FileSystem& fs, const std::string& path);

// A parsed job file. Errors name line and column, an unknown key its nearest known one.
StatusOr<JobSpec> ParseJobFile(const YamlNode& file);

// The documentation that is made from the declarations of the keys: Markdown, and JSON schema.
std::string JobFilePage();
std::string JobFileSchema();

}  // namespace capstan
