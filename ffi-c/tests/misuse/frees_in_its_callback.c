/* A push queue's callback frees the call it is told of, the channel, the server, and the queue itself. */
// times 3
#include <semaphore.h>

#include "misuse.h"

typedef struct state {
  spanwire_queue *queue;
  spanwire_channel *channel;
  spanwire_call *stream;
  spanwire_server *server;
  sem_t over;
  int events;
} state;

static void on_events(void *user_data, spanwire_event *events, size_t count) {
  state *state = user_data;
  for (size_t i = 0; i < count; i++) {
    spanwire_call_free(events[i].call);
    spanwire_call_free(events[i].call);
    /* The callback may free events as well; the library finds them empty. */
    spanwire_event_free(&events[i]);
  }
  if (state->events++ == 0) {
    spanwire_call_free(state->stream);
    spanwire_channel_free(state->channel);
    spanwire_server_free(state->server);
    spanwire_queue_free(state->queue);
    spanwire_queue_free(state->queue);
    sem_post(&state->over);
  }
}

int main(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  static state state;
  sem_init(&state.over, 0, 0);
  state.queue = MADE(spanwire_queue_new_push(on_events, &state));
  state.channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  spanwire_queue *requests = MADE(spanwire_queue_new());
  state.server = server_with_methods(NULL, requests, 1);
  TRY(spanwire_server_listen(state.server, "127.0.0.1:0"));
  TRY(spanwire_call_start(state.channel, BIDI, SPANWIRE_KIND_BIDI, NULL, state.queue, NULL, &state.stream));
  for (int i = 0; i < 20; i++) {
    spanwire_call *call = NULL;
    /* The first answer may have freed everything by now. */
    spanwire_call_unary(state.channel, UNARY, TEXT("x"), NULL, state.queue, NULL, &call);
  }
  sem_wait(&state.over);
  CHECK_EQ(spanwire_queue_wake(state.queue), SPANWIRE_INVALID_HANDLE);
  spanwire_queue_free(requests);
  call_once(peer.target);
  peer_stop(&peer);
  return 0;
}
