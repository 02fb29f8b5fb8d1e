#include "common.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

/* What the thread that waits for Ctrl-C needs. */
typedef struct stop {
  sigset_t interrupts;
  spanwire_server *server;
  spanwire_queue *queue;
} stop;

static void *wait_for_interrupt(void *argument) {
  stop *stop = argument;
  int number;
  sigwait(&stop->interrupts, &number);
  spanwire_server_shutdown(stop->server, 5000, stop->queue, NULL);
  return NULL;
}

int serve(spanwire_server *server, spanwire_queue *queue, const char *address,
          void (*handle)(void *self, spanwire_event *event), void *self) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (spanwire_server_listen(server, address) < 0) return failed("listening");
  char target[256];
  spanwire_server_target(server, target, sizeof target);
  printf("listening on %s\n", target);

  /* A thread of its own takes Ctrl-C; the library's take no signals. */
  stop stop = {.server = server, .queue = queue};
  sigemptyset(&stop.interrupts);
  sigaddset(&stop.interrupts, SIGINT);
  sigaddset(&stop.interrupts, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &stop.interrupts, NULL);
  pthread_t thread;
  if (pthread_create(&thread, NULL, wait_for_interrupt, &stop) != 0) return 1;
  for (bool open = true; open;) {
    spanwire_event events[64];
    int32_t count = spanwire_queue_next(queue, events, 64, -1);
    for (int32_t i = 0; i < count; i++) {
      if (events[i].type == SPANWIRE_EVENT_SERVER_CLOSED) {
        open = false;
      } else {
        handle(self, &events[i]);
      }
    }
    if (count > 0) spanwire_events_free(events, (size_t)count);
  }
  pthread_join(thread, NULL);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
  printf("bye\n");
  return 0;
}

int failed(const char *what) {
  fprintf(stderr, "%s: %s\n", what, spanwire_last_error());
  return 1;
}

int outcome(const spanwire_status *status) {
  if (status->code == SPANWIRE_CODE_OK) return 0;
  fprintf(stderr, "%s: %s\n", spanwire_code_name(status->code), status->message);
  return 1;
}
