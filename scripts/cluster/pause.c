// The first process of each pod: holds its namespaces, and waits for what is left behind.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void Stop(int signal_number) { _exit(signal_number == 0); }
static void Reap(int signal_number) {
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

int main(void) {
  signal(SIGINT, Stop);
  signal(SIGTERM, Stop);
  signal(SIGCHLD, Reap);
  for (;;) pause();
}
