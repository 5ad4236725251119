// The signals that ask this process to end. They are the one thing in the program that cannot be
// passed in.
#pragma once

namespace capstan {

// From now on the first SIGINT, SIGTERM or SIGHUP is only noted; a second one ends the process at
// once, with 128 + its number. A SIGHUP that is ignored (nohup) stays so.
void CatchStopSignals();

// The one that came; 0: none.
int StopSignal();

}  // namespace capstan
