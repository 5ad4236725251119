// What a capstan process ends with (TFJob's rule: 1–127 are final, 128 and above may be retried).
#pragma once

namespace capstan {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,      // any failure that has no code of its own
  kExitUsage = 2,        // flags
  kExitPeersGone = 3,    // peers are gone for good
  kExitTerminated = 143  // a training task ended by SIGTERM, after its checkpoint
};

}  // namespace capstan
