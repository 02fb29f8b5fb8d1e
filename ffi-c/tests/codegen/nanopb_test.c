/* Generated clients and servers with messages by nanopb: all kinds, and messages that do not fit their structs. */
#include "pair.h"

/* ---- the service ---- */

static void get(void *self, spanwire_server_call *call, const shop_v1_GetOrder *request, spanwire_event *event) {
  (void)self;
  (void)event;
  shop_v1_Order order = shop_v1_Order_init_zero;
  order.id = request->id;
  order.lines_count = 1;
  strcpy(order.lines[0].article, "tea");
  TRY(shop_v1_orders_get_respond(call, &order, NULL));
  spanwire_server_call_free(call);
}

static void watch(void *self, spanwire_server_call *call, const shop_v1_GetOrder *request, spanwire_event *event) {
  (void)self;
  (void)event;
  for (uint64_t i = 1; i <= request->id; i++) {
    shop_v1_Update update = {.state = (shop_v1_State)i};
    TRY(shop_v1_orders_watch_server_send(call, &update, 0));
  }
  TRY(spanwire_server_call_finish(call, SPANWIRE_CODE_OK, NULL, NULL));
  spanwire_server_call_free(call);
}

static void quote(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)call;
  (void)event;
}

static void quote_message(void *self, spanwire_server_call *call, const shop_v1_Line *message,
                          spanwire_event *event) {
  (void)self;
  (void)event;
  shop_v1_Price price = shop_v1_Price_init_zero;
  strcpy(price.article, message->article);
  price.cents = message->pieces * 150;
  TRY(shop_v1_orders_quote_server_send(call, &price, 0));
}

static void quote_end(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)event;
  TRY(spanwire_server_call_finish(call, SPANWIRE_CODE_OK, NULL, NULL));
  spanwire_server_call_free(call);
}

/* Answers the first line at once; what follows is not wanted. */
static void place_message(void *self, spanwire_server_call *call, const shop_v1_Line *message,
                          spanwire_event *event) {
  (void)self;
  (void)event;
  shop_v1_Order order = {.id = message->pieces};
  TRY(shop_v1_orders_place_respond(call, &order, NULL));
  spanwire_server_call_free(call);
}

static pair with_service(void) {
  return (pair){.service = {.get = get,
                            .watch = watch,
                            .place = quote,
                            .place_message = place_message,
                            .quote = quote,
                            .quote_message = quote_message,
                            .quote_end = quote_end}};
}

/* ---- the tests ---- */

static void unary_blocks_or_not(void) {
  pair pair = with_service();
  pair_open(&pair);
  shop_v1_GetOrder request = {.id = 7};
  shop_v1_Order order = shop_v1_Order_init_zero;
  spanwire_event done;
  TRY(shop_v1_orders_get_blocking(pair.channel, &request, NULL, &order, &done));
  CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
  CHECK_EQ(order.id, 7);
  CHECK_TEXT(order.lines[0].article, "tea");
  spanwire_event_free(&done);

  TRY(shop_v1_orders_get(pair.channel, &request, NULL, pair.queue, NULL, NULL));
  done = next_done(&pair);
  order = (shop_v1_Order)shop_v1_Order_init_zero;
  CHECK(shop_v1_orders_get_response(&done, &order));
  CHECK_EQ(order.id, 7);
  spanwire_event_free(&done);
  pair_close(&pair);
}

static void streams_pass(void) {
  pair pair = with_service();
  pair_open(&pair);
  shop_v1_GetOrder request = {.id = 3};
  spanwire_call_options options = with_credit(100);
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_watch(pair.channel, &request, &options, pair.queue, NULL, &call));
  int seen = 0;
  spanwire_event event = next_event(&pair);
  for (; event.type == SPANWIRE_EVENT_MESSAGES; event = next_event(&pair)) {
    for (size_t i = 0; i < event.message_count; i++) {
      shop_v1_Update update = shop_v1_Update_init_zero;
      CHECK(shop_v1_orders_watch_message(&event.messages[i], &update));
      CHECK_EQ(update.state, ++seen);
    }
    spanwire_event_free(&event);
  }
  CHECK_EQ(event.status.code, SPANWIRE_CODE_OK);
  CHECK_EQ(seen, 3);
  spanwire_event_free(&event);
  spanwire_call_free(call);

  TRY(shop_v1_orders_quote(pair.channel, &options, pair.queue, NULL, &call));
  shop_v1_Line line = {.article = "tea", .pieces = 2};
  TRY(shop_v1_orders_quote_send(call, &line, SPANWIRE_SEND_LAST));
  event = next_message(&pair);
  shop_v1_Price price = shop_v1_Price_init_zero;
  CHECK(shop_v1_orders_quote_message(&event.messages[0], &price));
  CHECK_EQ(price.cents, 300);
  spanwire_event_free(&event);
  expect_done(&pair, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void calls_that_are_freed_get_no_more_messages(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_place(pair.channel, NULL, pair.queue, NULL, &call));
  shop_v1_Line line = {.article = "tea", .pieces = 5};
  /* Those that come after the answer find the call over. */
  for (int i = 0; i < 8; i++) shop_v1_orders_place_send(call, &line, 0);
  spanwire_event event = next_message(&pair);
  shop_v1_Order order = shop_v1_Order_init_zero;
  CHECK(shop_v1_orders_place_message(&event.messages[0], &order));
  CHECK_EQ(order.id, 5);
  spanwire_event_free(&event);
  event = next_done(&pair);
  CHECK_EQ(event.status.code, SPANWIRE_CODE_OK);
  spanwire_event_free(&event);
  spanwire_call_free(call);
  pair_close(&pair);
}

/* A string of 20 bytes, where orders.options leaves room for 15. */
static void messages_that_do_not_fit_say_why(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_buffer line = {.data =
                              "\x0a\x14"
                              "aaaaaaaaaaaaaaaaaaaa",
                          .len = 22};
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_quote(pair.channel, NULL, pair.queue, NULL, &call));
  TRY(spanwire_call_send(call, &line));
  spanwire_event done = next_done(&pair);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_INTERNAL);
  CHECK_TEXT(done.status.message, "cannot decode shop.v1.Line: string overflow");
  spanwire_event_free(&done);

  shop_v1_Line unterminated = {.pieces = 1};
  memset(unterminated.article, 'a', sizeof unterminated.article);
  REFUSED(shop_v1_orders_quote_send(call, &unterminated, 0), SPANWIRE_INVALID_ARGUMENT, "cannot be encoded");
  REFUSED(shop_v1_orders_quote_send(call, NULL, 0), SPANWIRE_INVALID_ARGUMENT, "there is no message");
  spanwire_call_free(call);
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(unary_blocks_or_not),
      TEST(streams_pass),
      TEST(calls_that_are_freed_get_no_more_messages),
      TEST(messages_that_do_not_fit_say_why),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
