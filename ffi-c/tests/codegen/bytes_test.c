/* Generated clients and servers without a library for messages: bytes pass as they are. */
#include <semaphore.h>
#include <stdatomic.h>

#include "pair.h"

static void get(void *self, spanwire_server_call *call, spanwire_bytes *request, spanwire_event *event) {
  (void)self;
  (void)event;
  spanwire_buffer answer = spanwire_bytes_buffer(request, 0);
  TRY(shop_v1_orders_get_respond(call, &answer, NULL));
  spanwire_server_call_free(call);
}

static void watch(void *self, spanwire_server_call *call, spanwire_bytes *request, spanwire_event *event) {
  (void)self;
  (void)event;
  spanwire_buffer message = {.data = request->data, .len = request->len};
  TRY(shop_v1_orders_watch_server_send(call, &message));
  TRY(shop_v1_orders_watch_server_send(call, &message));
  TRY(spanwire_server_call_finish(call, SPANWIRE_CODE_OK, NULL, NULL));
  spanwire_server_call_free(call);
}

static void quote(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)call;
  (void)event;
}

static atomic_size_t quoted;

static void quote_message(void *self, spanwire_server_call *call, spanwire_bytes *message, spanwire_event *event) {
  (void)self;
  (void)event;
  atomic_fetch_add(&quoted, 1);
  spanwire_buffer answer = spanwire_bytes_buffer(message, 0);
  TRY(shop_v1_orders_quote_server_send(call, &answer));
}

static void quote_end(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)event;
  TRY(spanwire_server_call_finish(call, SPANWIRE_CODE_OK, NULL, NULL));
  spanwire_server_call_free(call);
}

static sem_t cancelled;

static void on_cancelled(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  CHECK_EQ(event->type, SPANWIRE_EVENT_CANCELLED);
  spanwire_server_call_free(call);
  sem_post(&cancelled);
}

static pair with_service(void) {
  return (pair){.service = {.get = get,
                            .watch = watch,
                            .quote = quote,
                            .quote_message = quote_message,
                            .quote_end = quote_end,
                            .on_cancelled = on_cancelled,
                            .manual_grant = true,
                            .credit = 1}};
}

static void unary_blocks(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_buffer request = {.data = "any\0thing", .len = 9};
  spanwire_bytes response;
  spanwire_event done;
  TRY(shop_v1_orders_get_blocking(pair.channel, &request, NULL, &response, &done));
  spanwire_event_free(&done);
  CHECK_BYTES(response.data + 4, response.len - 4, "thing");
  spanwire_bytes_free(&response);
  pair_close(&pair);
}

static void streams_pass(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_buffer request = {.data = "news", .len = 4};
  spanwire_call_options options = with_credit(10);
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_watch(pair.channel, &request, &options, pair.queue, NULL, &call));
  size_t seen = 0;
  spanwire_event event = next_event(&pair);
  for (; event.type == SPANWIRE_EVENT_MESSAGES; event = next_event(&pair)) {
    seen += event.message_count;
    CHECK_BYTES(event.messages[0].data, event.messages[0].len, "news");
    spanwire_event_free(&event);
  }
  CHECK_EQ(seen, 2);
  CHECK_EQ(event.status.code, SPANWIRE_CODE_OK);
  spanwire_event_free(&event);
  spanwire_call_free(call);
  pair_close(&pair);
}

/* With grants by hand, and none given, only what the credit lets in reaches the handler. */
static void messages_wait_for_grants_by_hand(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_buffer request = {.data = "news", .len = 4};
  spanwire_call_options options = with_credit(10);
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_quote(pair.channel, &options, pair.queue, NULL, &call));
  TRY(shop_v1_orders_quote_send(call, &request));
  TRY(shop_v1_orders_quote_send(call, &request));
  spanwire_event event = next_message(&pair);
  spanwire_event_free(&event);
  /* Calls that the server sees later than both messages. */
  for (int i = 0; i < 3; i++) {
    spanwire_bytes response;
    TRY(shop_v1_orders_get_blocking(pair.channel, &request, NULL, &response, &event));
    CHECK_BYTES(response.data, response.len, "news");
    spanwire_bytes_free(&response);
    spanwire_event_free(&event);
  }
  CHECK_EQ(atomic_load(&quoted), 1);
  TRY(spanwire_call_cancel(call));
  event = next_done(&pair);
  spanwire_event_free(&event);
  spanwire_call_free(call);
  CHECK_EQ(sem_wait(&cancelled), 0);
  pair_close(&pair);
}

static atomic_size_t released;
static void release(void *context) {
  (void)context;
  atomic_fetch_add(&released, 1);
}

static void what_is_handed_over_is_released_also_when_the_start_fails(void) {
  spanwire_buffer request = {.data = "x", .len = 1, .release = release};
  spanwire_call *call = NULL;
  size_t before = atomic_load(&released);
  CHECK(shop_v1_orders_watch(NULL, &request, NULL, NULL, NULL, &call) < 0);
  CHECK_EQ(atomic_load(&released), before + 1);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(unary_blocks),
      TEST(streams_pass),
      TEST(messages_wait_for_grants_by_hand),
      TEST(what_is_handed_over_is_released_also_when_the_start_fails),
  };
  CHECK_EQ(sem_init(&cancelled, 0, 0), 0);
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
