/* A server of the generated service, driven by a queue's own thread, and a channel to it, driven by the test. */
#ifndef SPANWIRE_TESTS_CODEGEN_PAIR_H
#define SPANWIRE_TESTS_CODEGEN_PAIR_H

#include <shop/v1/orders.spanwire.h>

#include "../c/harness.h"

typedef struct pair {
  shop_v1_orders_service service;
  spanwire_queue *requests;
  spanwire_server *server;
  spanwire_channel *channel;
  spanwire_queue *queue; /* the client's events */
} pair;

static inline void serve(void *user_data, spanwire_event *events, size_t count) {
  pair *pair = user_data;
  for (size_t i = 0; i < count; i++) {
    if (events[i].type == SPANWIRE_EVENT_SERVER_CLOSED) continue;
    CHECK(shop_v1_orders_dispatch(&pair->service, &events[i]));
  }
}

/* The pair's service is to be filled before. */
static inline void pair_open(pair *pair) {
  pair->requests = MADE(spanwire_queue_new_push(serve, pair));
  pair->server = MADE(spanwire_server_new(NULL, NULL));
  TRY(shop_v1_orders_register(pair->server, &pair->service, pair->requests));
  TRY(spanwire_server_listen(pair->server, "127.0.0.1:0"));
  char target[256];
  spanwire_server_target(pair->server, target, sizeof target);
  pair->channel = MADE(spanwire_channel_new(NULL, target, NULL));
  pair->queue = MADE(spanwire_queue_new());
}

static inline void pair_close(pair *pair) {
  spanwire_channel_free(pair->channel);
  TRY(spanwire_server_shutdown_blocking(pair->server, patience_ms()));
  spanwire_server_free(pair->server);
  spanwire_queue_free(pair->queue);
  spanwire_queue_free(pair->requests);
}

/* The client's next event that is neither about headers nor about room. */
static inline spanwire_event next_event(pair *pair) {
  for (;;) {
    spanwire_event event;
    CHECK_EQ(spanwire_queue_next(pair->queue, &event, 1, patience_ms()), 1);
    if (event.type == SPANWIRE_EVENT_MESSAGES || event.type == SPANWIRE_EVENT_DONE) return event;
    spanwire_event_free(&event);
  }
}

/* The client's next event, which must bring one message. */
static inline spanwire_event next_message(pair *pair) {
  spanwire_event event = next_event(pair);
  if (event.type == SPANWIRE_EVENT_DONE) fprintf(stderr, "the call is done: %s\n", event.status.message);
  CHECK_EQ(event.type, SPANWIRE_EVENT_MESSAGES);
  CHECK_EQ(event.message_count, 1);
  return event;
}

/* After a send that answered SPANWIRE_FULL. */
static inline void wait_for_room(pair *pair) {
  for (bool room = false; !room;) {
    spanwire_event event;
    CHECK_EQ(spanwire_queue_next(pair->queue, &event, 1, patience_ms()), 1);
    room = event.type == SPANWIRE_EVENT_WRITABLE;
    CHECK(room || event.type == SPANWIRE_EVENT_HEADERS);
    spanwire_event_free(&event);
  }
}

/* The client's next event, which must be the end of a call. */
static inline spanwire_event next_done(pair *pair) {
  spanwire_event event = next_event(pair);
  CHECK_EQ(event.type, SPANWIRE_EVENT_DONE);
  return event;
}

static inline void expect_done(pair *pair, spanwire_code code, const char *text) {
  spanwire_event done = next_done(pair);
  if (done.status.code != code) fprintf(stderr, "status: %s\n", done.status.message);
  CHECK_EQ(done.status.code, code);
  CHECK_TEXT(done.status.message, text);
  spanwire_event_free(&done);
}

/* Options of streams that let this many messages in. */
static inline spanwire_call_options with_credit(uint32_t credit) {
  return (spanwire_call_options){.size = sizeof(spanwire_call_options), .credit = credit};
}

/* What no message decodes from: a field that is cut off. */
static inline spanwire_buffer malformed(void) { return (spanwire_buffer){.data = "\x0a\xff", .len = 2}; }

#endif
