/* dlopen, use, dlclose, and all again: the library stays where it is, because its threads run in it. */
#include <dlfcn.h>
#include <link.h>
#include <spanwire.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                              \
  do {                                                                \
    if (!(condition)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      return 1;                                                       \
    }                                                                 \
  } while (0)

/* ISO C has no conversion from an object's pointer to a function's. */
#define FIND(name)                                    \
  do {                                                \
    void *symbol = dlsym(library, "spanwire_" #name); \
    CHECK(symbol != NULL);                            \
    memcpy(&name, &symbol, sizeof symbol);            \
  } while (0)

static int once(const char *path, size_t *handles) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fprintf(stderr, "%s\n", dlerror());
  CHECK(library != NULL);
  spanwire_queue *(*queue_new)(void);
  spanwire_channel *(*channel_new)(spanwire_engine *, const char *, const spanwire_channel_options *);
  spanwire_result (*call_unary)(spanwire_channel *, const char *, const spanwire_buffer *,
                                const spanwire_call_options *, spanwire_queue *, void *, spanwire_call **);
  int32_t (*queue_next)(spanwire_queue *, spanwire_event *, size_t, int64_t);
  void (*event_free)(spanwire_event *);
  size_t (*handle_count)(void);
  FIND(queue_new);
  FIND(channel_new);
  FIND(call_unary);
  FIND(queue_next);
  FIND(event_free);
  FIND(handle_count);

  spanwire_queue *queue = queue_new();
  spanwire_channel *channel = channel_new(NULL, "unix:/nowhere/at/all.sock", NULL);
  CHECK(queue != NULL && channel != NULL);
  spanwire_buffer request = {.data = "", .len = 0};
  CHECK(call_unary(channel, "/a.B/C", &request, NULL, queue, NULL, NULL) >= 0);
  spanwire_event event;
  CHECK(queue_next(queue, &event, 1, 20000) == 1);
  CHECK(event.status.code == SPANWIRE_CODE_UNAVAILABLE);
  event_free(&event);
  /* Nothing is freed: it is the same library, and what it holds, next time. */
  CHECK(handle_count() == *handles + 2);
  *handles += 2;
  CHECK(dlclose(library) == 0);
  CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) != NULL);
  return 0;
}

int main(void) {
  const char *path = getenv("SPANWIRE_LIBRARY");
  CHECK(path != NULL);
  size_t handles = 0;
  for (int i = 0; i < 3; i++) {
    if (once(path, &handles) != 0) return 1;
  }
  return 0;
}
