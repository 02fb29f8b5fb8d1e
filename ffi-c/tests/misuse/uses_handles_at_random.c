/* Threads make, use, free and use again the same handles without any order. Whatever is answered, nothing breaks.
 */
// within 60
#include <stdatomic.h>

#include "misuse.h"

enum { THREADS = 4, STEPS = 4000, PLACES = 8 };

/* Seen by all threads; any of them may hold a handle that another one has just freed. */
static _Atomic(spanwire_queue *) queues[PLACES];
static _Atomic(spanwire_channel *) channels[PLACES];
static _Atomic(spanwire_call *) calls[PLACES];
static _Atomic(spanwire_server_call *) server_calls[PLACES];
static char target[64];

static void take_events(spanwire_queue *queue, unsigned at) {
  spanwire_event events[4];
  int32_t count = spanwire_queue_next(queue, events, COUNT_OF(events), 0);
  for (int32_t i = 0; i < count; i++) {
    if (events[i].server_call != NULL) {
      spanwire_server_call *before = atomic_exchange(&server_calls[at], events[i].server_call);
      spanwire_server_call_free(before);
    }
    spanwire_event_free(&events[i]);
    spanwire_event_free(&events[i]);
  }
}

static void start(unsigned place, unsigned other) {
  spanwire_call *call = NULL;
  spanwire_call_options options = {.size = sizeof options, .credit = other, .timeout_ms = other == 3 ? 5 : 0};
  if (other % 2 == 0) {
    spanwire_call_unary(channels[place], UNARY, TEXT("random"), &options, queues[other], NULL, &call);
  } else {
    spanwire_call_start(channels[place], BIDI, SPANWIRE_KIND_BIDI, &options, queues[other], NULL, &call);
  }
  spanwire_call_free(atomic_exchange(&calls[place], call));
}

static void step(unsigned what, unsigned place, unsigned other) {
  switch (what) {
    case 0:
      if (other < 2) spanwire_queue_free(atomic_exchange(&queues[place], spanwire_queue_new()));
      break;
    case 1:
      if (other < 2)
        spanwire_channel_free(atomic_exchange(&channels[place], spanwire_channel_new(NULL, target, NULL)));
      break;
    case 2:
    case 3:
      start(place, other);
      break;
    case 4:
      spanwire_call_send(calls[place], TEXT("more"));
      spanwire_call_grant(calls[other], 2);
      break;
    case 5:
      spanwire_call_half_close(calls[place]);
      spanwire_call_cancel(calls[other]);
      break;
    case 6:
      spanwire_call_free(calls[place]);
      spanwire_call_free(calls[place]);
      break;
    case 7:
      spanwire_server_call_send(server_calls[place], TEXT("down"));
      spanwire_server_call_headers(server_calls[other], NULL);
      break;
    case 8:
      spanwire_server_call_respond(server_calls[place], TEXT("end"), NULL);
      spanwire_server_call_finish(server_calls[other], SPANWIRE_CODE_ABORTED, "enough", NULL);
      break;
    case 9:
      spanwire_server_call_cancel(server_calls[place]);
      spanwire_server_call_free(server_calls[other]);
      spanwire_server_call_free(server_calls[other]);
      break;
    default:
      take_events(queues[place], other);
  }
}

static void *wander(void *argument) {
  unsigned seed = (unsigned)(uintptr_t)argument;
  for (int i = 0; i < STEPS; i++) {
    unsigned what = (unsigned)rand_r(&seed) % 14;
    step(what, (unsigned)rand_r(&seed) % PLACES, (unsigned)rand_r(&seed) % PLACES);
  }
  return NULL;
}

int main(int argc, char **argv) {
  unsigned seed = argc > 1 ? (unsigned)atoi(argv[1]) : (unsigned)time(NULL);
  printf("seed %u\n", seed);
  fflush(stdout);
  spanwire_queue *requests = MADE(spanwire_queue_new());
  for (int i = 0; i < PLACES; i++) queues[i] = MADE(spanwire_queue_new());
  spanwire_server *server = MADE(spanwire_server_new(NULL, NULL));
  TRY(spanwire_server_method(server, UNARY, SPANWIRE_KIND_UNARY, queues[0], NULL, 2));
  TRY(spanwire_server_method(server, BIDI, SPANWIRE_KIND_BIDI, requests, NULL, 2));
  TRY(spanwire_server_listen(server, "127.0.0.1:0"));
  spanwire_server_target(server, target, sizeof target);
  for (int i = 0; i < PLACES; i++) channels[i] = MADE(spanwire_channel_new(NULL, target, NULL));
  spanwire_queue_free(atomic_exchange(&queues[7], requests));

  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, wander, (void *)(seed + i * 7919));
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);

  for (int i = 0; i < PLACES; i++) {
    spanwire_call_free(calls[i]);
    spanwire_server_call_free(server_calls[i]);
    spanwire_channel_free(channels[i]);
    spanwire_queue_free(queues[i]);
  }
  spanwire_queue_free(requests);
  spanwire_server_free(server);
  CHECK_EQ(spanwire_handle_count(), 0);
  return 0;
}
