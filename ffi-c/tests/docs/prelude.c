/* In front of the C snippets of docs/c.md, in place of a client's includes. */
#include <assert.h>
#include <inttypes.h>
#include <shop/v1/orders.spanwire.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void snippet(spanwire_channel *channel, spanwire_queue *queue);

/* Runs the snippet against the shop at the target that is the argument. It must free what it makes. */
int main(int argc, char **argv) {
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_channel *channel = spanwire_channel_new(NULL, argc == 2 ? argv[1] : "", NULL);
  snippet(channel, queue);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
  size_t left = spanwire_handle_count();
  if (left > 0) fprintf(stderr, "%zu handles are left\n", left);
  return left > 0;
}
