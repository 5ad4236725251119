// What kinds of objects an API server has, and under which paths.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "base/status.h"

namespace capstan {

struct ApiResource {
  std::string api_version;  // "batch/v1", "v1"
  std::string kind;         // "Job"
  std::string plural;       // "jobs"
  bool namespaced = true;

  std::string group() const;  // "batch"; "" for the core
  // "/apis/batch/v1/namespaces/clicks/jobs[/name]".
  std::string Path(const std::string& namespace_name, const std::string& name = "") const;
};

class ApiResources {
 public:
  // A reply to /api or /apis in the aggregated form (APIGroupDiscoveryList, v2 or v2beta1). False
  // if the server has answered in another form: then ask each group version.
  StatusOr<bool> AddAggregated(const std::string& json);
  // A reply to /api/v1 or /apis/GROUP/VERSION; "" for a group version that is not there.
  Status AddGroupVersion(const std::string& api_version, const std::string& json);

  // All group versions are known, so that what is not there does not exist.
  void set_complete() { complete_ = true; }
  bool Knows(const std::string& api_version) const {
    return complete_ || known_.contains(api_version);
  }
  const ApiResource* Find(const std::string& api_version, const std::string& kind) const;

 private:
  std::map<std::pair<std::string, std::string>, ApiResource> resources_;  // by version, kind
  std::set<std::string> known_;
  bool complete_ = false;
};

// "/api/v1", "/apis/batch/v1".
std::string ApiPath(const std::string& api_version);

}  // namespace capstan
