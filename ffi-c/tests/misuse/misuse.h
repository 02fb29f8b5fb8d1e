/* What the programs of this folder share. Each does what a program must not do, or does by accident, and must
 * neither hang nor crash. The runner reads from its first lines:
 *
 *   // exit CODE        how it must end (0 without such a line)
 *   // within SECONDS   how long it may take (60)
 *   // times COUNT      how often it is run, for those that are about timing (1)
 *   // not under MODE   of the runner, and why
 */
#ifndef SPANWIRE_TESTS_MISUSE_H
#define SPANWIRE_TESTS_MISUSE_H

#include <sys/wait.h>

#include "../c/peer.h"

/* Everything at once: a server, a channel to it, unary calls that wait, and streams in both directions. */
typedef struct mess {
  peer peer;
  pair silent; /* its server never answers */
  spanwire_channel *channel;
  spanwire_queue *queue;
  spanwire_call *calls[32];
  size_t count;
  size_t open; /* calls whose DONE was not taken yet */
} mess;

static inline void make_mess(mess *mess) {
  peer_start(&mess->peer, NULL, NULL);
  pair_open(&mess->silent, (pair_options){0});
  mess->channel = MADE(spanwire_channel_new(NULL, mess->peer.target, NULL));
  mess->queue = MADE(spanwire_queue_new());
  mess->count = 0;
  spanwire_call_options options = {.size = sizeof options, .credit = 2};
  for (int i = 0; i < 8; i++) {
    spanwire_call **next = &mess->calls[mess->count];
    TRY(spanwire_call_unary(mess->channel, UNARY, TEXT("x"), NULL, mess->queue, NULL, &next[0]));
    TRY(spanwire_call_unary(mess->silent.channel, UNARY, TEXT("x"), NULL, mess->queue, NULL, &next[1]));
    TRY(spanwire_call_start(mess->channel, SERVER_STREAMING, SPANWIRE_KIND_SERVER_STREAMING, &options, mess->queue,
                            NULL, &next[2]));
    TRY(spanwire_call_send(next[2], TEXT("1000000 1000")));
    TRY(spanwire_call_start(mess->channel, BIDI, SPANWIRE_KIND_BIDI, &options, mess->queue, NULL, &next[3]));
    TRY(spanwire_call_send(next[3], TEXT("hello")));
    mess->count += 4;
  }
  /* Something has begun to arrive. */
  spanwire_event event;
  CHECK_EQ(spanwire_queue_next(mess->queue, &event, 1, patience_ms()), 1);
  mess->open = mess->count - (event.type == SPANWIRE_EVENT_DONE);
  spanwire_event_free(&event);
}

/* A child's end, which must be this exit code. */
static inline void expect_exit(pid_t child, int code) {
  int status = 0;
  CHECK_EQ(waitpid(child, &status, 0), child);
  if (WIFSIGNALED(status)) fprintf(stderr, "the child was killed by signal %d\n", WTERMSIG(status));
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), code);
}

/* One call on new handles, to a server that somebody else runs. */
static inline void call_once(const char *target) {
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  TRY(spanwire_call_unary(channel, UNARY, TEXT("once"), NULL, queue, NULL, NULL));
  spanwire_event done = EVENT(queue, DONE);
  if (done.status.code != SPANWIRE_CODE_OK) fprintf(stderr, "%s\n", done.status.message);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
  CHECK_BYTES(done.message.data, done.message.len, "once");
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
}

#endif
