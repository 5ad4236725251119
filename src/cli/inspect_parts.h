// The parts of `capstan inspect`: for each kind of file a description as JSON, and that description
// as text. Only src/cli/inspect*.cc include this.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "cli/inspect.h"

namespace capstan {

// Text, or one JSON object if options.json (in which NaN and infinite numbers are null).
StatusOr<std::string> InspectRecords(FileSystem& fs, const std::string& path,
                                     const InspectOptions& options);
StatusOr<std::string> InspectBundle(FileSystem& fs, const std::string& prefix,
                                    const InspectOptions& options);
StatusOr<std::string> InspectCheckpointFolder(FileSystem& fs, const std::string& folder,
                                              const InspectOptions& options);
StatusOr<std::string> InspectSavedModel(FileSystem& fs, const std::string& folder,
                                        const InspectOptions& options);
StatusOr<std::string> InspectMetaGraphFile(FileSystem& fs, const std::string& path,
                                           const InspectOptions& options);
StatusOr<std::string> InspectEvents(FileSystem& fs, const std::string& path,
                                    const InspectOptions& options);

// Digests, as the header of Inspect says.
StatusOr<std::string> DigestRecords(FileSystem& fs, const std::string& path);
StatusOr<std::string> DigestSavedModel(FileSystem& fs, const std::string& folder);

// Columns side by side, two spaces between, each line indented by two. All rows have as many cells.
std::string AlignColumns(const std::vector<std::vector<std::string>>& rows);
// Numbers with up to six digits, as people write them.
std::string ShortNumber(double number);
// Printable bytes as they are, others as \xNN; cut behind `max_bytes`.
std::string Printable(std::string_view bytes, size_t max_bytes = 60);
// Bytes that are UTF-8 as they are, others escaped as Printable does.
std::string JsonText(std::string_view bytes);

}  // namespace capstan
