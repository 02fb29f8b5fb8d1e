/* Who owns which bytes, and when they are released. */
#include <stdatomic.h>

#include "pair.h"

/* Memory that is lent to the library, and how often it came back. */
typedef struct loan {
  char data[60000];
  atomic_int released;
} loan;

static void give_back(void *context) { atomic_fetch_add(&((loan *)context)->released, 1); }

static spanwire_buffer lend(loan *loan) {
  memset(loan->data, 'z', sizeof loan->data);
  atomic_init(&loan->released, 0);
  return (spanwire_buffer){.data = loan->data, .len = sizeof loan->data, .release = give_back, .context = loan};
}

/* The memory comes back once, from whichever thread, soon. */
static void check_released_once(loan *loan) {
  int64_t deadline = now_ms() + patience_ms();
  while (atomic_load(&loan->released) == 0 && now_ms() < deadline) usleep(200);
  usleep(2000);
  CHECK_EQ(atomic_load(&loan->released), 1);
}

static loan first, second;

static void lent_bytes_are_sent_and_released_once(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_buffer request = lend(&first), answer = lend(&second);
  TRY(spanwire_call_unary(pair.channel, UNARY, &request, NULL, pair.queue, NULL, NULL));
  spanwire_event event = EVENT(pair.requests, REQUEST);
  CHECK_EQ(event.message.len, sizeof first.data);
  CHECK_EQ(event.message.data[event.message.len - 1], 'z');
  TRY(spanwire_server_call_respond(event.server_call, &answer, NULL));
  spanwire_server_call_free(event.server_call);
  spanwire_event_free(&event);
  event = EVENT(pair.queue, DONE);
  CHECK_EQ(event.status.code, SPANWIRE_CODE_OK);
  CHECK_EQ(event.message.len, sizeof second.data);
  CHECK_EQ(event.message.data[0], 'z');
  spanwire_event_free(&event);
  check_released_once(&first);
  check_released_once(&second);
  pair_close(&pair);
}

static void lent_bytes_of_streams_are_released_once(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 4);
  spanwire_server_call *served = ACCEPTED(&pair);
  spanwire_buffer up = lend(&first), down = lend(&second);
  TRY(spanwire_call_send(call, &up));
  TRY(spanwire_server_call_send(served, &down));
  PASS(pair.requests, MESSAGES);
  PASS(pair.queue, HEADERS);
  PASS(pair.queue, MESSAGES);
  check_released_once(&first);
  check_released_once(&second);
  /* What waits to be sent when the call is cancelled comes back as well. */
  up = lend(&first);
  down = lend(&second);
  TRY(spanwire_call_send(call, &up));
  TRY(spanwire_server_call_send(served, &down));
  TRY(spanwire_call_cancel(call));
  spanwire_call_free(call);
  spanwire_server_call_free(served);
  check_released_once(&first);
  check_released_once(&second);
  spanwire_event event = {0};
  while (event.type != SPANWIRE_EVENT_DONE) {
    CHECK_EQ(spanwire_queue_next(pair.queue, &event, 1, patience_ms()), 1);
    spanwire_event_type type = event.type;
    spanwire_event_free(&event);
    event.type = type;
  }
  pair_close(&pair);
}

static void lent_bytes_are_released_when_the_function_fails(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_event done = {0};
  spanwire_call *call = NULL;

#define FAILS(operation)                 \
  do {                                   \
    spanwire_buffer lent = lend(&first); \
    spanwire_buffer *buffer = &lent;     \
    CHECK((operation) < 0);              \
    check_released_once(&first);         \
  } while (0)

  FAILS(spanwire_call_unary(NULL, UNARY, buffer, NULL, pair.queue, NULL, NULL));
  FAILS(spanwire_call_unary(pair.channel, NULL, buffer, NULL, pair.queue, NULL, NULL));
  FAILS(spanwire_call_unary(pair.channel, "\xff", buffer, NULL, pair.queue, NULL, NULL));
  FAILS(spanwire_call_unary(pair.channel, UNARY, buffer, NULL, NULL, NULL, NULL));
  FAILS(spanwire_call_unary_blocking(NULL, UNARY, buffer, NULL, &done));
  FAILS(spanwire_call_unary_blocking(pair.channel, UNARY, buffer, NULL, NULL));
  FAILS(spanwire_call_send(NULL, buffer));
  FAILS(spanwire_server_call_send(NULL, buffer));
  FAILS(spanwire_server_call_respond(NULL, buffer, NULL));

  call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_call_half_close(call));
  FAILS(spanwire_call_send(call, buffer));
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL));
  FAILS(spanwire_server_call_send(served, buffer));
  FAILS(spanwire_server_call_respond(served, buffer, NULL));
  PASS(pair.queue, HEADERS);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  FAILS(spanwire_call_send(call, buffer));
  spanwire_server_call_free(served);
  FAILS(spanwire_server_call_send(served, buffer));
  spanwire_call_free(call);
  FAILS(spanwire_call_send(call, buffer));
  pair_close(&pair);
  FAILS(spanwire_call_unary(pair.channel, UNARY, buffer, NULL, pair.queue, NULL, NULL));
#undef FAILS
}

static void lent_bytes_of_a_call_without_a_server_are_released(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "unix:/nowhere/at/all.sock", NULL));
  spanwire_buffer lent = lend(&first);
  TRY(spanwire_call_unary(channel, UNARY, &lent, NULL, queue, NULL, NULL));
  EXPECT_DONE(queue, SPANWIRE_CODE_UNAVAILABLE, "");
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
  check_released_once(&first);
}

static void copied_bytes_may_change_at_once(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  char *data = malloc(100000);
  memset(data, 'a', 100000);
  TRY(spanwire_call_unary(pair.channel, UNARY, &(spanwire_buffer){.data = data, .len = 100000}, NULL, pair.queue,
                          NULL, NULL));
  memset(data, 'b', 100000);
  free(data);
  spanwire_event request = EVENT(pair.requests, REQUEST);
  for (size_t i = 0; i < request.message.len; i++) CHECK_EQ(request.message.data[i], 'a');
  TRY(spanwire_server_call_finish(request.server_call, SPANWIRE_CODE_ABORTED, "", NULL));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_ABORTED, "");
  pair_close(&pair);
}

static void taken_bytes_outlive_everything(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "keep these", NULL);
  spanwire_event request = EVENT(pair.requests, REQUEST);
  spanwire_bytes taken = spanwire_bytes_take(&request.message);
  CHECK(request.message.data == NULL);
  CHECK_EQ(request.message.len, 0);
  spanwire_bytes shared = spanwire_bytes_clone(&taken);
  CHECK(shared.data == taken.data);
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_INTERNAL, "");

  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 4);
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_server_call_send(served, TEXT("of a stream")));
  PASS(pair.queue, HEADERS);
  spanwire_event event = EVENT(pair.queue, MESSAGES);
  spanwire_bytes of_stream = spanwire_bytes_take(&event.messages[0]);
  spanwire_event_free(&event);
  spanwire_server_call_free(served);
  spanwire_call_free(call);
  PASS(pair.queue, DONE);
  pair_close(&pair);

  CHECK_BYTES(taken.data, taken.len, "keep these");
  spanwire_bytes_free(&taken);
  CHECK(taken.data == NULL);
  spanwire_bytes_free(&taken); /* Empty now: nothing happens. */
  CHECK_BYTES(shared.data, shared.len, "keep these");
  spanwire_bytes_free(&shared);
  CHECK_BYTES(of_stream.data, of_stream.len, "of a stream");
  spanwire_bytes_free(&of_stream);
}

static void arrived_bytes_are_sent_on(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  START(&pair, "there and back", NULL);
  spanwire_event request = EVENT(pair.requests, REQUEST);
  const uint8_t *data = request.message.data;
  spanwire_buffer echo = spanwire_bytes_buffer(&request.message, 0);
  CHECK(echo.data == data && echo.release != NULL);
  CHECK(request.message.data == NULL);
  TRY(spanwire_server_call_respond(request.server_call, &echo, NULL));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);
  spanwire_event done = EVENT(pair.queue, DONE);
  CHECK_BYTES(done.message.data, done.message.len, "there and back");
  /* A buffer that a function refuses is released as well, which the leak checkers watch. */
  echo = spanwire_bytes_buffer(&done.message, SPANWIRE_SEND_PLAIN);
  CHECK(spanwire_server_call_send(NULL, &echo) < 0);
  spanwire_event_free(&done);
  spanwire_buffer none = spanwire_bytes_buffer(NULL, 0);
  CHECK_EQ(none.len, 0);
  pair_close(&pair);
}

static void empty_and_null_bytes_are_fine(void) {
  spanwire_bytes empty = {0};
  spanwire_bytes taken = spanwire_bytes_take(&empty);
  CHECK(taken.data == NULL);
  spanwire_bytes cloned = spanwire_bytes_clone(&empty);
  CHECK(cloned.data == NULL);
  spanwire_bytes_free(&cloned);
  spanwire_bytes_free(&empty);
  spanwire_bytes_free(NULL);
  CHECK(spanwire_bytes_take(NULL).data == NULL);
  CHECK(spanwire_bytes_clone(NULL).data == NULL);
  spanwire_event none = {0};
  spanwire_event_free(&none);
  spanwire_event_free(NULL);
  spanwire_events_free(NULL, 0);
}

static void buffer_of_null_with_a_length_is_refused(void) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_buffer wrong = {.data = NULL, .len = 5};
  REFUSED(spanwire_call_unary(pair.channel, UNARY, &wrong, NULL, pair.queue, NULL, NULL), SPANWIRE_INVALID_ARGUMENT,
          "data");
  REFUSED(spanwire_call_unary(pair.channel, UNARY, NULL, NULL, pair.queue, NULL, NULL), SPANWIRE_INVALID_ARGUMENT,
          "null");
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(lent_bytes_are_sent_and_released_once),
      TEST(lent_bytes_of_streams_are_released_once),
      TEST(lent_bytes_are_released_when_the_function_fails),
      TEST(lent_bytes_of_a_call_without_a_server_are_released),
      TEST(copied_bytes_may_change_at_once),
      TEST(taken_bytes_outlive_everything),
      TEST(arrived_bytes_are_sent_on),
      TEST(empty_and_null_bytes_are_fine),
      TEST(buffer_of_null_with_a_length_is_refused),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
