/* Queues, channels and servers are freed in every order while calls run on them. */
// times 3
#include "misuse.h"

static void in_order(int order) {
  mess mess;
  make_mess(&mess);
  for (int step = 0; step < 5; step++) {
    switch ((step + order) % 5) {
      case 0:
        spanwire_queue_free(mess.queue);
        break;
      case 1:
        spanwire_channel_free(mess.channel);
        break;
      case 2:
        spanwire_server_free(mess.silent.server);
        spanwire_queue_free(mess.silent.requests);
        break;
      case 3:
        spanwire_queue_free(mess.silent.queue);
        spanwire_channel_free(mess.silent.channel);
        break;
      default:
        for (size_t i = 0; i < mess.count; i++) spanwire_call_free(mess.calls[i]);
    }
  }
  peer_stop(&mess.peer);
}

int main(void) {
  size_t before = spanwire_handle_count();
  for (int order = 0; order < 5; order++) in_order(order);
  CHECK_EQ(spanwire_handle_count(), before);
  return 0;
}
