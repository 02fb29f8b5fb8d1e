/* A fallback takes every method that was not registered, as bidi; with a channel behind it that makes a proxy. */
#include "peer.h"

/* One call on its way through. Each direction has one message at a time: the next one is granted when this one has
 * found room, so that a slow reader on one side slows the sender on the other. */
typedef struct passage {
  spanwire_server_call *from;
  spanwire_call *to;
  struct passage *next;
} passage;

typedef struct proxy {
  spanwire_server *server;
  spanwire_channel *backend;
  spanwire_queue *queue; /* of both sides */
  passage *passages;
  char target[64];
} proxy;

static passage *find(proxy *proxy, const spanwire_event *event) {
  passage *passage = proxy->passages;
  while (passage != NULL && event->server_call != passage->from && event->tag != passage) passage = passage->next;
  return passage;
}

static void end(proxy *proxy, passage *done) {
  passage **at = &proxy->passages;
  while (*at != done) at = &(*at)->next;
  *at = done->next;
  spanwire_server_call_free(done->from);
  spanwire_call_free(done->to);
  free(done);
}

static size_t entries_of(const spanwire_metadata *metadata, spanwire_metadata_entry *entries, size_t capacity) {
  size_t count = 0, total = spanwire_metadata_count(metadata);
  for (size_t i = 0; i < total && count < capacity; i++) {
    CHECK(spanwire_metadata_at(metadata, i, &entries[count]));
    /* The channel says its own. */
    count += strcmp(entries[count].key, "user-agent") != 0;
  }
  return count;
}

static void begin(proxy *proxy, spanwire_event *event) {
  passage *begun = calloc(1, sizeof *begun);
  *begun = (passage){.from = event->server_call, .next = proxy->passages};
  proxy->passages = begun;
  spanwire_metadata_entry entries[64];
  size_t count = entries_of(spanwire_server_call_metadata(event->server_call), entries, COUNT_OF(entries));
  int64_t left = spanwire_server_call_time_remaining_ms(event->server_call);
  spanwire_call_options options = {.size = sizeof options,
                                   .timeout_ms = left == INT64_MAX ? 0 : left,
                                   .metadata = entries,
                                   .metadata_count = count,
                                   .credit = 1};
  const char *method = spanwire_server_call_method(event->server_call, NULL);
  TRY(spanwire_call_start(proxy->backend, method, SPANWIRE_KIND_BIDI, &options, proxy->queue, begun, &begun->to));
  CHECK(event->message.data == NULL && !event->end);
}

/* The next message may come, as the last one has found room. */
static void grant(passage *passage, bool from_client) {
  if (from_client) {
    spanwire_server_call_grant(passage->from, 1);
  } else {
    spanwire_call_grant(passage->to, 1);
  }
}

static void forward(passage *passage, const spanwire_event *event, bool from_client) {
  for (size_t i = 0; i < event->message_count; i++) {
    spanwire_buffer message = {.data = event->messages[i].data, .len = event->messages[i].len};
    spanwire_result result = from_client ? spanwire_call_send(passage->to, &message)
                                         : spanwire_server_call_send(passage->from, &message);
    if (result == SPANWIRE_DONE) grant(passage, from_client);
  }
  if (from_client && event->end) spanwire_call_half_close(passage->to);
}

static void headers(passage *passage, const spanwire_event *event) {
  spanwire_metadata_entry entries[64];
  spanwire_answer answer = {.size = sizeof answer, .headers = entries};
  answer.header_count = entries_of(event->metadata, entries, COUNT_OF(entries));
  spanwire_server_call_headers(passage->from, &answer);
}

static void finish(proxy *proxy, passage *passage, const spanwire_event *event) {
  spanwire_metadata_entry entries[64];
  spanwire_answer answer = {.size = sizeof answer,
                            .trailers = entries,
                            .details = event->status.details,
                            .details_len = event->status.details_len};
  answer.trailer_count = entries_of(event->status.trailers, entries, COUNT_OF(entries));
  spanwire_server_call_finish(passage->from, event->status.code, event->status.message, &answer);
  end(proxy, passage);
}

static void *run(void *argument) {
  proxy *proxy = argument;
  for (;;) {
    spanwire_event event = {0};
    int32_t count = spanwire_queue_next(proxy->queue, &event, 1, -1);
    if (count <= 0) return NULL;
    passage *passage = find(proxy, &event);
    bool from_client = event.server_call != NULL;
    if (event.type == SPANWIRE_EVENT_REQUEST) begin(proxy, &event);
    if (event.type == SPANWIRE_EVENT_MESSAGES && passage != NULL) forward(passage, &event, from_client);
    /* Room on one side is leave to come from the other. */
    if (event.type == SPANWIRE_EVENT_WRITABLE && passage != NULL) grant(passage, !from_client);
    if (event.type == SPANWIRE_EVENT_HEADERS && passage != NULL) headers(passage, &event);
    if (event.type == SPANWIRE_EVENT_DONE && passage != NULL) finish(proxy, passage, &event);
    /* Freeing the backend's call cancels it; its DONE finds no passage any more. */
    if (event.type == SPANWIRE_EVENT_CANCELLED && passage != NULL) end(proxy, passage);
    spanwire_event_free(&event);
  }
}

static pthread_t proxy_start(proxy *proxy, const char *backend) {
  memset(proxy, 0, sizeof *proxy);
  proxy->queue = MADE(spanwire_queue_new());
  proxy->backend = MADE(spanwire_channel_new(NULL, backend, NULL));
  proxy->server = MADE(spanwire_server_new(NULL, NULL));
  TRY(spanwire_server_fallback(proxy->server, proxy->queue, proxy, 1));
  TRY(spanwire_server_listen(proxy->server, "127.0.0.1:0"));
  spanwire_server_target(proxy->server, proxy->target, sizeof proxy->target);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, run, proxy), 0);
  return thread;
}

static void proxy_stop(proxy *proxy, pthread_t thread) {
  spanwire_server_free(proxy->server);
  spanwire_queue_wake(proxy->queue);
  pthread_join(thread, NULL);
  while (proxy->passages != NULL) end(proxy, proxy->passages);
  spanwire_channel_free(proxy->backend);
  spanwire_queue_free(proxy->queue);
}

static void every_kind_passes(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  proxy proxy;
  pthread_t thread = proxy_start(&proxy, peer.target);
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, proxy.target, NULL));

  spanwire_event event = {0};
  TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT("through"), NULL, &event));
  CHECK_EQ(event.status.code, SPANWIRE_CODE_OK);
  CHECK_BYTES(event.message.data, event.message.len, "through");
  spanwire_event_free(&event);

  spanwire_call *call = NULL;
  spanwire_call_options options = {.size = sizeof options, .credit = 10};
  TRY(spanwire_call_start(channel, SERVER_STREAMING, SPANWIRE_KIND_SERVER_STREAMING, &options, queue, NULL, &call));
  TRY(spanwire_call_send(call, TEXT("300 1000")));
  size_t messages = 0, bytes = 0;
  while (event.type != SPANWIRE_EVENT_DONE) {
    CHECK_EQ(spanwire_queue_next(queue, &event, 1, patience_ms()), 1);
    if (event.type == SPANWIRE_EVENT_DONE) break;
    for (size_t i = 0; i < event.message_count; i++) bytes += event.messages[i].len;
    messages += event.message_count;
    /* Too late for the last ones, when the call is over already. */
    if (event.message_count > 0) spanwire_call_grant(call, (uint32_t)event.message_count);
    spanwire_event_free(&event);
  }
  CHECK_EQ(event.status.code, SPANWIRE_CODE_OK);
  CHECK_EQ(messages, 300);
  CHECK_EQ(bytes, 300000);
  spanwire_event_free(&event);
  spanwire_call_free(call);

  TRY(spanwire_call_start(channel, CLIENT_STREAMING, SPANWIRE_KIND_CLIENT_STREAMING, &options, queue, NULL, &call));
  for (int i = 0; i < 50; i++) TRY(spanwire_call_send(call, TEXT("12345")));
  TRY(spanwire_call_half_close(call));
  PASS(queue, HEADERS);
  event = EVENT(queue, MESSAGES);
  CHECK_BYTES(event.messages[0].data, event.messages[0].len, "50 250");
  spanwire_event_free(&event);
  EXPECT_DONE(queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);

  TRY(spanwire_call_start(channel, BIDI, SPANWIRE_KIND_BIDI, &options, queue, NULL, &call));
  TRY(spanwire_call_send(call, TEXT("hello")));
  PASS(queue, HEADERS);
  event = EVENT(queue, MESSAGES);
  CHECK_BYTES(event.messages[0].data, event.messages[0].len, "hello");
  spanwire_event_free(&event);
  TRY(spanwire_call_half_close(call));
  EXPECT_DONE(queue, SPANWIRE_CODE_OK, "");
  spanwire_call_free(call);

  TRY(spanwire_call_unary_blocking(channel, "/test.Service/None", TEXT(""), NULL, &event));
  CHECK_EQ(event.status.code, SPANWIRE_CODE_UNIMPLEMENTED);
  spanwire_event_free(&event);

  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
  proxy_stop(&proxy, thread);
  peer_stop(&peer);
}

static void metadata_deadline_status_and_cancel_pass(void) {
  pair backend;
  pair_open(&backend, (pair_options){0});
  proxy proxy;
  pthread_t thread = proxy_start(&proxy, backend.target);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, proxy.target, NULL));

  spanwire_metadata_entry entry = {"x-raw-bin", "\0\1\2", 3};
  spanwire_call_options options = {
      .size = sizeof options, .metadata = &entry, .metadata_count = 1, .timeout_ms = 600000};
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), &options, backend.queue, NULL, NULL));
  spanwire_event request = EVENT(backend.requests, REQUEST);
  spanwire_metadata_entry found;
  CHECK(spanwire_metadata_find(spanwire_server_call_metadata(request.server_call), "x-raw-bin", 0, &found));
  CHECK_EQ(found.value_len, 3);
  int64_t left = spanwire_server_call_time_remaining_ms(request.server_call);
  CHECK(left > 0 && left <= 600000);
  spanwire_answer answer = {.size = sizeof answer, .trailers = &entry, .trailer_count = 1};
  TRY(spanwire_server_call_finish(request.server_call, SPANWIRE_CODE_DATA_LOSS, "lost it", &answer));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);
  spanwire_event done = EVENT(backend.queue, DONE);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_DATA_LOSS);
  CHECK_TEXT(done.status.message, "lost it");
  CHECK(spanwire_metadata_find(done.status.trailers, "x-raw-bin", 0, &found));
  spanwire_event_free(&done);

  spanwire_call *call = NULL;
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), NULL, backend.queue, NULL, &call));
  spanwire_server_call *served = ACCEPTED(&backend);
  TRY(spanwire_call_cancel(call));
  EXPECT_DONE(backend.queue, SPANWIRE_CODE_CANCELLED, "");
  PASS(backend.requests, CANCELLED);
  spanwire_server_call_free(served);
  spanwire_call_free(call);

  spanwire_channel_free(channel);
  proxy_stop(&proxy, thread);
  pair_close(&backend);
}

static void registered_methods_come_before_the_fallback(void) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_server *server = MADE(spanwire_server_new(NULL, NULL));
  TRY(spanwire_server_method(server, UNARY, SPANWIRE_KIND_UNARY, queue, "method", 1));
  TRY(spanwire_server_fallback(server, queue, "fallback", 1));
  TRY(spanwire_server_listen(server, "inprocess:fallback"));
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "inprocess:fallback", NULL));
  static const char *const methods[] = {UNARY, BIDI, "/other.Service/Thing"};
  for (size_t i = 0; i < COUNT_OF(methods); i++) {
    TRY(spanwire_call_unary(channel, methods[i], TEXT("x"), NULL, queue, NULL, NULL));
    spanwire_event request = EVENT(queue, REQUEST);
    CHECK_TEXT(request.tag, i == 0 ? "method" : "fallback");
    CHECK_TEXT(spanwire_server_call_method(request.server_call, NULL), methods[i]);
    TRY(spanwire_server_call_finish(request.server_call, SPANWIRE_CODE_ABORTED, "", NULL));
    spanwire_server_call_free(request.server_call);
    spanwire_event_free(&request);
    spanwire_event event = {0};
    do {
      spanwire_event_free(&event);
      CHECK_EQ(spanwire_queue_next(queue, &event, 1, patience_ms()), 1);
    } while (event.type != SPANWIRE_EVENT_DONE);
    CHECK_EQ(event.status.code, SPANWIRE_CODE_ABORTED);
    spanwire_event_free(&event);
  }
  spanwire_channel_free(channel);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(every_kind_passes),
      TEST(metadata_deadline_status_and_cancel_pass),
      TEST(registered_methods_come_before_the_fallback),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
