/* Handlers of atexit() free what main left and use the library once more, whether they were registered before its
 * first use or after. */
// times 3
#include "misuse.h"

static mess left;

static void tidy(void) {
  for (size_t i = 0; i < left.count; i++) spanwire_call_free(left.calls[i]);
  spanwire_channel_free(left.channel);
  spanwire_server_free(left.silent.server);
  spanwire_event event;
  spanwire_queue_next(left.queue, &event, 1, 0);
  /* Whatever it answers now, it answers. */
  spanwire_call_unary_blocking(left.silent.channel, UNARY, TEXT(""),
                               &(spanwire_call_options){.size = sizeof(spanwire_call_options), .timeout_ms = 50},
                               &event);
  spanwire_queue_free(left.queue);
}

int main(void) {
  for (int early = 0; early < 2; early++) {
    pid_t child = fork(); /* Before anything of the library was used. */
    if (child == 0) {
      if (early) atexit(tidy);
      make_mess(&left);
      if (!early) atexit(tidy);
      return 6;
    }
    expect_exit(child, 6);
  }
  return 0;
}
