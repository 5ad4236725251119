// Where a job's paths lie: volumes, the pod's own, or a folder that goes with the container.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "launch/job_spec.h"

namespace capstan {

// Command and arguments, and whether they are a call of this program: `capstan train …`, whatever
// the folder.
std::vector<std::string> WordsOf(const ProgramSpec& program);
bool IsCapstanTrain(const ProgramSpec& program);

// Checks the paths of `capstan train` commands (other programs' words mean what they mean):
// - s3://, gs://, hdfs:// are refused by name;
// - checkpoints, events and exports lie on a volume that outlives its task, the same one in every
//   role that writes there (servers write their parts of a checkpoint themselves);
// - data does not lie on a volume that goes with the task; a path outside of volumes is the image's.
// Adds a warning where the volume is a folder of one machine.
Status CheckStorage(const JobSpec& job, std::vector<std::string>* warnings);

}  // namespace capstan
