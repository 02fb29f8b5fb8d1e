/* Limits at the byte before and after, and whether the text names the setting that governs it. */
#include "pair.h"

static void respond(spanwire_server_call *call, size_t size) {
  char *data = calloc(1, size + 1);
  TRY(spanwire_server_call_respond(call, &(spanwire_buffer){.data = data, .len = size}, NULL));
  free(data);
  spanwire_server_call_free(call);
}

/* A unary call with a request and an answer of these sizes; its code, and the message in `said`. */
static char said[1024];
static spanwire_code sized_call(pair *pair, size_t request, size_t answer, const spanwire_call_options *options) {
  char *data = calloc(1, request + 1);
  TRY(spanwire_call_unary(pair->channel, UNARY, &(spanwire_buffer){.data = data, .len = request}, options,
                          pair->queue, NULL, NULL));
  free(data);
  spanwire_event event;
  for (;;) {
    if (spanwire_queue_next(pair->requests, &event, 1, 1) == 1) {
      CHECK_EQ(event.type, SPANWIRE_EVENT_REQUEST);
      CHECK_EQ(event.message.len, request);
      respond(event.server_call, answer);
      spanwire_event_free(&event);
    }
    if (spanwire_queue_next(pair->queue, &event, 1, 1) == 1) break;
  }
  CHECK_EQ(event.type, SPANWIRE_EVENT_DONE);
  spanwire_code code = event.status.code;
  snprintf(said, sizeof said, "%s", event.status.message);
  if (code == SPANWIRE_CODE_OK) CHECK_EQ(event.message.len, answer);
  spanwire_event_free(&event);
  return code;
}

static void check_limited(spanwire_code code, const char *setting, const char *size, const char *limit) {
  CHECK_EQ(code, SPANWIRE_CODE_RESOURCE_EXHAUSTED);
  CHECK_HAS(said, setting);
  CHECK_HAS(said, size);
  CHECK_HAS(said, limit);
}

static void received_messages_of_a_channel(void) {
  spanwire_channel_options options = {.size = sizeof options, .max_recv_message_bytes = 1000};
  pair pair;
  pair_open(&pair, (pair_options){.channel = &options});
  CHECK_EQ(sized_call(&pair, 5000, 1000, NULL), SPANWIRE_CODE_OK);
  check_limited(sized_call(&pair, 5000, 1001, NULL), "max_recv_message_bytes", "1001", "1000");
  pair_close(&pair);
}

static void received_messages_of_a_server(void) {
  spanwire_server_options options = {.size = sizeof options, .max_recv_message_bytes = 1000};
  pair pair;
  pair_open(&pair, (pair_options){.server = &options});
  CHECK_EQ(sized_call(&pair, 1000, 5000, NULL), SPANWIRE_CODE_OK);
  check_limited(sized_call(&pair, 1001, 5000, NULL), "max_recv_message_bytes", "1001", "1000");
  pair_close(&pair);
}

static void a_calls_limits_are_before_its_channels(void) {
  spanwire_channel_options channel = {.size = sizeof channel, .max_recv_message_bytes = 1000};
  pair pair;
  pair_open(&pair, (pair_options){.channel = &channel});
  spanwire_call_options options = {.size = sizeof options, .max_recv_message_bytes = 2000};
  CHECK_EQ(sized_call(&pair, 0, 2000, &options), SPANWIRE_CODE_OK);
  check_limited(sized_call(&pair, 0, 2001, &options), "max_recv_message_bytes", "2001", "2000");
  options = (spanwire_call_options){.size = sizeof options, .max_send_message_bytes = 100};
  CHECK_EQ(sized_call(&pair, 100, 0, &options), SPANWIRE_CODE_OK);
  check_limited(sized_call(&pair, 101, 0, &options), "max_send_message_bytes", "101", "100");
  pair_close(&pair);
}

static void default_is_four_mebibytes(void) {
  enum { MIB = 1024 * 1024 };
  pair pair;
  pair_open(&pair, (pair_options){0});
  CHECK_EQ(sized_call(&pair, 4 * MIB, 4 * MIB, NULL), SPANWIRE_CODE_OK);
  check_limited(sized_call(&pair, 4 * MIB + 1, 0, NULL), "max_recv_message_bytes", "4194305", "4194304");
  check_limited(sized_call(&pair, 0, 4 * MIB + 1, NULL), "max_recv_message_bytes", "4194305", "4194304");
  pair_close(&pair);
}

static void sent_messages_of_a_channel(void) {
  spanwire_channel_options options = {.size = sizeof options, .max_send_message_bytes = 1000};
  pair pair;
  pair_open(&pair, (pair_options){.channel = &options});
  CHECK_EQ(sized_call(&pair, 1000, 0, NULL), SPANWIRE_CODE_OK);
  check_limited(sized_call(&pair, 1001, 0, NULL), "max_send_message_bytes", "1001", "1000");
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 1);
  char data[1001] = {0};
  spanwire_server_call *served = ACCEPTED(&pair);
  TRY(spanwire_call_send(call, &(spanwire_buffer){.data = data, .len = 1000}));
  PASS(pair.requests, MESSAGES);
  /* Only this message is refused: the call goes on. */
  REFUSED(spanwire_call_send(call, &(spanwire_buffer){.data = data, .len = 1001}), SPANWIRE_INVALID_ARGUMENT,
          "max_send_message_bytes");
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL));
  PASS(pair.queue, HEADERS);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  spanwire_server_call_free(served);
  spanwire_call_free(call);
  pair_close(&pair);
}

/* Metadata that take this much of the limit: name, value and 32 for each field. */
static spanwire_code call_with_metadata(pair *pair, size_t size) {
  static char value[64 * 1024];
  memset(value, 'm', sizeof value);
  spanwire_metadata_entry entry = {"x-long", value, size};
  spanwire_call_options options = {.size = sizeof options, .metadata = &entry, .metadata_count = 1};
  return sized_call(pair, 0, 0, &options);
}

static void metadata_that_a_server_takes(void) {
  spanwire_server_options options = {.size = sizeof options, .max_metadata_bytes = 4096};
  pair pair;
  pair_open(&pair, (pair_options){.server = &options});
  CHECK_EQ(call_with_metadata(&pair, 2000), SPANWIRE_CODE_OK);
  /* The largest that passes, and one byte more. */
  size_t low = 2000, high = 4096;
  while (low + 1 < high) {
    size_t middle = (low + high) / 2;
    if (call_with_metadata(&pair, middle) == SPANWIRE_CODE_OK) {
      low = middle;
    } else {
      high = middle;
    }
  }
  CHECK_EQ(call_with_metadata(&pair, low), SPANWIRE_CODE_OK);
  CHECK_EQ(call_with_metadata(&pair, low + 1), SPANWIRE_CODE_RESOURCE_EXHAUSTED);
  CHECK_HAS(said, "max_metadata_bytes");
  pair_close(&pair);
}

static void nonsense_is_refused_by_name(void) {
  spanwire_channel_options channel = {.size = sizeof channel, .stream_window_bytes = -5};
  CHECK(spanwire_channel_new(NULL, "127.0.0.1:1", &channel) == NULL);
  CHECK_HAS(spanwire_last_error(), "stream_window_bytes");
  channel = (spanwire_channel_options){.size = sizeof channel, .stream_window_bytes = INT64_MAX};
  CHECK(spanwire_channel_new(NULL, "127.0.0.1:1", &channel) == NULL);
  CHECK_HAS(spanwire_last_error(), "stream_window_bytes");
  channel = (spanwire_channel_options){.size = 0};
  CHECK(spanwire_channel_new(NULL, "127.0.0.1:1", &channel) == NULL);
  CHECK_HAS(spanwire_last_error(), "size");
  spanwire_server_options server = {.size = sizeof server, .max_recv_message_bytes = -7};
  CHECK(spanwire_server_new(NULL, &server) == NULL);
  CHECK_HAS(spanwire_last_error(), "max_recv_message_bytes");
}

static void targets_that_are_none_are_refused(void) {
  static const char *const targets[] = {"", "host:port", "127.0.0.1:70000", "unknown://x", "unix:"};
  for (size_t i = 0; i < COUNT_OF(targets); i++) {
    CHECK(spanwire_channel_new(NULL, targets[i], NULL) == NULL);
    CHECK_HAS(spanwire_last_error(), targets[i]);
  }
  CHECK(spanwire_channel_new(NULL, NULL, NULL) == NULL);
  CHECK_HAS(spanwire_last_error(), "target");
  CHECK(spanwire_channel_new(NULL, "\xff\xfe", NULL) == NULL);
  CHECK_HAS(spanwire_last_error(), "UTF-8");
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(received_messages_of_a_channel),
      TEST(received_messages_of_a_server),
      TEST(a_calls_limits_are_before_its_channels),
      TEST(default_is_four_mebibytes),
      TEST(sent_messages_of_a_channel),
      TEST(metadata_that_a_server_takes),
      TEST(nonsense_is_refused_by_name),
      TEST(targets_that_are_none_are_refused),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
