// TensorBoard's event files: TFRecord framing of Event messages, the first of which has
// file_version "brain.Event:2".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"

namespace tensorflow {
class Event;
}

namespace capstan {

struct ScalarEvent {
  std::string tag;
  float value = 0;
};

// One writer, one thread (the caller locks). The time comes from outside.
class EventFileWriter {
 public:
  // Creates FOLDER/events.out.tfevents.<seconds, 10 digits>.<host><suffix> with its first record
  // flushed. A name that exists gets ".1", ".2", … behind it.
  static StatusOr<std::unique_ptr<EventFileWriter>> Create(FileSystem& fs,
                                                           const std::string& folder,
                                                           double wall_time_s,
                                                           const std::string& host,
                                                           const std::string& suffix);
  ~EventFileWriter();

  // Scalars of one step in one event (Summary.Value with simple_value), flushed.
  Status WriteScalars(double wall_time_s, int64_t step, const std::vector<ScalarEvent>& scalars);
  Status WriteHistogram(double wall_time_s, int64_t step, const std::string& tag,
                        const std::vector<float>& values);
  // A serialized GraphDef, for TensorBoard's graph page.
  Status WriteGraph(double wall_time_s, std::string_view graph_def);
  Status Write(const tensorflow::Event& event);
  Status Close();

  const std::string& path() const;

 private:
  struct Rep;
  explicit EventFileWriter(std::unique_ptr<Rep> rep);
  const std::unique_ptr<Rep> rep_;
};

// All events of a file, in order. A cut last record (a writer that was killed) ends the file
// silently; any other damage is an error.
Status ReadEventFile(FileSystem& fs, const std::string& path,
                     const std::function<Status(const tensorflow::Event&)>& sink);

}  // namespace capstan
