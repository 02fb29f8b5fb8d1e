/* An engine that is freed ends its calls with their terminal events, and what is left of its handles is refused. */
#include "misuse.h"

int main(void) {
  enum { CALLS = 100 };
  spanwire_engine *engine =
      MADE(spanwire_engine_new(&(spanwire_engine_options){.size = sizeof(spanwire_engine_options), .lanes = 2}));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_queue *requests = MADE(spanwire_queue_new());
  spanwire_server *server = MADE(spanwire_server_new(engine, NULL));
  TRY(spanwire_server_method(server, UNARY, SPANWIRE_KIND_UNARY, requests, NULL, 1));
  TRY(spanwire_server_method(server, BIDI, SPANWIRE_KIND_BIDI, requests, NULL, 1));
  TRY(spanwire_server_listen(server, "127.0.0.1:0"));
  char target[64];
  spanwire_server_target(server, target, sizeof target);
  spanwire_channel *channel = MADE(spanwire_channel_new(engine, target, NULL));
  spanwire_call *calls[CALLS];
  spanwire_server_call *served[CALLS];
  for (int i = 0; i < CALLS; i++) {
    calls[i] = NULL;
    if (i % 2 == 0) {
      TRY(spanwire_call_unary(channel, UNARY, TEXT("x"), NULL, queue, NULL, &calls[i]));
    } else {
      TRY(spanwire_call_start(channel, BIDI, SPANWIRE_KIND_BIDI, NULL, queue, NULL, &calls[i]));
    }
    spanwire_event request = EVENT(requests, REQUEST);
    served[i] = request.server_call;
    spanwire_event_free(&request);
  }
  spanwire_engine_free(engine);
  spanwire_engine_free(engine);
  /* Each call has exactly one end, on both sides. */
  for (int i = 0; i < CALLS; i++) {
    spanwire_event done = EVENT(queue, DONE);
    CHECK(done.status.code == SPANWIRE_CODE_CANCELLED || done.status.code == SPANWIRE_CODE_UNAVAILABLE);
    spanwire_event_free(&done);
    PASS(requests, CANCELLED);
  }
  QUIET(queue);
  QUIET(requests);
  for (int i = 0; i < CALLS; i++) {
    CHECK(spanwire_call_send(calls[i], TEXT("")) < 0);
    CHECK(spanwire_server_call_send(served[i], TEXT("")) < 0);
    spanwire_call_free(calls[i]);
    spanwire_server_call_free(served[i]);
  }
  CHECK_EQ(spanwire_channel_connect(channel), SPANWIRE_SHUT_DOWN);
  CHECK(spanwire_server_shutdown_blocking(server, 1000) < 0);
  spanwire_channel_free(channel);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
  spanwire_queue_free(requests);
  return 0;
}
