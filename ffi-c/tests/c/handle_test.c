/* Every function with every handle that is null, freed, or of another kind. */
#include "pair.h"

/* The handles of one round: all null, all freed, or all of another kind. */
typedef struct handles {
  spanwire_engine *engine;
  spanwire_queue *queue;
  spanwire_channel *channel;
  spanwire_call *call;
  spanwire_server *server;
  spanwire_server_call *server_call;
} handles;

#define IS_INVALID(operation)                       \
  do {                                              \
    CHECK_EQ((operation), SPANWIRE_INVALID_HANDLE); \
    CHECK(strlen(spanwire_last_error()) > 0);       \
  } while (0)

static void no_call(void *user_data, spanwire_event *event) {
  (void)user_data;
  (void)event;
}

/* `good` are live ones, for functions that take two handles. */
static void each_function(const handles *bad, const handles *good) {
  spanwire_event event = {0};
  spanwire_call *call = NULL;
  spanwire_interceptor interceptor = {.size = sizeof interceptor, .event = no_call};
  uint64_t events = 1, wakes = 1;
  const uint8_t *der = NULL;
  char text[8] = "x";
  size_t len = 1;

  IS_INVALID(spanwire_queue_next(bad->queue, &event, 1, 0));
  IS_INVALID(spanwire_queue_descriptor(bad->queue));
  IS_INVALID(spanwire_queue_wake(bad->queue));
  IS_INVALID(spanwire_queue_stats(bad->queue, &events, &wakes));

  IS_INVALID(spanwire_channel_connectivity(bad->channel));
  IS_INVALID(spanwire_channel_connect(bad->channel));
  IS_INVALID(spanwire_channel_network_changed(bad->channel));
  IS_INVALID(spanwire_channel_intercept(bad->channel, &interceptor));
  CHECK_EQ(spanwire_channel_stats(bad->channel, NULL, 0), 0);

  IS_INVALID(spanwire_call_unary(bad->channel, UNARY, TEXT(""), NULL, good->queue, NULL, NULL));
  IS_INVALID(spanwire_call_unary(good->channel, UNARY, TEXT(""), NULL, bad->queue, NULL, NULL));
  IS_INVALID(spanwire_call_unary_blocking(bad->channel, UNARY, TEXT(""), NULL, &event));
  IS_INVALID(spanwire_call_start(bad->channel, BIDI, SPANWIRE_KIND_BIDI, NULL, good->queue, NULL, &call));
  IS_INVALID(spanwire_call_start(good->channel, BIDI, SPANWIRE_KIND_BIDI, NULL, bad->queue, NULL, &call));
  CHECK(call == NULL);
  IS_INVALID(spanwire_call_send(bad->call, TEXT("")));
  IS_INVALID(spanwire_call_half_close(bad->call));
  IS_INVALID(spanwire_call_grant(bad->call, 1));
  IS_INVALID(spanwire_call_cancel(bad->call));

  IS_INVALID(spanwire_server_method(bad->server, BIDI, SPANWIRE_KIND_BIDI, good->queue, NULL, 1));
  IS_INVALID(spanwire_server_method(good->server, "/x/Y", SPANWIRE_KIND_BIDI, bad->queue, NULL, 1));
  IS_INVALID(spanwire_server_fallback(bad->server, good->queue, NULL, 1));
  IS_INVALID(spanwire_server_fallback(good->server, bad->queue, NULL, 1));
  IS_INVALID(spanwire_server_listen(bad->server, "127.0.0.1:0"));
  IS_INVALID(spanwire_server_port(bad->server));
  CHECK_EQ(spanwire_server_target(bad->server, text, sizeof text), 0);
  IS_INVALID(spanwire_server_accept(bad->server, 1));
  IS_INVALID(spanwire_server_shutdown(bad->server, 0, good->queue, NULL));
  IS_INVALID(spanwire_server_shutdown(good->server, 0, bad->queue, NULL));
  IS_INVALID(spanwire_server_shutdown_blocking(bad->server, 0));
  IS_INVALID(spanwire_server_intercept(bad->server, &interceptor));
  CHECK_EQ(spanwire_server_stats(bad->server, NULL, 0), 0);

  IS_INVALID(spanwire_server_call_headers(bad->server_call, NULL));
  IS_INVALID(spanwire_server_call_send(bad->server_call, TEXT("")));
  IS_INVALID(spanwire_server_call_grant(bad->server_call, 1));
  IS_INVALID(spanwire_server_call_respond(bad->server_call, TEXT(""), NULL));
  IS_INVALID(spanwire_server_call_finish(bad->server_call, SPANWIRE_CODE_OK, "", NULL));
  IS_INVALID(spanwire_server_call_cancel(bad->server_call));
  IS_INVALID(spanwire_server_call_set_data(bad->server_call, text));
  CHECK(spanwire_server_call_data(bad->server_call) == NULL);
  CHECK(spanwire_server_call_method(bad->server_call, &len) == NULL);
  CHECK_EQ(spanwire_metadata_count(spanwire_server_call_metadata(bad->server_call)), 0);
  CHECK_EQ(spanwire_server_call_peer(bad->server_call, text, sizeof text), 0);
  CHECK_EQ(spanwire_server_call_peer_certificate(bad->server_call, 0, &der), 0);
  CHECK(spanwire_server_call_time_remaining_ms(bad->server_call) <= 0);

  /* Freeing them is nothing, any number of times. */
  for (int i = 0; i < 2; i++) {
    spanwire_call_free(bad->call);
    spanwire_server_call_free(bad->server_call);
    spanwire_channel_free(bad->channel);
    spanwire_server_free(bad->server);
    spanwire_queue_free(bad->queue);
    spanwire_engine_free(bad->engine);
  }
  CHECK_EQ(event.type, SPANWIRE_EVENT_NONE);
}

typedef struct round {
  pair pair;
  spanwire_server *idle; /* does not listen yet */
  spanwire_engine *engine;
  handles live;
} round_of_handles;

static void make(round_of_handles *round) {
  pair_open(&round->pair, (pair_options){0});
  round->engine = MADE(spanwire_engine_new(NULL));
  round->idle = MADE(spanwire_server_new(NULL, NULL));
  spanwire_call *call = stream_of(&round->pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  round->live = (handles){.engine = round->engine,
                          .queue = round->pair.queue,
                          .channel = round->pair.channel,
                          .call = call,
                          .server = round->idle,
                          .server_call = ACCEPTED(&round->pair)};
}

static void release(round_of_handles *round) {
  spanwire_call_free(round->live.call);
  spanwire_server_call_free(round->live.server_call);
  pair_close(&round->pair);
  spanwire_server_free(round->idle);
  spanwire_engine_free(round->engine);
}

static void null_is_refused_everywhere(void) {
  round_of_handles round;
  make(&round);
  each_function(&(handles){0}, &round.live);
  release(&round);
}

static void freed_ones_are_refused_everywhere(void) {
  round_of_handles first, second;
  make(&first);
  release(&first);
  make(&second); /* Which may use the same places again. */
  each_function(&first.live, &second.live);
  release(&second);
}

static void other_kinds_are_refused_everywhere(void) {
  round_of_handles round;
  make(&round);
  handles crossed = {.engine = (void *)round.live.queue,
                     .queue = (void *)round.live.channel,
                     .channel = (void *)round.live.call,
                     .call = (void *)round.live.server,
                     .server = (void *)round.live.server_call,
                     .server_call = (void *)round.live.engine};
  each_function(&crossed, &round.live);
  /* And they are all as alive as before. */
  TRY(spanwire_queue_wake(round.live.queue));
  TRY(spanwire_channel_connectivity(round.live.channel));
  TRY(spanwire_call_grant(round.live.call, 1));
  TRY(spanwire_server_call_grant(round.live.server_call, 1));
  CHECK(spanwire_server_call_data(round.live.server_call) == NULL);
  TRY(spanwire_server_call_set_data(round.live.server_call, &round));
  CHECK(spanwire_server_call_data(round.live.server_call) == &round);
  release(&round);
}

static void numbers_that_never_were_a_handle_are_refused(void) {
  round_of_handles round;
  make(&round);
  static const uintptr_t numbers[] = {1, 2, 8, 0xdeadbeef, UINTPTR_MAX, UINTPTR_MAX / 2};
  for (size_t i = 0; i < COUNT_OF(numbers); i++) {
    void *wild = (void *)numbers[i];
    handles bad = {wild, wild, wild, wild, wild, wild};
    each_function(&bad, &round.live);
  }
  void *address = &round;
  handles bad = {address, address, address, address, address, address};
  each_function(&bad, &round.live);
  release(&round);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(null_is_refused_everywhere),
      TEST(freed_ones_are_refused_everywhere),
      TEST(other_kinds_are_refused_everywhere),
      TEST(numbers_that_never_were_a_handle_are_refused),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
