/* The shop that the snippets of docs/c.md talk to: listens on the address that is its argument until it is killed.
 */
#include <shop/v1/orders.spanwire.h>
#include <stdio.h>
#include <string.h>

static void get(void *self, spanwire_server_call *call, const Shop__V1__GetOrder *request, spanwire_event *event) {
  (void)self;
  (void)event;
  if (request->id == 99) return; /* Until its deadline, or it is cancelled. */
  spanwire_metadata_entry id = {"x-request-id", "none", 4};
  spanwire_metadata_find(spanwire_server_call_metadata(call), "x-request-id", 0, &id);
  spanwire_metadata_entry cost = {"x-cost", "1", 1};
  spanwire_answer answer = {
      .size = sizeof answer, .headers = &id, .header_count = 1, .trailers = &cost, .trailer_count = 1};
  Shop__V1__Order order = SHOP__V1__ORDER__INIT;
  order.id = request->id;
  if (request->id == 0) {
    spanwire_server_call_finish(call, SPANWIRE_CODE_NOT_FOUND, "there is no order 0", NULL);
  } else {
    shop_v1_orders_get_respond(call, &order, &answer);
  }
  spanwire_server_call_free(call);
}

static void watch(void *self, spanwire_server_call *call, const Shop__V1__GetOrder *request,
                  spanwire_event *event) {
  (void)self;
  (void)request;
  (void)event;
  Shop__V1__Update update = SHOP__V1__UPDATE__INIT;
  for (int state = SHOP__V1__STATE__STATE_PLACED; state <= SHOP__V1__STATE__STATE_SENT; state++) {
    update.state = (Shop__V1__State)state;
    shop_v1_orders_watch_server_send(call, &update, 0);
  }
  spanwire_server_call_finish(call, SPANWIRE_CODE_OK, NULL, NULL);
  spanwire_server_call_free(call);
}

/* Counts its lines in what it keeps for the call. */
static void place_line(void *self, spanwire_server_call *call, const Shop__V1__Line *line, spanwire_event *event) {
  (void)self;
  (void)line;
  (void)event;
  spanwire_server_call_set_data(call, (char *)spanwire_server_call_data(call) + 1);
}

static void place(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)call;
  (void)event;
}

static void place_ends(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)event;
  size_t count = (size_t)spanwire_server_call_data(call);
  Shop__V1__Line line = SHOP__V1__LINE__INIT;
  Shop__V1__Line *lines[16];
  for (size_t i = 0; i < 16; i++) lines[i] = &line;
  Shop__V1__Order order = SHOP__V1__ORDER__INIT;
  order.n_lines = count;
  order.lines = lines;
  shop_v1_orders_place_respond(call, &order, NULL);
  spanwire_server_call_free(call);
}

static void quote(void *self, spanwire_server_call *call, const Shop__V1__Line *line, spanwire_event *event) {
  (void)self;
  (void)event;
  Shop__V1__Price price = SHOP__V1__PRICE__INIT;
  price.article = line->article;
  price.cents = 10 * line->pieces;
  shop_v1_orders_quote_server_send(call, &price, 0);
}

static void quote_ends(void *self, spanwire_server_call *call, spanwire_event *event) {
  (void)self;
  (void)event;
  spanwire_server_call_finish(call, SPANWIRE_CODE_OK, NULL, NULL);
  spanwire_server_call_free(call);
}

int main(int argc, char **argv) {
  static shop_v1_orders_service service = {.get = get,
                                           .watch = watch,
                                           .place = place,
                                           .place_message = place_line,
                                           .place_end = place_ends,
                                           .quote = place,
                                           .quote_message = quote,
                                           .quote_end = quote_ends};
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_server *server = spanwire_server_new(NULL, NULL);
  shop_v1_orders_register(server, &service, queue);
  if (argc != 2 || spanwire_server_listen(server, argv[1]) < 0) {
    fprintf(stderr, "%s\n", spanwire_last_error());
    return 1;
  }
  for (;;) {
    spanwire_event events[64];
    int32_t count = spanwire_queue_next(queue, events, 64, -1);
    if (count < 0) return 1;
    for (int32_t i = 0; i < count; i++) shop_v1_orders_dispatch(&service, &events[i]);
    spanwire_events_free(events, (size_t)count);
  }
}
