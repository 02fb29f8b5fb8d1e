/* fork and exec with live calls: the new program inherits no descriptor, and the old one goes on. */
// not under tsan (it has no threads in a child of several) and valgrind (/proc/self/exe is not the program)
#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>

#include "misuse.h"

static mess live;

static size_t open_descriptors(void) {
  DIR *folder = opendir("/proc/self/fd");
  CHECK(folder != NULL);
  size_t count = 0;
  while (readdir(folder) != NULL) count++;
  closedir(folder);
  return count;
}

int main(int argc, char **argv) {
  extern char **environ;
  if (argc > 1) {
    printf("%zu descriptors here, %s before\n", open_descriptors(), argv[1]);
    return open_descriptors() > (size_t)atol(argv[1]);
  }
  char before[32];
  snprintf(before, sizeof before, "%zu", open_descriptors());
  make_mess(&live);
  CHECK(open_descriptors() > (size_t)atol(before));

  char *arguments[] = {argv[0], before, NULL};
  for (int i = 0; i < 5; i++) {
    pid_t child = fork();
    if (child == 0) {
      execv("/proc/self/exe", arguments);
      _exit(9);
    }
    expect_exit(child, 0);
    CHECK_EQ(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ), 0);
    expect_exit(child, 0);
    CHECK_EQ(system("true"), 0);
    call_once(live.peer.target);
  }
  return 0;
}
