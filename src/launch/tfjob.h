// TFJob, kubeflow.org/v1, as a job without its operator.
//
// Everything that a TFJob can say is honoured, or refused by its name with the reason:
//   Master                      is Chief
//   restartPolicy Never         any failure ends the job; OnFailure, Always: retried, at most
//                               backoffLimit times (6 if not given) each; ExitCode: 128 and above
//                               retried, 1–127 final. An evicted pod is free of charge in all.
//   cleanPodPolicy              None, Running: servers end with the job, pods stay with their logs;
//                               All: only with ttlSecondsAfterFinished, which deletes them
//   enableDynamicWorker         sparse TF_CONFIG, a lost worker does not end the job
//   managedBy MultiKueue        refused
// Container `tensorflow` of each template is the task, port `tfjob-port` (2222) its address.
#pragma once

#include "base/status.h"
#include "base/yaml.h"
#include "launch/job_spec.h"

namespace capstan {

// `manifest` is a map with apiVersion kubeflow.org/v1 and kind TFJob. Errors name line and column.
StatusOr<JobSpec> ParseTfJob(const YamlNode& manifest);

}  // namespace capstan
