#include "cli/stop_signals.h"

#include <csignal>
#include <cstdlib>

namespace capstan {
namespace {

// Written by the signal handler only.
volatile std::sig_atomic_t g_stop_signal = 0;

void OnStopSignal(int signal) {
  if (g_stop_signal != 0) std::_Exit(128 + signal);
  g_stop_signal = signal;
}

bool IsIgnored(int signal) {
  struct sigaction action = {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void CatchStopSignals() {
  struct sigaction action = {};
  action.sa_handler = OnStopSignal;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  if (!IsIgnored(SIGHUP)) ::sigaction(SIGHUP, &action, nullptr);
}

int StopSignal() { return g_stop_signal; }

}  // namespace capstan
