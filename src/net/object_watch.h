// A copy of the objects of one kind in a cluster, kept up to date: list, then watch with bookmarks;
// when the server no longer knows our place (410 Gone), list again.
#pragma once

#include <map>
#include <string>

#include "net/kubernetes_client.h"

namespace capstan {

class ObjectWatch {
 public:
  // `client` must outlive it.
  ObjectWatch(KubernetesClient* client, std::string api_version, std::string kind,
              std::string selector, std::string namespace_name = "");
  ~ObjectWatch();
  ObjectWatch(const ObjectWatch&) = delete;
  ObjectWatch& operator=(const ObjectWatch&) = delete;

  // Does what is due: the first list, another list, a new connection at growing intervals. Does not
  // wait for changes: those come in while the caller polls the client. Errors are those of lists
  // and of a server that refuses us; cut connections are none.
  Status Advance();
  // By name; as of the last Advance and Poll.
  const std::map<std::string, std::string>& objects() const { return objects_; }
  // Whether objects have changed since the last call.
  bool TakeChanged();

 private:
  void TakeBytes(std::string_view bytes);
  void TakeEvent(const std::string& line);
  void End(const StatusOr<HttpReply>& reply);

  KubernetesClient* const client_;
  const std::string api_version_, kind_, selector_, namespace_;
  std::map<std::string, std::string> objects_;
  std::string resource_version_;  // "": list
  std::string line_;              // the beginning of an event
  int stream_ = 0;                // 0: none runs
  int failures_ = 0;              // in a row
  std::chrono::microseconds next_attempt_{0};
  Status refused_;
  bool changed_ = false;
};

}  // namespace capstan
