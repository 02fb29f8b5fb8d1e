/* A server and a channel to it, both driven by the test's own thread, one event at a time: what happens is in the
 * order in which the test writes it down. */
#ifndef SPANWIRE_TESTS_PAIR_H
#define SPANWIRE_TESTS_PAIR_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "harness.h"

#define UNARY "/test.Service/Unary"
#define SERVER_STREAMING "/test.Service/ServerStreaming"
#define CLIENT_STREAMING "/test.Service/ClientStreaming"
#define BIDI "/test.Service/Bidi"

typedef struct pair {
  spanwire_server *server;
  spanwire_queue *requests; /* the server's events */
  spanwire_channel *channel;
  spanwire_queue *queue; /* the client's events */
  char target[256];
} pair;

typedef struct pair_options {
  const char *address; /* null: a free port of the loopback */
  const spanwire_server_options *server;
  const spanwire_channel_options *channel;
  uint32_t credit; /* of the server's methods; 0: 16 */
} pair_options;

static inline spanwire_server *server_with_methods(const spanwire_server_options *options, spanwire_queue *queue,
                                                   uint32_t credit) {
  static const struct {
    const char *method;
    spanwire_kind kind;
  } methods[] = {{UNARY, SPANWIRE_KIND_UNARY},
                 {SERVER_STREAMING, SPANWIRE_KIND_SERVER_STREAMING},
                 {CLIENT_STREAMING, SPANWIRE_KIND_CLIENT_STREAMING},
                 {BIDI, SPANWIRE_KIND_BIDI}};
  spanwire_server *server = MADE(spanwire_server_new(NULL, options));
  for (size_t i = 0; i < COUNT_OF(methods); i++) {
    void *tag = (void *)methods[i].method;
    TRY(spanwire_server_method(server, methods[i].method, methods[i].kind, queue, tag, credit));
  }
  return server;
}

static inline void pair_open(pair *pair, pair_options options) {
  memset(pair, 0, sizeof *pair);
  pair->requests = MADE(spanwire_queue_new());
  pair->queue = MADE(spanwire_queue_new());
  pair->server = server_with_methods(options.server, pair->requests, options.credit ? options.credit : 16);
  TRY(spanwire_server_listen(pair->server, options.address ? options.address : "127.0.0.1:0"));
  size_t len = spanwire_server_target(pair->server, pair->target, sizeof pair->target);
  CHECK(len > 0 && len < sizeof pair->target);
  pair->channel = MADE(spanwire_channel_new(NULL, pair->target, options.channel));
}

static inline void pair_close(pair *pair) {
  spanwire_channel_free(pair->channel);
  spanwire_server_free(pair->server);
  spanwire_queue_free(pair->queue);
  spanwire_queue_free(pair->requests);
}

/* The next event of a queue, which must be of this type. */
static inline spanwire_event event_at(const char *file, int line, spanwire_queue *queue, spanwire_event_type type) {
  spanwire_event event;
  memset(&event, 0, sizeof event);
  int32_t count = spanwire_queue_next(queue, &event, 1, patience_ms());
  check_eq(file, line, "the number of events", count, 1);
  if (event.type == SPANWIRE_EVENT_DONE && type != SPANWIRE_EVENT_DONE) {
    fprintf(stderr, "%s:%d: the call is done: %s: %s\n", file, line, spanwire_code_name(event.status.code),
            event.status.message);
  }
  check_eq(file, line, "the event's type", event.type, type);
  return event;
}
#define EVENT(queue, type) event_at(__FILE__, __LINE__, (queue), SPANWIRE_EVENT_##type)

/* Expects an event and releases it. */
#define PASS(queue, type)                        \
  do {                                           \
    spanwire_event passing = EVENT(queue, type); \
    spanwire_event_free(&passing);               \
  } while (0)

/* Expects DONE with this code and a message that has `part`, and releases it. */
#define EXPECT_DONE(queue, code, part) expect_done(__FILE__, __LINE__, (queue), (code), (part))
static inline void expect_done(const char *file, int line, spanwire_queue *queue, spanwire_code code,
                               const char *part) {
  spanwire_event done = event_at(file, line, queue, SPANWIRE_EVENT_DONE);
  if (done.status.code != code) fprintf(stderr, "%s:%d: status: %s\n", file, line, done.status.message);
  check_eq(file, line, "the status code", done.status.code, code);
  check_has(file, line, "the status message", done.status.message, part);
  spanwire_event_free(&done);
}

/* Nothing waits in the queue. */
#define QUIET(queue) CHECK_EQ(spanwire_queue_next((queue), &(spanwire_event){0}, 1, 0), 0)

/* Text to send; copied by the function that takes it. */
static inline spanwire_buffer text_of(const char *text) {
  return (spanwire_buffer){.data = text, .len = strlen(text)};
}
#define TEXT(text) (&(spanwire_buffer){.data = (text), .len = strlen(text)})

/* Starts a unary call of the pair. */
#define START(pair, text, tag) \
  TRY(spanwire_call_unary((pair)->channel, UNARY, TEXT(text), NULL, (pair)->queue, (tag), NULL))

/* Starts a stream of the pair that lets `messages` in. */
static inline spanwire_call *stream_of(pair *pair, const char *method, spanwire_kind kind, uint32_t credit) {
  spanwire_call *call = NULL;
  spanwire_call_options options = {.size = sizeof options, .credit = credit};
  TRY(spanwire_call_start(pair->channel, method, kind, &options, pair->queue, NULL, &call));
  CHECK(call != NULL);
  return call;
}

/* Waits for a request, releases its event and keeps the call. */
static inline spanwire_server_call *accepted_at(const char *file, int line, pair *pair) {
  spanwire_event request = event_at(file, line, pair->requests, SPANWIRE_EVENT_REQUEST);
  spanwire_server_call *call = request.server_call;
  if (call == NULL) check_failed(file, line, "a request has a call");
  spanwire_event_free(&request);
  return call;
}
#define ACCEPTED(pair) accepted_at(__FILE__, __LINE__, (pair))

/* A port of the loopback that nobody listens on. */
static inline int closed_port(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  CHECK_EQ(bind(listener, (struct sockaddr *)&address, len), 0);
  CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &len), 0);
  close(listener);
  return ntohs(address.sin_port);
}

#endif
