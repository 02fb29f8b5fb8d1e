/* Makes handles by the thousand and frees none; they are counted, not endless, and the end is quick. */
#include "misuse.h"

int main(void) {
  size_t before = spanwire_handle_count();
  for (int i = 0; i < 2000; i++) {
    MADE(spanwire_queue_new());
    MADE(spanwire_channel_new(NULL, "127.0.0.1:1", NULL));
    MADE(spanwire_server_new(NULL, NULL));
  }
  CHECK_EQ(spanwire_handle_count(), before + 6000);
  for (int i = 0; i < 4; i++) MADE(spanwire_engine_new(NULL));
  static mess mess;
  make_mess(&mess);
  return 0;
}
