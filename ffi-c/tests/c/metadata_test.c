/* Metadata in both directions, and what is refused. */
#include "pair.h"

#define ENTRY(name, text) \
  { .key = (name), .value = (text), .value_len = sizeof(text) - 1 }

static void check_entry(const spanwire_metadata *metadata, const char *key, size_t nth, const void *value,
                        size_t len) {
  spanwire_metadata_entry entry;
  CHECK(spanwire_metadata_find(metadata, key, nth, &entry));
  CHECK_TEXT(entry.key, key);
  CHECK_EQ(entry.value_len, len);
  CHECK(memcmp(entry.value, value, len) == 0);
}

static const unsigned char every_sort_of_byte[] = {0x00, 0x01, 0x7f, 0x80, 0xff, ',', '=', 0x00};

static void entries_pass_in_both_directions(void) {
  const spanwire_metadata_entry sent[] = {
      ENTRY("x-text", "plain words"),
      ENTRY("x-many", "first"),
      ENTRY("x-many", "second"),
      ENTRY("x-empty", ""),
      {"x-raw-bin", every_sort_of_byte, sizeof every_sort_of_byte},
      {"x-empty-bin", "", 0},
  };
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call_options options = {.size = sizeof options, .metadata = sent, .metadata_count = COUNT_OF(sent)};
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT(""), &options, pair.queue, NULL, NULL));

  spanwire_event request = EVENT(pair.requests, REQUEST);
  const spanwire_metadata *metadata = spanwire_server_call_metadata(request.server_call);
  check_entry(metadata, "x-text", 0, "plain words", 11);
  check_entry(metadata, "x-many", 0, "first", 5);
  check_entry(metadata, "x-many", 1, "second", 6);
  check_entry(metadata, "x-empty", 0, "", 0);
  check_entry(metadata, "x-raw-bin", 0, every_sort_of_byte, sizeof every_sort_of_byte);
  check_entry(metadata, "x-empty-bin", 0, "", 0);
  spanwire_metadata_entry entry;
  CHECK(!spanwire_metadata_find(metadata, "x-many", 2, &entry));
  CHECK(!spanwire_metadata_find(metadata, "x-none", 0, &entry));
  CHECK(!spanwire_metadata_find(metadata, NULL, 0, &entry));

  const spanwire_metadata_entry headers[] = {ENTRY("x-head", "er"), {"x-head-bin", every_sort_of_byte, 5}};
  const spanwire_metadata_entry trailers[] = {ENTRY("x-trail", "er"), {"x-trail-bin", every_sort_of_byte, 8}};
  spanwire_answer answer = {.size = sizeof answer,
                            .headers = headers,
                            .header_count = COUNT_OF(headers),
                            .trailers = trailers,
                            .trailer_count = COUNT_OF(trailers)};
  TRY(spanwire_server_call_respond(request.server_call, TEXT("ok"), &answer));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);

  spanwire_event done = EVENT(pair.queue, DONE);
  check_entry(done.metadata, "x-head", 0, "er", 2);
  check_entry(done.metadata, "x-head-bin", 0, every_sort_of_byte, 5);
  check_entry(done.status.trailers, "x-trail", 0, "er", 2);
  check_entry(done.status.trailers, "x-trail-bin", 0, every_sort_of_byte, 8);
  CHECK(!spanwire_metadata_find(done.metadata, "x-trail", 0, &entry));
  spanwire_event_free(&done);
  pair_close(&pair);
}

static void count_and_at_go_through_all_of_them(void) {
  const spanwire_metadata_entry sent[] = {ENTRY("x-a", "1"), ENTRY("x-b", "2"), ENTRY("x-a", "3")};
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_call_options options = {.size = sizeof options, .metadata = sent, .metadata_count = COUNT_OF(sent)};
  TRY(spanwire_call_unary(pair.channel, UNARY, TEXT(""), &options, pair.queue, NULL, NULL));
  spanwire_event request = EVENT(pair.requests, REQUEST);
  const spanwire_metadata *metadata = spanwire_server_call_metadata(request.server_call);
  size_t count = spanwire_metadata_count(metadata);
  size_t ours = 0;
  spanwire_metadata_entry entry;
  for (size_t i = 0; i < count; i++) {
    CHECK(spanwire_metadata_at(metadata, i, &entry));
    CHECK_EQ(strlen(entry.key) > 0, true);
    if (strncmp(entry.key, "x-", 2) == 0) ours += (size_t)(((const char *)entry.value)[0] - '0');
    /* gRPC's own are not the program's business. */
    CHECK(strncmp(entry.key, "grpc-", 5) != 0);
    CHECK(entry.key[0] != ':');
  }
  CHECK_EQ(ours, 6);
  CHECK(!spanwire_metadata_at(metadata, count, &entry));
  CHECK(!spanwire_metadata_at(metadata, SIZE_MAX, &entry));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_INTERNAL, "");
  pair_close(&pair);
}

static void null_is_the_empty_one(void) {
  spanwire_metadata_entry entry;
  CHECK_EQ(spanwire_metadata_count(NULL), 0);
  CHECK(!spanwire_metadata_at(NULL, 0, &entry));
  CHECK(!spanwire_metadata_find(NULL, "x", 0, &entry));
}

static void refused_key(const char *key, const void *value, size_t len, const char *part) {
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_metadata_entry entry = {key, value, len};
  spanwire_call_options options = {.size = sizeof options, .metadata = &entry, .metadata_count = 1};
  spanwire_call *call = NULL;
  REFUSED(spanwire_call_unary(pair.channel, UNARY, TEXT(""), &options, pair.queue, NULL, &call),
          SPANWIRE_INVALID_ARGUMENT, part);
  CHECK(call == NULL);
  REFUSED(spanwire_call_start(pair.channel, BIDI, SPANWIRE_KIND_BIDI, &options, pair.queue, NULL, &call),
          SPANWIRE_INVALID_ARGUMENT, part);
  CHECK(call == NULL);
  spanwire_event done = {0};
  REFUSED(spanwire_call_unary_blocking(pair.channel, UNARY, TEXT(""), &options, &done), SPANWIRE_INVALID_ARGUMENT,
          part);
  CHECK_EQ(done.type, SPANWIRE_EVENT_NONE);

  /* The same on a server; the call is still to be answered. */
  START(&pair, "", NULL);
  spanwire_server_call *served = ACCEPTED(&pair);
  spanwire_answer headers = {.size = sizeof headers, .headers = &entry, .header_count = 1};
  REFUSED(spanwire_server_call_headers(served, &headers), SPANWIRE_INVALID_ARGUMENT, part);
  REFUSED(spanwire_server_call_respond(served, TEXT(""), &headers), SPANWIRE_INVALID_ARGUMENT, part);
  spanwire_answer trailers = {.size = sizeof trailers, .trailers = &entry, .trailer_count = 1};
  REFUSED(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", &trailers), SPANWIRE_INVALID_ARGUMENT, part);
  TRY(spanwire_server_call_respond(served, TEXT("still"), NULL));
  spanwire_server_call_free(served);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_OK, "");
  QUIET(pair.queue);
  pair_close(&pair);
}

static void reserved_keys_are_refused(void) {
  static const char *const keys[] = {"grpc-timeout", "grpc-status", "grpc-anything", "te", "content-type", ":path"};
  for (size_t i = 0; i < COUNT_OF(keys); i++) refused_key(keys[i], "v", 1, keys[i]);
}

static void malformed_entries_are_refused(void) {
  refused_key("", "v", 1, "names are made of");
  refused_key("x with space", "v", 1, "x with space");
  refused_key("x-\xff", "v", 1, "UTF-8");
  refused_key("x-line", "a\nb", 3, "x-line");
  refused_key("x-nul", "a\0b", 3, "x-nul");
  refused_key("x-high", "\xc3\xa9", 2, "x-high");
  refused_key(NULL, "v", 1, "key");
  refused_key("x-null", NULL, 3, "value");
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(entries_pass_in_both_directions), TEST(count_and_at_go_through_all_of_them), TEST(null_is_the_empty_one),
      TEST(reserved_keys_are_refused),       TEST(malformed_entries_are_refused),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
