// The log lines of a job's pods.
#pragma once

#include <string>

#include "launch/engine.h"
#include "launch/job_outline.h"
#include "net/kubernetes_client.h"

namespace capstan {

// What pods have written so far, task by task, a task's pods in the order in which they were made.
Status ReadJobLogs(KubernetesClient* client, const std::string& job,
                   const std::string& namespace_name, const LogOptions& options,
                   const LogSink& sink);

// As it comes, also from pods and containers that are made later, until the job has ended and all
// that was written is read. A connection that breaks is made anew; no line comes twice.
Status FollowJobLogs(KubernetesClient* client, const std::string& job,
                     const std::string& namespace_name, const LogOptions& options,
                     const LogSink& sink);

}  // namespace capstan
