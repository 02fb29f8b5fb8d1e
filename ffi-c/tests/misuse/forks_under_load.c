/* fork() while other threads are inside of the library, holding whatever locks it has. */
// within 60
// not under asan, valgrind or tsan: their own locks do not survive a fork of several threads
#include "misuse.h"

static peer server;

static void *load(void *unused) {
  (void)unused;
  spanwire_queue *queue = MADE(spanwire_queue_new());
  for (;;) {
    spanwire_channel *channel = spanwire_channel_new(NULL, server.target, NULL);
    for (int i = 0; i < 20; i++) {
      spanwire_call *call = NULL;
      spanwire_call_unary(channel, UNARY, TEXT("load"), NULL, queue, NULL, &call);
      if (i % 3 == 0) spanwire_call_cancel(call);
      spanwire_call_free(call);
    }
    spanwire_event events[32];
    int32_t count = spanwire_queue_next(queue, events, COUNT_OF(events), 1);
    if (count > 0) spanwire_events_free(events, (size_t)count);
    spanwire_channel_free(channel);
  }
  return NULL;
}

int main(void) {
  enum { FORKS = 40 };
  peer_start(&server, NULL, NULL);
  spanwire_queue *inherited = MADE(spanwire_queue_new());
  pthread_t threads[3];
  for (size_t i = 0; i < COUNT_OF(threads); i++) pthread_create(&threads[i], NULL, load, NULL);
  for (int i = 0; i < FORKS; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      alarm(20); /* One that hangs is killed, and seen. */
      CHECK_EQ(spanwire_queue_wake(inherited), SPANWIRE_FORKED);
      spanwire_queue_free(inherited);
      call_once(server.target);
      if (i % 2 == 0) exit(5);
      _exit(5);
    }
    expect_exit(pid, 5);
  }
  return 0;
}
