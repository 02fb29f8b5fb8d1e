/* Generated clients and servers with messages by protobuf-c: all kinds, and what cannot be answered. */
#include <semaphore.h>

#include "pair.h"

/* ---- the service ---- */

static sem_t cancelled;

static void get(void *self, spanwire_server_call *call, const Shop__V1__GetOrder *request, spanwire_event *event) {
  (void)self;
  CHECK(event->message.len > 0);
  if (request->id == 13) {
    spanwire_buffer bytes = malformed();
    TRY(spanwire_server_call_respond(call, &bytes, NULL));
  } else if (request->id == 404) {
    TRY(spanwire_server_call_finish(call, SPANWIRE_CODE_NOT_FOUND, "no such order", NULL));
  } else {
    Shop__V1__Line line = SHOP__V1__LINE__INIT;
    line.article = "tea";
    line.pieces = 2;
    Shop__V1__Line *lines[] = {&line};
    Shop__V1__Order order = SHOP__V1__ORDER__INIT;
    order.id = request->id;
    order.state = SHOP__V1__STATE__STATE_PAID;
    order.n_lines = 1;
    order.lines = lines;
    TRY(shop_v1_orders_get_respond(call, &order, NULL));
  }
  spanwire_server_call_free(call);
}

static void watch(void *self, spanwire_server_call *call, const Shop__V1__GetOrder *request,
                  spanwire_event *event) {
  (void)self;
  (void)event;
  for (uint64_t i = 1; i <= request->id; i++) {
    Shop__V1__Update update = SHOP__V1__UPDATE__INIT;
    update.state = (Shop__V1__State)i;
    TRY(shop_v1_orders_watch_server_send(call, &update, SPANWIRE_SEND_PLAIN));
  }
  TRY(spanwire_server_call_finish(call, SPANWIRE_CODE_OK, NULL, NULL));
  spanwire_server_call_free(call);
}

static void place(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)event;
  uint64_t *pieces = calloc(1, sizeof *pieces);
  TRY(spanwire_server_call_set_data(call, pieces));
}

static void place_message(void *self, spanwire_server_call *call, const Shop__V1__Line *message,
                          spanwire_event *event) {
  (void)self;
  (void)event;
  uint64_t *pieces = spanwire_server_call_data(call);
  *pieces += message->pieces;
}

static void place_end(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  CHECK(event->end);
  uint64_t *pieces = spanwire_server_call_data(call);
  Shop__V1__Order order = SHOP__V1__ORDER__INIT;
  order.id = *pieces;
  TRY(shop_v1_orders_place_respond(call, &order, NULL));
  free(pieces);
  spanwire_server_call_free(call);
}

static void quote(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)call;
  (void)event;
}

static void quote_message(void *self, spanwire_server_call *call, const Shop__V1__Line *message,
                          spanwire_event *event) {
  (void)event;
  Shop__V1__Price price = SHOP__V1__PRICE__INIT;
  price.article = message->article;
  price.cents = message->pieces * *(uint64_t *)self;
  TRY(shop_v1_orders_quote_server_send(call, &price, 0));
}

static void quote_end(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)event;
  TRY(spanwire_server_call_finish(call, SPANWIRE_CODE_OK, NULL, NULL));
  spanwire_server_call_free(call);
}

static void on_cancelled(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)event;
  free(spanwire_server_call_data(call));
  spanwire_server_call_free(call);
  sem_post(&cancelled);
}

static uint64_t cents = 150;

static pair with_service(void) {
  return (pair){.service = {.self = &cents,
                            .credit = 2,
                            .get = get,
                            .watch = watch,
                            .place = place,
                            .place_message = place_message,
                            .place_end = place_end,
                            .quote = quote,
                            .quote_message = quote_message,
                            .quote_end = quote_end,
                            .on_cancelled = on_cancelled}};
}

/* ---- the tests ---- */

static void unary_blocks_or_not(void) {
  pair pair = with_service();
  pair_open(&pair);
  Shop__V1__GetOrder request = SHOP__V1__GET_ORDER__INIT;
  request.id = 7;
  Shop__V1__Order *order = NULL;
  spanwire_event done;
  TRY(shop_v1_orders_get_blocking(pair.channel, &request, NULL, &order, &done));
  CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
  CHECK_EQ(order->id, 7);
  CHECK_TEXT(order->lines[0]->article, "tea");
  shop__v1__order__free_unpacked(order, NULL);
  spanwire_event_free(&done);

  request.id = 404;
  TRY(shop_v1_orders_get_blocking(pair.channel, &request, NULL, &order, &done));
  CHECK(order == NULL);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_NOT_FOUND);
  CHECK_TEXT(done.status.message, "no such order");
  spanwire_event_free(&done);

  request.id = 8;
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_get(pair.channel, &request, NULL, pair.queue, &pair, &call));
  done = next_done(&pair);
  CHECK(done.tag == &pair);
  order = shop_v1_orders_get_response(&done);
  CHECK_EQ(order->id, 8);
  shop__v1__order__free_unpacked(order, NULL);
  spanwire_event_free(&done);
  spanwire_call_free(call);
  REFUSED(shop_v1_orders_get(pair.channel, NULL, NULL, pair.queue, NULL, NULL), SPANWIRE_INVALID_ARGUMENT,
          "there is no message");
  pair_close(&pair);
}

static void server_streams(void) {
  pair pair = with_service();
  pair_open(&pair);
  Shop__V1__GetOrder request = SHOP__V1__GET_ORDER__INIT;
  request.id = 3;
  spanwire_call_options options = with_credit(1);
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_watch(pair.channel, &request, &options, pair.queue, NULL, &call));
  for (int i = 1; i <= 3; i++) {
    spanwire_event event = next_message(&pair);
    Shop__V1__Update *update = shop_v1_orders_watch_message(&event.messages[0]);
    CHECK_EQ(update->state, i);
    shop__v1__update__free_unpacked(update, NULL);
    spanwire_event_free(&event);
    if (i < 3) TRY(spanwire_call_grant(call, 1));
  }
  expect_done(&pair, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

/* More than the credit, so that dispatch has to grant. */
static void client_streams(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_place(pair.channel, NULL, pair.queue, NULL, &call));
  Shop__V1__Line line = SHOP__V1__LINE__INIT;
  line.article = "coffee";
  line.pieces = 3;
  for (int i = 0; i < 20; i++) {
    uint32_t flags = i == 19 ? SPANWIRE_SEND_LAST : 0;
    if (TRY(shop_v1_orders_place_send(call, &line, flags)) == SPANWIRE_FULL && flags == 0) wait_for_room(&pair);
  }
  spanwire_event event = next_message(&pair);
  Shop__V1__Order *order = shop_v1_orders_place_message(&event.messages[0]);
  CHECK_EQ(order->id, 60);
  shop__v1__order__free_unpacked(order, NULL);
  spanwire_event_free(&event);
  expect_done(&pair, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void both_stream(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_call_options options = with_credit(1);
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_quote(pair.channel, &options, pair.queue, NULL, &call));
  for (uint32_t i = 1; i <= 5; i++) {
    Shop__V1__Line line = SHOP__V1__LINE__INIT;
    line.article = "tea";
    line.pieces = i;
    TRY(shop_v1_orders_quote_send(call, &line, 0));
    spanwire_event event = next_message(&pair);
    Shop__V1__Price *price = shop_v1_orders_quote_message(&event.messages[0]);
    CHECK_EQ(price->cents, 150 * i);
    CHECK_TEXT(price->article, "tea");
    shop__v1__price__free_unpacked(price, NULL);
    spanwire_event_free(&event);
    TRY(spanwire_call_grant(call, 1));
  }
  TRY(spanwire_call_half_close(call));
  expect_done(&pair, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void what_nobody_implements_is_unimplemented(void) {
  pair pair = {.service = {.self = NULL}};
  pair_open(&pair);
  Shop__V1__GetOrder request = SHOP__V1__GET_ORDER__INIT;
  TRY(shop_v1_orders_get(pair.channel, &request, NULL, pair.queue, NULL, NULL));
  expect_done(&pair, SPANWIRE_CODE_UNIMPLEMENTED, "/shop.v1.Orders/Get is not implemented");
  spanwire_call *call = NULL;
  TRY(shop_v1_orders_quote(pair.channel, NULL, pair.queue, NULL, &call));
  expect_done(&pair, SPANWIRE_CODE_UNIMPLEMENTED, "/shop.v1.Orders/Quote is not implemented");
  spanwire_call_free(call);
  pair_close(&pair);
}

static void what_cannot_be_decoded_is_internal(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_buffer bytes = malformed();
  TRY(spanwire_call_unary(pair.channel, SHOP_V1_ORDERS_GET_PATH, &bytes, NULL, pair.queue, NULL, NULL));
  expect_done(&pair, SPANWIRE_CODE_INTERNAL, "cannot decode shop.v1.GetOrder: malformed message");

  spanwire_call *call = NULL;
  TRY(shop_v1_orders_place(pair.channel, NULL, pair.queue, NULL, &call));
  TRY(spanwire_call_send(call, &bytes));
  expect_done(&pair, SPANWIRE_CODE_INTERNAL, "cannot decode shop.v1.Line: malformed message");
  CHECK_EQ(shop_v1_orders_place_message(&(spanwire_bytes){.data = (const uint8_t *)"\x0a\xff", .len = 2}) == NULL,
           true);
  spanwire_call_free(call);

  Shop__V1__GetOrder request = SHOP__V1__GET_ORDER__INIT;
  request.id = 13;
  Shop__V1__Order *order = NULL;
  spanwire_event done;
  TRY(shop_v1_orders_get_blocking(pair.channel, &request, NULL, &order, &done));
  CHECK(order == NULL);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_INTERNAL);
  CHECK_TEXT(done.status.message, "cannot decode shop.v1.Order: malformed message");
  CHECK_EQ(done.status.message_len, strlen(done.status.message));
  spanwire_event_free(&done);
  CHECK_EQ(sem_wait(&cancelled), 0);
  pair_close(&pair);
}

static void what_a_client_cancels_is_told(void) {
  pair pair = with_service();
  pair_open(&pair);
  spanwire_call *call = NULL;
  spanwire_call_options options = with_credit(1);
  TRY(shop_v1_orders_quote(pair.channel, &options, pair.queue, NULL, &call));
  Shop__V1__Line line = SHOP__V1__LINE__INIT;
  TRY(shop_v1_orders_quote_send(call, &line, 0));
  spanwire_event event = next_message(&pair); /* the server has the call */
  spanwire_event_free(&event);
  TRY(spanwire_call_cancel(call));
  event = next_done(&pair);
  CHECK_EQ(event.status.code, SPANWIRE_CODE_CANCELLED);
  spanwire_event_free(&event);
  spanwire_call_free(call);
  CHECK_EQ(sem_wait(&cancelled), 0);
  pair_close(&pair);
}

static void events_of_others_are_not_taken(void) {
  shop_v1_orders_service service = with_service().service;
  int tag = 0;
  spanwire_event event = {.type = SPANWIRE_EVENT_DONE, .tag = &tag};
  CHECK(!shop_v1_orders_dispatch(&service, &event));
  event.tag = NULL;
  CHECK(!shop_v1_orders_dispatch(&service, &event));
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(unary_blocks_or_not),
      TEST(server_streams),
      TEST(client_streams),
      TEST(both_stream),
      TEST(what_nobody_implements_is_unimplemented),
      TEST(what_cannot_be_decoded_is_internal),
      TEST(what_a_client_cancels_is_told),
      TEST(events_of_others_are_not_taken),
  };
  CHECK_EQ(sem_init(&cancelled, 0, 0), 0);
  int failed = run_tests(tests, COUNT_OF(tests), argc, argv);
  CHECK_EQ(sem_trywait(&cancelled), -1);
  return failed;
}
