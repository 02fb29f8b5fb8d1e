/* main returns while calls and streams run, threads drain queues, and nothing was freed. */
// times 5
#include "misuse.h"

int main(void) {
  static mess mess;
  make_mess(&mess);
  return 0;
}
