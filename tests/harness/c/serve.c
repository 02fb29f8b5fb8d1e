#include "serve.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fail.h"
#include "message.h"

#define GRACE_MS 1000

/* The calls that go on. */
static struct call *calls;

void call_keep(struct call *call, spanwire_event *event) {
  call->handle = event->server_call;
  must(spanwire_server_call_set_data(call->handle, call), "keeping a call");
  /* What is left in the event is freed with it. */
  event->server_call = NULL;
  call->next = calls;
  calls = call;
}

static void must_or_over(spanwire_result result, const char *what) {
  if (result != SPANWIRE_OVER) must(result, what);
}

void finish(spanwire_server_call *handle, spanwire_code code, const char *message, const spanwire_answer *answer) {
  must_or_over(spanwire_server_call_finish(handle, code, message, answer), "finishing a call");
}

void respond(spanwire_server_call *handle, const void *message, const spanwire_answer *answer) {
  const spanwire_buffer buffer = message_pack(message, 0);
  must_or_over(spanwire_server_call_respond(handle, &buffer, answer), "answering a call");
}

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Runs what is due, and says how long the next is away, in milliseconds; -1: there is none. */
static int64_t run_timers(void) {
  int64_t nearest = -1;
  for (struct call *call = calls; call != NULL; call = call->next) {
    if (call->wake_at_ms != 0 && call->wake_at_ms <= now_ms()) {
      call->wake_at_ms = 0;
      call->on_time(call);
    }
    if (call->wake_at_ms == 0 || call->over) continue;
    const int64_t left = call->wake_at_ms - now_ms();
    const int64_t wait = left > 0 ? left : 0;
    if (nearest < 0 || wait < nearest) nearest = wait;
  }
  return nearest;
}

static void release_those_over(void) {
  for (struct call **link = &calls; *link != NULL;) {
    struct call *call = *link;
    if (!call->over) {
      link = &call->next;
      continue;
    }
    *link = call->next;
    if (call->release != NULL) call->release(call);
    spanwire_server_call_free(call->handle);
    free(call);
  }
}

static void handle(spanwire_event *event) {
  if (event->type == SPANWIRE_EVENT_REQUEST) {
    const struct method *method = event->tag;
    method->begin(event);
    spanwire_server_call_free(event->server_call);
    return;
  }
  struct call *call = spanwire_server_call_data(event->server_call);
  if (event->type == SPANWIRE_EVENT_CANCELLED) {
    call->over = true;
  } else {
    call->on_event(call, event);
  }
}

/* The thread that serves. It takes one event at a time: a call may be over, and released, before the next one. */
static void *handle_events(void *argument) {
  spanwire_queue *queue = argument;
  for (bool closed = false; !closed;) {
    const int64_t wait = run_timers();
    release_those_over();
    spanwire_event event = {0};
    must(spanwire_queue_next(queue, &event, 1, wait), "waiting for an event");
    closed = event.type == SPANWIRE_EVENT_SERVER_CLOSED;
    if (event.type != SPANWIRE_EVENT_NONE && !closed) handle(&event);
    spanwire_event_free(&event);
  }
  release_those_over();
  return NULL;
}

/* Blocks the signals that end a server; threads that are started from here on leave them to sigwait. */
static sigset_t block_signals(void) {
  sigset_t stopping;
  sigemptyset(&stopping);
  sigaddset(&stopping, SIGTERM);
  sigaddset(&stopping, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stopping, NULL);
  return stopping;
}

void serve(const spanwire_server_options *options, const char *address, struct method *methods, size_t count) {
  const sigset_t stopping = block_signals();
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_server *server = spanwire_server_new(NULL, options);
  if (queue == NULL || server == NULL) fail("no server: %s", spanwire_last_error());
  for (size_t index = 0; index < count; index++) {
    struct method *method = &methods[index];
    must(spanwire_server_method(server, method->path, method->kind, queue, method, method->credit), method->path);
  }
  must(spanwire_server_listen(server, address), address);
  printf("listening on %s\n", address);
  fflush(stdout);

  pthread_t thread;
  if (pthread_create(&thread, NULL, handle_events, queue) != 0) fail("no thread");
  int signal = 0;
  sigwait(&stopping, &signal);
  must(spanwire_server_shutdown(server, GRACE_MS, queue, NULL), "shutting down");
  pthread_join(thread, NULL);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
  if (spanwire_handle_count() != 0) fail("%zu handles were not freed", spanwire_handle_count());
}
