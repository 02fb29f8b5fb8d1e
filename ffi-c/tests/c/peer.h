/* A server with a thread of its own, for tests whose own threads have other things to do.
 *
 *   Unary            answers the request's bytes
 *   ServerStreaming  the request is "COUNT SIZE": so many messages of that size
 *   ClientStreaming  answers "COUNT BYTES" of what came
 *   Bidi             sends every message back
 */
#ifndef SPANWIRE_TESTS_PEER_H
#define SPANWIRE_TESTS_PEER_H

#include <pthread.h>

#include "pair.h"

/* A streaming call that is being served. */
typedef struct peer_call {
  spanwire_server_call *call;
  const char *method;
  size_t count, bytes;  /* received */
  size_t to_send, size; /* of ServerStreaming */
  bool full;            /* Bidi: the answer waits for room */
  struct peer_call *next;
} peer_call;

typedef struct peer {
  spanwire_server *server;
  spanwire_queue *queue;
  pthread_t thread;
  char target[256];
  peer_call *calls;
} peer;

static inline peer_call *peer_find(peer *peer, spanwire_server_call *call) {
  peer_call *found = peer->calls;
  while (found != NULL && found->call != call) found = found->next;
  return found;
}

static inline void peer_drop(peer *peer, peer_call *call) {
  peer_call **at = &peer->calls;
  while (*at != call) at = &(*at)->next;
  *at = call->next;
  spanwire_server_call_free(call->call);
  free(call);
}

/* Sends until the stream is full or all is sent. */
static inline void peer_stream(peer *peer, peer_call *call) {
  char *data = calloc(1, call->size + 1);
  spanwire_result result = SPANWIRE_DONE;
  while (call->to_send > 0 && result == SPANWIRE_DONE) {
    result = spanwire_server_call_send(call->call, &(spanwire_buffer){.data = data, .len = call->size});
    if (result >= 0) call->to_send--;
  }
  free(data);
  if (call->to_send > 0 && result >= 0) return;
  spanwire_server_call_finish(call->call, SPANWIRE_CODE_OK, "", NULL);
  peer_drop(peer, call);
}

static inline void peer_writable(peer *peer, peer_call *call) {
  if (strcmp(call->method, SERVER_STREAMING) == 0) {
    peer_stream(peer, call);
  } else if (call->full) {
    call->full = false;
    spanwire_server_call_grant(call->call, 1);
  }
}

static inline void peer_messages(peer *peer, peer_call *call, const spanwire_event *event) {
  for (size_t i = 0; i < event->message_count; i++) {
    const spanwire_bytes *message = &event->messages[i];
    call->count++;
    call->bytes += message->len;
    spanwire_buffer answer = {.data = message->data, .len = message->len};
    if (strcmp(call->method, BIDI) == 0)
      call->full = spanwire_server_call_send(call->call, &answer) == SPANWIRE_FULL;
  }
  if (!event->end) {
    /* One message at a time: the next one is wanted when this one has found room. */
    if (!call->full) spanwire_server_call_grant(call->call, 1);
    return;
  }
  char text[64];
  snprintf(text, sizeof text, "%zu %zu", call->count, call->bytes);
  if (strcmp(call->method, CLIENT_STREAMING) == 0) {
    spanwire_server_call_respond(call->call, TEXT(text), NULL);
  } else {
    spanwire_server_call_finish(call->call, SPANWIRE_CODE_OK, "", NULL);
  }
  peer_drop(peer, call);
}

static inline void peer_request(peer *peer, spanwire_event *event) {
  spanwire_buffer answer = {.data = event->message.data, .len = event->message.len};
  if (strcmp(event->tag, UNARY) == 0) {
    spanwire_server_call_respond(event->server_call, &answer, NULL);
    spanwire_server_call_free(event->server_call);
    return;
  }
  peer_call *call = calloc(1, sizeof *call);
  *call = (peer_call){.call = event->server_call, .method = event->tag, .next = peer->calls};
  peer->calls = call;
  if (strcmp(event->tag, SERVER_STREAMING) == 0) {
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)event->message.len, (const char *)event->message.data);
    if (sscanf(text, "%zu %zu", &call->to_send, &call->size) != 2) abort();
    peer_stream(peer, call);
    return;
  }
  /* A request may come with its first message, and with the end of the stream. */
  spanwire_event first = *event;
  first.messages = &first.message;
  first.message_count = event->message.data != NULL;
  if (first.message_count > 0 || first.end) peer_messages(peer, call, &first);
}

static inline void *peer_run(void *argument) {
  peer *peer = argument;
  spanwire_event events[32];
  memset(events, 0, sizeof events);
  for (;;) {
    int32_t count = spanwire_queue_next(peer->queue, events, COUNT_OF(events), -1);
    for (int32_t i = 0; i < count; i++) {
      spanwire_event *event = &events[i];
      peer_call *call = peer_find(peer, event->server_call);
      if (event->type == SPANWIRE_EVENT_SERVER_CLOSED) return NULL;
      if (event->type == SPANWIRE_EVENT_REQUEST) peer_request(peer, event);
      if (event->type == SPANWIRE_EVENT_MESSAGES && call != NULL) peer_messages(peer, call, event);
      if (event->type == SPANWIRE_EVENT_WRITABLE && call != NULL) peer_writable(peer, call);
      if (event->type == SPANWIRE_EVENT_CANCELLED && call != NULL) peer_drop(peer, call);
      spanwire_event_free(event);
    }
  }
}

static inline void peer_start(peer *peer, const char *address, const spanwire_server_options *options) {
  memset(peer, 0, sizeof *peer);
  peer->queue = MADE(spanwire_queue_new());
  peer->server = server_with_methods(options, peer->queue, 1);
  TRY(spanwire_server_listen(peer->server, address ? address : "127.0.0.1:0"));
  spanwire_server_target(peer->server, peer->target, sizeof peer->target);
  CHECK_EQ(pthread_create(&peer->thread, NULL, peer_run, peer), 0);
}

static inline void peer_stop(peer *peer) {
  TRY(spanwire_server_shutdown(peer->server, 0, peer->queue, NULL));
  pthread_join(peer->thread, NULL);
  while (peer->calls != NULL) peer_drop(peer, peer->calls);
  spanwire_server_free(peer->server);
  spanwire_queue_free(peer->queue);
}

#endif
