/* exit() in one thread while main waits for events for ever. */
// exit 7
// times 5
#include "misuse.h"

static void *leave(void *unused) {
  (void)unused;
  usleep(20000);
  exit(7);
}

int main(void) {
  static mess mess;
  make_mess(&mess);
  pthread_t thread;
  pthread_create(&thread, NULL, leave, NULL);
  spanwire_queue *empty = spanwire_queue_new();
  spanwire_event event;
  while (spanwire_queue_next(empty, &event, 1, -1) >= 0) {
  }
  /* Only exit() ends this. */
  pause();
  return 1;
}
