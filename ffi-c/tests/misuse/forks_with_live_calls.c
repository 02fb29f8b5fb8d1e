/* A child of fork() finds the inherited handles refused at once, can free them, and makes new ones that work; its
 * parent goes on as if nothing had happened. */
// not under asan or tsan: their own locks do not survive a fork of several threads
#include "misuse.h"

static mess inherited;

static void child(void) {
  int64_t began = now_ms();
  spanwire_event event = {0};
  spanwire_call *call = NULL;
  CHECK_EQ(spanwire_queue_next(inherited.queue, &event, 1, -1), SPANWIRE_FORKED);
  CHECK_HAS(spanwire_last_error(), "fork");
  CHECK_EQ(spanwire_queue_descriptor(inherited.queue), SPANWIRE_FORKED);
  CHECK_EQ(spanwire_queue_wake(inherited.queue), SPANWIRE_FORKED);
  CHECK_EQ(spanwire_call_unary(inherited.channel, UNARY, TEXT(""), NULL, inherited.queue, NULL, NULL),
           SPANWIRE_FORKED);
  CHECK_EQ(spanwire_call_unary_blocking(inherited.channel, UNARY, TEXT(""), NULL, &event), SPANWIRE_FORKED);
  CHECK_EQ(spanwire_call_start(inherited.channel, BIDI, SPANWIRE_KIND_BIDI, NULL, inherited.queue, NULL, &call),
           SPANWIRE_FORKED);
  CHECK_EQ(spanwire_channel_connectivity(inherited.channel), SPANWIRE_FORKED);
  CHECK_EQ(spanwire_channel_connectivity_changed(inherited.channel, SPANWIRE_CONNECTIVITY_IDLE, 0, inherited.queue,
                                                 NULL, &call),
           SPANWIRE_FORKED);
  CHECK(call == NULL);
  CHECK_EQ(spanwire_channel_connect(inherited.channel), SPANWIRE_FORKED);
  for (size_t i = 0; i < inherited.count; i++) {
    CHECK_EQ(spanwire_call_send(inherited.calls[i], TEXT("")), SPANWIRE_FORKED);
    CHECK_EQ(spanwire_call_half_close(inherited.calls[i]), SPANWIRE_FORKED);
    CHECK_EQ(spanwire_call_grant(inherited.calls[i], 1), SPANWIRE_FORKED);
    CHECK_EQ(spanwire_call_cancel(inherited.calls[i]), SPANWIRE_FORKED);
  }
  CHECK_EQ(spanwire_server_accept(inherited.peer.server, 1), SPANWIRE_FORKED);
  CHECK_EQ(spanwire_server_shutdown_blocking(inherited.peer.server, 1000), SPANWIRE_FORKED);
  CHECK_EQ(spanwire_server_listen(inherited.peer.server, "127.0.0.1:0"), SPANWIRE_FORKED);
  CHECK_EQ(spanwire_server_port(inherited.peer.server), SPANWIRE_FORKED);

  /* Freeing them harms nobody. */
  for (size_t i = 0; i < inherited.count; i++) spanwire_call_free(inherited.calls[i]);
  spanwire_channel_free(inherited.channel);
  spanwire_server_free(inherited.silent.server);
  spanwire_queue_free(inherited.queue);
  CHECK(now_ms() - began < 1000 * slowness());

  call_once(inherited.peer.target);
  /* A server of its own as well. */
  peer own;
  peer_start(&own, NULL, NULL);
  call_once(own.target);
  peer_stop(&own);
  /* And a grandchild. */
  pid_t grandchild = fork();
  if (grandchild == 0) {
    CHECK_EQ(spanwire_queue_wake(inherited.queue), SPANWIRE_FORKED);
    call_once(inherited.peer.target);
    exit(4);
  }
  expect_exit(grandchild, 4);
}

int main(void) {
  make_mess(&inherited);
  for (int i = 0; i < 3; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      child();
      exit(3); /* With all that exit() runs. */
    }
    expect_exit(pid, 3);
    call_once(inherited.peer.target);
  }
  /* The calls from before the forks still end, each once. */
  for (size_t i = 0; i < inherited.count; i++) TRY(spanwire_call_cancel(inherited.calls[i]));
  while (inherited.open > 0) {
    spanwire_event event;
    CHECK_EQ(spanwire_queue_next(inherited.queue, &event, 1, patience_ms()), 1);
    inherited.open -= event.type == SPANWIRE_EVENT_DONE;
    spanwire_event_free(&event);
  }
  QUIET(inherited.queue);
  return 0;
}
