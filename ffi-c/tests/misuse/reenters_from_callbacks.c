/* Callbacks of every sort use the library: start calls, free handles, wait, log, and replace themselves. */
#include <semaphore.h>
#include <stdatomic.h>

#include "misuse.h"

static peer server;
static spanwire_channel *channel;
static spanwire_queue *push;
static sem_t over;
static atomic_int left = 200, releases, logs;

static void on_release(void *context) {
  /* While a message is let go. */
  spanwire_call_cancel(context);
  spanwire_queue_wake(NULL);
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_queue_free(queue);
  releases++;
}

static void on_events(void *user_data, spanwire_event *events, size_t count) {
  (void)user_data;
  for (size_t i = 0; i < count; i++) {
    CHECK_EQ(events[i].type, SPANWIRE_EVENT_DONE);
    int number = atomic_fetch_sub(&left, 1);
    if (number == 1) sem_post(&over);
    if (number <= 1) continue;
    /* Each end starts the next call, some of them by waiting right here. */
    if (number % 10 == 0) {
      spanwire_event done = {0};
      TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT("nested"), NULL, &done));
      CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
      spanwire_event_free(&done);
    }
    static char data[100000];
    spanwire_buffer buffer = {.data = data, .len = sizeof data, .release = on_release};
    TRY(spanwire_call_unary(channel, UNARY, &buffer, NULL, push, NULL, NULL));
  }
}

static void on_log(void *user_data, int32_t level, const char *target, const char *text) {
  (void)level;
  (void)target;
  (void)text;
  if (atomic_fetch_add(&logs, 1) > 1000) {
    spanwire_log_set(0, NULL, NULL); /* From inside. */
    return;
  }
  /* Things that log, within a line of the log. */
  spanwire_channel *other = spanwire_channel_new(NULL, "unix:/nowhere/at/all.sock", NULL);
  spanwire_channel_connect(other);
  spanwire_channel_free(other);
  spanwire_log_set(4, on_log, user_data);
}

static spanwire_code on_start(void *user_data, spanwire_draft *draft) {
  /* The hook of a channel calls another channel, and waits for the answer. */
  spanwire_event done = {0};
  TRY(spanwire_call_unary_blocking(user_data, UNARY, TEXT("token"), NULL, &done));
  spanwire_metadata_entry entry = {"x-token-bin", done.message.data, done.message.len};
  TRY(spanwire_draft_append_metadata(draft, &entry));
  spanwire_event_free(&done);
  return SPANWIRE_CODE_OK;
}

int main(void) {
  peer_start(&server, NULL, NULL);
  sem_init(&over, 0, 0);
  spanwire_channel *tokens = MADE(spanwire_channel_new(NULL, server.target, NULL));
  channel = MADE(spanwire_channel_new(NULL, server.target, NULL));
  spanwire_interceptor interceptor = {.size = sizeof interceptor, .user_data = tokens, .start = on_start};
  TRY(spanwire_channel_intercept(channel, &interceptor));
  push = MADE(spanwire_queue_new_push(on_events, NULL));
  TRY(spanwire_log_set(4, on_log, NULL));
  static char data[100000];
  for (int i = 0; i < 8; i++) {
    spanwire_buffer buffer = {.data = data, .len = sizeof data, .release = on_release};
    TRY(spanwire_call_unary(channel, UNARY, &buffer, NULL, push, NULL, NULL));
  }
  sem_wait(&over);
  TRY(spanwire_log_set(0, NULL, NULL));
  spanwire_queue_free(push);
  spanwire_channel_free(channel);
  spanwire_channel_free(tokens);
  peer_stop(&server);
  CHECK(releases >= 200);
  return 0;
}
