/* Interceptors: hooks around every call of a channel and every event of a server. */
#include <stdatomic.h>

#include "pair.h"

/* What a hook has seen, and what it is to do. */
typedef struct hook {
  char order[64]; /* one letter for each time that a hook ran */
  char name;
  spanwire_code refuse;
  int64_t timeout_ms;
  atomic_int released;
  spanwire_code last_code;
  size_t messages;
} hook;

static void note(hook *hook) { strncat(hook->order, &hook->name, 1); }

static spanwire_code on_start(void *user_data, spanwire_draft *draft) {
  hook *hook = user_data;
  note(hook);
  CHECK(strncmp(spanwire_draft_method(draft), "/test.Service/", 14) == 0);
  spanwire_metadata_entry entry = {"x-token", &hook->name, 1};
  TRY(spanwire_draft_append_metadata(draft, &entry));
  entry.key = "grpc-mine";
  REFUSED(spanwire_draft_append_metadata(draft, &entry), SPANWIRE_INVALID_ARGUMENT, "grpc-mine");
  if (hook->refuse != SPANWIRE_CODE_OK) TRY(spanwire_draft_set_message(draft, "not today"));
  if (hook->timeout_ms != 0) TRY(spanwire_draft_set_timeout_ms(draft, hook->timeout_ms));
  return hook->refuse;
}

static void on_event(void *user_data, spanwire_event *event) {
  hook *hook = user_data;
  note(hook);
  hook->messages += event->message_count;
  if (event->type == SPANWIRE_EVENT_DONE) hook->last_code = event->status.code;
}

static void on_release(void *user_data) { ((hook *)user_data)->released++; }

/* Servers release when the last of them is gone, which may take a moment. */
static void check_released(hook *hook) {
  int64_t deadline = now_ms() + patience_ms();
  while (atomic_load(&hook->released) == 0 && now_ms() < deadline) usleep(500);
  CHECK_EQ(hook->released, 1);
}

static spanwire_interceptor interceptor_of(hook *hook) {
  return (spanwire_interceptor){.size = sizeof(spanwire_interceptor),
                                .user_data = hook,
                                .start = on_start,
                                .event = on_event,
                                .release = on_release};
}

static void channel_hooks_see_start_and_events(void) {
  hook outer = {.name = 'a'}, inner = {.name = 'b', .timeout_ms = 600000};
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_interceptor interceptor = interceptor_of(&outer);
  TRY(spanwire_channel_intercept(pair.channel, &interceptor));
  interceptor = interceptor_of(&inner);
  TRY(spanwire_channel_intercept(pair.channel, &interceptor));

  START(&pair, "", NULL);
  CHECK_TEXT(outer.order, "a");
  CHECK_TEXT(inner.order, "b");
  spanwire_event request = EVENT(pair.requests, REQUEST);
  spanwire_metadata_entry entry;
  CHECK(spanwire_metadata_find(spanwire_server_call_metadata(request.server_call), "x-token", 0, &entry));
  CHECK_BYTES(entry.value, entry.value_len, "a");
  CHECK(spanwire_metadata_find(spanwire_server_call_metadata(request.server_call), "x-token", 1, &entry));
  CHECK_BYTES(entry.value, entry.value_len, "b");
  int64_t left = spanwire_server_call_time_remaining_ms(request.server_call);
  CHECK(left > 0 && left <= 600000);
  TRY(spanwire_server_call_finish(request.server_call, SPANWIRE_CODE_NOT_FOUND, "", NULL));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_NOT_FOUND, "");
  CHECK_TEXT(outer.order, "aa");
  CHECK_EQ(outer.last_code, SPANWIRE_CODE_NOT_FOUND);
  CHECK_EQ(inner.last_code, SPANWIRE_CODE_NOT_FOUND);
  CHECK_EQ(outer.released, 0);
  pair_close(&pair);
  CHECK_EQ(outer.released, 1);
  CHECK_EQ(inner.released, 1);
}

static void channel_hook_may_refuse(void) {
  hook hook = {.name = 'r', .refuse = SPANWIRE_CODE_PERMISSION_DENIED};
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_interceptor interceptor = interceptor_of(&hook);
  TRY(spanwire_channel_intercept(pair.channel, &interceptor));
  START(&pair, "", &hook);
  spanwire_event done = EVENT(pair.queue, DONE);
  CHECK(done.tag == &hook);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_PERMISSION_DENIED);
  CHECK_TEXT(done.status.message, "not today");
  CHECK_EQ(done.status.sent, SPANWIRE_SENT_NOT_SENT);
  spanwire_event_free(&done);
  spanwire_call *call = NULL;
  TRY(spanwire_call_start(pair.channel, BIDI, SPANWIRE_KIND_BIDI, NULL, pair.queue, NULL, &call));
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_PERMISSION_DENIED, "");
  spanwire_call_free(call);
  memset(&done, 0, sizeof done);
  TRY(spanwire_call_unary_blocking(pair.channel, UNARY, TEXT(""), NULL, &done));
  CHECK_EQ(done.status.code, SPANWIRE_CODE_PERMISSION_DENIED);
  spanwire_event_free(&done);
  QUIET(pair.requests);
  pair_close(&pair);
}

static void channel_hooks_see_streams(void) {
  hook hook = {.name = 's'};
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_interceptor interceptor = interceptor_of(&hook);
  TRY(spanwire_channel_intercept(pair.channel, &interceptor));
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 4);
  spanwire_server_call *served = ACCEPTED(&pair);
  for (int i = 0; i < 3; i++) TRY(spanwire_server_call_send(served, TEXT("x")));
  TRY(spanwire_server_call_finish(served, SPANWIRE_CODE_OK, "", NULL));
  spanwire_server_call_free(served);
  spanwire_event event = {0};
  while (event.type != SPANWIRE_EVENT_DONE) {
    spanwire_event_free(&event);
    CHECK_EQ(spanwire_queue_next(pair.queue, &event, 1, patience_ms()), 1);
  }
  spanwire_event_free(&event);
  CHECK_EQ(hook.messages, 3);
  spanwire_call_free(call);
  pair_close(&pair);
  CHECK_EQ(hook.released, 1);
}

static void hooks_of_methods_run_around_those_alone(void) {
  static const char *const unary[] = {UNARY}, *const none[] = {"/test.Other/*", "/test.Service/Una"},
                           *const all[] = {"/test.Service/*"}, *const wrong[] = {"test.Service"};
  hook of_unary = {.name = 'u'}, of_none = {.name = 'n'}, of_all = {.name = 'a'};
  hook server_unary = {.name = 'u'}, server_none = {.name = 'n'};
  pair pair;
  pair_open(&pair, (pair_options){0});
  const struct {
    hook *hook;
    const char *const *only;
    size_t count;
  } hooks[] = {{&of_unary, unary, 1}, {&of_none, none, 2}, {&of_all, all, 1}};
  for (size_t i = 0; i < COUNT_OF(hooks); i++) {
    spanwire_interceptor interceptor = interceptor_of(hooks[i].hook);
    interceptor.only = hooks[i].only;
    interceptor.only_count = hooks[i].count;
    TRY(spanwire_channel_intercept(pair.channel, &interceptor));
  }
  spanwire_interceptor interceptor = interceptor_of(&server_unary);
  interceptor.start = NULL;
  interceptor.only = unary;
  interceptor.only_count = 1;
  TRY(spanwire_server_intercept(pair.server, &interceptor));
  interceptor.user_data = &server_none;
  interceptor.only = none;
  interceptor.only_count = 2;
  TRY(spanwire_server_intercept(pair.server, &interceptor));
  interceptor.only = wrong;
  interceptor.only_count = 1;
  REFUSED(spanwire_server_intercept(pair.server, &interceptor), SPANWIRE_INVALID_ARGUMENT,
          "\"test.Service\" must be a method");

  START(&pair, "", NULL);
  spanwire_event request = EVENT(pair.requests, REQUEST);
  TRY(spanwire_server_call_finish(request.server_call, SPANWIRE_CODE_OK, "", NULL));
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);
  spanwire_event done = EVENT(pair.queue, DONE);
  spanwire_event_free(&done);
  CHECK_TEXT(of_unary.order, "uu");
  CHECK_TEXT(of_all.order, "aa");
  CHECK_TEXT(server_unary.order, "u");
  spanwire_call *call = stream_of(&pair, BIDI, SPANWIRE_KIND_BIDI, 4);
  spanwire_server_call_free(ACCEPTED(&pair));
  spanwire_call_free(call);
  CHECK_TEXT(of_unary.order, "uu");
  CHECK(of_all.order[2] == 'a');
  CHECK_TEXT(server_unary.order, "u");
  CHECK_TEXT(of_none.order, "");
  CHECK_TEXT(server_none.order, "");
  pair_close(&pair);
  CHECK_EQ(of_unary.released, 1);
  CHECK_EQ(of_none.released, 1);
  check_released(&server_unary);
  check_released(&server_none);
}

/* Lets in only those who know the word. */
static void guard(void *user_data, spanwire_event *event) {
  hook *hook = user_data;
  note(hook);
  spanwire_metadata_entry entry;
  if (event->type != SPANWIRE_EVENT_REQUEST) return;
  if (spanwire_metadata_find(spanwire_server_call_metadata(event->server_call), "x-word", 0, &entry)) return;
  TRY(spanwire_server_call_finish(event->server_call, SPANWIRE_CODE_UNAUTHENTICATED, "x-word is missing", NULL));
  event->type = SPANWIRE_EVENT_NONE;
}

static void server_hook_may_answer_by_itself(void) {
  hook hook = {.name = 'g'};
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_queue *requests = MADE(spanwire_queue_new());
  spanwire_server *server = server_with_methods(NULL, requests, 1);
  spanwire_interceptor interceptor = interceptor_of(&hook);
  interceptor.start = NULL;
  interceptor.event = guard;
  TRY(spanwire_server_intercept(server, &interceptor));
  TRY(spanwire_server_listen(server, "inprocess:guarded"));
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "inprocess:guarded", NULL));

  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), NULL, queue, NULL, NULL));
  spanwire_event event = {0};
  /* The hook runs on the thread that drains. */
  while (spanwire_queue_next(queue, &event, 1, 1) == 0) QUIET(requests);
  CHECK_EQ(event.status.code, SPANWIRE_CODE_UNAUTHENTICATED);
  CHECK_TEXT(event.status.message, "x-word is missing");
  spanwire_event_free(&event);

  spanwire_metadata_entry word = {"x-word", "please", 6};
  spanwire_call_options options = {.size = sizeof options, .metadata = &word, .metadata_count = 1};
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), &options, queue, NULL, NULL));
  event = EVENT(requests, REQUEST);
  TRY(spanwire_server_call_respond(event.server_call, TEXT(""), NULL));
  spanwire_server_call_free(event.server_call);
  spanwire_event_free(&event);
  EXPECT_DONE(queue, SPANWIRE_CODE_OK, "");
  CHECK_TEXT(hook.order, "gg");
  spanwire_channel_free(channel);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
  spanwire_queue_free(requests);
  check_released(&hook);
}

static void null_is_no_draft(void) {
  CHECK(spanwire_draft_method(NULL) == NULL || spanwire_draft_method(NULL)[0] == 0);
  spanwire_metadata_entry entry = {"x-key", "v", 1};
  CHECK(spanwire_draft_append_metadata(NULL, &entry) < 0);
  CHECK(spanwire_draft_set_timeout_ms(NULL, 1) < 0);
  CHECK(spanwire_draft_set_message(NULL, "") < 0);
}

static void interceptors_without_a_size_are_refused(void) {
  hook hook = {.name = 'x'};
  pair pair;
  pair_open(&pair, (pair_options){0});
  spanwire_interceptor interceptor = interceptor_of(&hook);
  interceptor.size = 0;
  REFUSED(spanwire_channel_intercept(pair.channel, &interceptor), SPANWIRE_INVALID_ARGUMENT, "size");
  REFUSED(spanwire_server_intercept(pair.server, &interceptor), SPANWIRE_INVALID_ARGUMENT, "size");
  REFUSED(spanwire_channel_intercept(pair.channel, NULL), SPANWIRE_INVALID_ARGUMENT, "interceptor");
  pair_close(&pair);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(channel_hooks_see_start_and_events),
      TEST(channel_hook_may_refuse),
      TEST(channel_hooks_see_streams),
      TEST(hooks_of_methods_run_around_those_alone),
      TEST(server_hook_may_answer_by_itself),
      TEST(null_is_no_draft),
      TEST(interceptors_without_a_size_are_refused),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
