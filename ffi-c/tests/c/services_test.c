/* The services that come with the engine: health, reflection, channelz; and the delay of a shutdown. */
#include "pair.h"

#define CHECK_HEALTH "/grpc.health.v1.Health/Check"
#define WATCH_HEALTH "/grpc.health.v1.Health/Watch"
#define REFLECTION "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define CHANNELZ "/grpc.channelz.v1.Channelz/GetServers"

/* The statuses as messages have them, in their field 1. */
#define SERVING "\x08\x01"
#define NOT_SERVING "\x08\x02"

/* Calls a method with bytes. The event is to be freed. */
static spanwire_event answer_to(pair *pair, const char *method, const char *request) {
  TRY(spanwire_call_unary(pair->channel, method, TEXT(request), NULL, pair->queue, NULL, NULL));
  return EVENT(pair->queue, DONE);
}

static void expect_answer(pair *pair, const char *method, const char *request, const char *answer) {
  spanwire_event done = answer_to(pair, method, request);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
  CHECK_BYTES(done.message.data, done.message.len, answer);
  spanwire_event_free(&done);
}

static void health_is_what_was_set(void) {
  pair pair;
  spanwire_server_options options = {.size = sizeof options, .health = true};
  pair_open(&pair, (pair_options){.server = &options});
  expect_answer(&pair, CHECK_HEALTH, "", SERVING);
  spanwire_event unknown = answer_to(&pair, CHECK_HEALTH, "\x0a\x01s");
  CHECK_EQ(unknown.status.code, SPANWIRE_CODE_NOT_FOUND);
  spanwire_event_free(&unknown);
  TRY(spanwire_server_set_health(pair.server, "s", true));
  expect_answer(&pair, CHECK_HEALTH, "\x0a\x01s", SERVING);
  TRY(spanwire_server_set_health(pair.server, "s", false));
  TRY(spanwire_server_set_health(pair.server, "", false));
  expect_answer(&pair, CHECK_HEALTH, "\x0a\x01s", NOT_SERVING);
  expect_answer(&pair, CHECK_HEALTH, "", NOT_SERVING);
  REFUSED(spanwire_server_set_health(pair.server, NULL, true), SPANWIRE_INVALID_ARGUMENT, "service");
  pair_close(&pair);
}

static void shutdown_says_so_and_serves_for_the_delay(void) {
  pair pair;
  spanwire_server_options options = {.size = sizeof options, .health = true, .drain_delay_ms = 200};
  pair_open(&pair, (pair_options){.server = &options});
  spanwire_call *watch = stream_of(&pair, WATCH_HEALTH, SPANWIRE_KIND_SERVER_STREAMING, 16);
  TRY(spanwire_call_send(watch, TEXT("")));
  TRY(spanwire_call_half_close(watch));
  PASS(pair.queue, HEADERS);
  spanwire_event state = EVENT(pair.queue, MESSAGES);
  CHECK_BYTES(state.messages[0].data, state.messages[0].len, SERVING);
  spanwire_event_free(&state);
  int64_t began = now_ms();
  TRY(spanwire_server_shutdown(pair.server, 600000, pair.requests, NULL));
  state = EVENT(pair.queue, MESSAGES);
  CHECK_BYTES(state.messages[0].data, state.messages[0].len, NOT_SERVING);
  spanwire_event_free(&state);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_UNAVAILABLE, "the server shuts down");
  CHECK(now_ms() - began >= 200);
  PASS(pair.requests, SERVER_CLOSED);
  spanwire_call_free(watch);
  pair_close(&pair);
}

static void services_are_there_only_if_they_are_asked_for(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  const char *methods[] = {CHECK_HEALTH, REFLECTION, CHANNELZ};
  for (size_t i = 0; i < COUNT_OF(methods); i++) {
    spanwire_event done = answer_to(&pair, methods[i], "");
    CHECK_EQ(done.status.code, SPANWIRE_CODE_UNIMPLEMENTED);
    spanwire_event_free(&done);
  }
  REFUSED(spanwire_server_set_health(pair.server, "", true), SPANWIRE_INVALID_ARGUMENT, "health");
  pair_close(&pair);

  spanwire_server_options options = {.size = sizeof options, .channelz = true, .reflection = ""};
  pair_open(&pair, (pair_options){.server = &options});
  for (size_t i = 1; i < COUNT_OF(methods); i++) {
    spanwire_event done = answer_to(&pair, methods[i], "");
    CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
    spanwire_event_free(&done);
  }
  pair_close(&pair);
}

static void reflection_tells_the_descriptors_that_it_was_given(void) {
  /* A set with one file, which is named "own". */
  static const char set[] = "\x0a\x05\x0a\x03own";
  pair pair;
  spanwire_server_options options = {.size = sizeof options, .reflection = set, .reflection_len = sizeof set - 1};
  pair_open(&pair, (pair_options){.server = &options});
  /* The question is repeated in field 2; the answer is field 4. */
  expect_answer(&pair, REFLECTION, "\x1a\x03own", "\x12\x05\x1a\x03own\x22\x07\x0a\x05\x0a\x03own");
  pair_close(&pair);

  options.reflection = "\xff";
  options.reflection_len = 1;
  spanwire_server *server = MADE(spanwire_server_new(NULL, &options));
  REFUSED(spanwire_server_listen(server, "127.0.0.1:0"), SPANWIRE_INVALID_ARGUMENT, "reflection");
  spanwire_server_free(server);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(health_is_what_was_set),
      TEST(shutdown_says_so_and_serves_for_the_delay),
      TEST(services_are_there_only_if_they_are_asked_for),
      TEST(reflection_tells_the_descriptors_that_it_was_given),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
