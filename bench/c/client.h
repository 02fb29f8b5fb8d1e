/* The load: what all workers share, and what the modes do. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>

#include "bench.h"
#include "latencies.h"

struct load {
  spanwire_channel *channel;
  spanwire_queue *queue;
  /* One message, which is all that is sent. */
  spanwire_buffer message;
  size_t body_len;
  uint64_t duration_ns;
  /* The workers do a first round each, which is not measured, and begin together when all have. */
  uint32_t workers;
  uint32_t ready;
  uint32_t ended;
  uint64_t end_ns; /* 0: not begun */
  uint64_t calls;
  struct latencies latencies;
};

/* A caller of unary calls, or one stream; the tag of its events. */
struct worker {
  struct load *load;
  spanwire_call *call; /* of streams */
  uint64_t round_began_ns;
  uint64_t sent;  /* Up: messages in all, also those before the begin */
  bool is_ready;  /* has done its first round */
  bool is_ending; /* nothing more is measured, the call's end is awaited */
};

/* What a worker does. */
struct mode {
  const char *name;
  /* The first round. */
  void (*open)(struct worker *worker);
  /* All have done their first: go on. */
  void (*go)(struct worker *worker);
  /* Something happened. */
  void (*on_event)(struct worker *worker, spanwire_event *event);
};
extern const struct mode MODES[];
extern const size_t MODE_COUNT;

/* Nanoseconds of a clock that only goes forward. */
uint64_t now_ns(void);

#endif
