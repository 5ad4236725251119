#include "launch/kubernetes_submit.h"

#include <map>
#include <nlohmann/json.hpp>

#include "launch/kubernetes_gang.h"
#include "launch/kubernetes_rights.h"
#include "launch/kubernetes_status.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

std::string Replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
}

// The UID of the owner with which our objects are marked; "" without one.
std::string OwnerOf(const std::string& object) {
  const Json json = Json::parse(object, nullptr, false);
  const Json::json_pointer place("/metadata/ownerReferences/0/uid");
  return json.is_object() && json.contains(place) ? json[place].get<std::string>() : "";
}

std::string UidOf(const std::string& object) {
  const Json json = Json::parse(object, nullptr, false);
  const Json::json_pointer place("/metadata/uid");
  return json.is_object() && json.contains(place) ? json[place].get<std::string>() : "";
}

class Submit {
 public:
  Submit(KubernetesClient* client, const Plan& plan, const SubmitOptions& options)
      : client_(client), plan_(plan), options_(options) {}

  Status Run() {
    RETURN_IF_ERROR(Render());
    std::string rules;
    const Status rights = CheckRights(client_, plan_.namespace_name, RightsFor(objects_), &rules);
    if (!rules.empty()) {
      options_.notice(
          fmt::format("a Role in namespace {} with these rules gives what is missing:\n{}",
                      plan_.namespace_name, rules));
    }
    RETURN_IF_ERROR(rights);
    RETURN_IF_ERROR(Look());
    if (ended_) {
      options_.notice(
          fmt::format("job {} has ended already; delete it to run it again", plan_.spec.name));
      return OkStatus();
    }
    RETURN_IF_ERROR(Try());
    if (options_.dry_run) return OkStatus();
    return Write();
  }

 private:
  ObjectName NameOfObject(const KubernetesObject& object) const {
    return {object.api_version, object.kind, object.name, plan_.namespace_name};
  }

  Status RenderFor(GangRoute gang) {
    std::vector<std::string> warnings;
    const KubernetesTarget target{.minor = client_->version().minor, .gang = gang};
    ASSIGN_OR_RETURN(std::vector<KubernetesObject> objects,
                     RenderObjects(plan_, target, &warnings));
    for (const std::string& warning : warnings) options_.notice(warning);
    gang_ = gang;
    objects_ = std::move(objects);
    for (const KubernetesObject& object : objects_) {
      if (!object.is_anchor) continue;
      ASSIGN_OR_RETURN(outline_, OutlineIn(object.json));
    }
    return OkStatus();
  }

  Status Render() {
    RETURN_IF_ERROR(ParseKubernetesMinor(client_->version().text).status());
    if (plan_.roles.empty()) return RenderFor(GangRoute::kNone);
    ASSIGN_OR_RETURN(const GangRoute gang, ChooseGang(client_, plan_.spec));
    RETURN_IF_ERROR(RenderFor(gang));
    if (gang != GangRoute::kNone) return OkStatus();
    const std::string shortage = DeviceShortage(client_, plan_);
    if (!shortage.empty()) options_.notice(shortage);
    return OkStatus();
  }

  // What is there already: ours to complete, or somebody else's.
  Status Look() {
    for (const KubernetesObject& object : objects_) {
      const StatusOr<std::string> found = client_->Get(NameOfObject(object));
      if (found.ok()) {
        found_[&object - objects_.data()] = *found;
        continue;
      }
      if (found.status().code() != absl::StatusCode::kNotFound) return found.status();
    }
    for (size_t i = 0; i < objects_.size(); ++i) {
      if (!found_.contains(i)) continue;
      if (objects_[i].is_anchor) {
        RETURN_IF_ERROR(CheckAnchor(objects_[i], found_[i]));
      } else if (objects_[i].is_owned &&
                 (anchor_uid_.empty() || OwnerOf(found_[i]) != anchor_uid_)) {
        return Taken(objects_[i]);
      }
    }
    return OkStatus();
  }

  Status Taken(const KubernetesObject& object) const {
    return MakeStatus(absl::StatusCode::kAlreadyExists,
                      fmt::format("job {}: there is a {} {} in namespace {} that is not of this "
                                  "job: delete it, or choose another name",
                                  plan_.spec.name, object.kind, object.name, plan_.namespace_name));
  }

  Status CheckAnchor(const KubernetesObject& anchor, const std::string& found) {
    const StatusOr<JobOutline> outline = OutlineIn(found);
    if (!outline.ok()) return Taken(anchor);
    const KubernetesJobState state = StateOfKubernetesJob(found);
    if (state.deleted) {
      return MakeStatus(
          absl::StatusCode::kAborted,
          fmt::format("job {} is being deleted: submit again when it is gone", plan_.spec.name));
    }
    // Another hash with no difference: another version of this program rendered it.
    if (outline->hash != outline_.hash) {
      std::string difference = DifferenceOf(anchor.json, found);
      if (difference.empty()) difference = DifferenceOfOthers();
      if (!difference.empty()) return Conflict(difference);
    }
    anchor_uid_ = UidOf(found);
    ended_ = state.complete || state.failed;
    suspended_ = state.suspended;
    wanted_suspended_ = state.wanted_suspended;
    return OkStatus();
  }

  Status Conflict(const std::string& difference) const {
    return MakeStatus(absl::StatusCode::kAlreadyExists,
                      fmt::format("there is another job {} in namespace {}: {}; delete it, or "
                                  "choose another name",
                                  plan_.spec.name, plan_.namespace_name, difference));
  }

  std::string DifferenceOfOthers() {
    for (size_t i = 0; i < objects_.size(); ++i) {
      if (objects_[i].is_anchor || objects_[i].kind == "Secret" || !found_.contains(i)) continue;
      Json wanted = Json::parse(objects_[i].json, nullptr, false);
      wanted.erase("metadata");
      const std::string difference = DifferenceOf(wanted.dump(), found_[i]);
      if (!difference.empty())
        return fmt::format("{} {}: {}", objects_[i].kind, objects_[i].name, difference);
    }
    return "";
  }

  // All objects as the server would take them, before the first is written.
  Status Try() {
    for (size_t i = 0; i < objects_.size(); ++i) {
      if (found_.contains(i) && (objects_[i].is_owned || objects_[i].is_anchor)) continue;
      const Status status = client_->Apply(objects_[i].json, {.dry_run = true}).status();
      const bool no_group = !status.ok() && gang_ == GangRoute::kPodGroup &&
                            plan_.spec.gang == GangRoute::kAuto &&
                            Message(status).find("schedulingGroup") != std::string::npos;
      if (no_group) {
        // The kind is there, but the scheduler's gate is off.
        found_.clear();
        RETURN_IF_ERROR(RenderFor(GangRoute::kNone));
        RETURN_IF_ERROR(Look());
        return Try();
      }
      RETURN_IF_ERROR(status);
    }
    return OkStatus();
  }

  StatusOr<std::string> TextOf(const KubernetesObject& object) const {
    std::string text = Replaced(object.json, kAnchorUid, anchor_uid_);
    if (object.kind != "Secret" || text.find(kTokenPlaceholder) == std::string::npos) return text;
    ASSIGN_OR_RETURN(const std::string token, options_.make_token());
    return Replaced(std::move(text), kTokenPlaceholder, token);
  }

  Status Write() {
    const KubernetesObject* anchor = nullptr;
    for (size_t i = 0; i < objects_.size(); ++i) {
      const KubernetesObject& object = objects_[i];
      if (object.is_anchor) anchor = &object;
      // Serving objects have no owner: a newer file changes them.
      const bool there = found_.contains(i);
      if (there && (object.is_anchor || object.is_owned)) continue;
      ASSIGN_OR_RETURN(const std::string text, TextOf(object));
      ASSIGN_OR_RETURN(const std::string written, client_->Apply(text));
      if (!object.is_anchor) continue;
      anchor_uid_ = UidOf(written);
      suspended_ = true;
      wanted_suspended_ = plan_.spec.suspended;
    }
    const bool let_go =
        anchor != nullptr && suspended_ && !wanted_suspended_ && gang_ != GangRoute::kKueue;
    if (!let_go) return OkStatus();
    return client_->Patch(NameOfObject(*anchor), R"({"spec":{"suspend":false}})").status();
  }

  KubernetesClient* const client_;
  const Plan& plan_;
  const SubmitOptions& options_;
  GangRoute gang_ = GangRoute::kNone;
  JobOutline outline_;
  std::vector<KubernetesObject> objects_;
  std::map<size_t, std::string> found_;  // by index of objects_
  std::string anchor_uid_;
  bool ended_ = false, suspended_ = false, wanted_suspended_ = false;
};

}  // namespace

Status SubmitPlan(KubernetesClient* client, const Plan& plan, const SubmitOptions& options) {
  return Annotate(Submit(client, plan, options).Run(), "submit " + plan.spec.name);
}

}  // namespace capstan
