/* A server: one thread takes the events of all calls, and a call that goes on after its first event has a state. */
#ifndef HARNESS_SERVE_H
#define HARNESS_SERVE_H

#include <spanwire.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Begins a call: answers it, or keeps it. */
typedef void begin_call(spanwire_event *event);

/* A method, and the tag of its calls' events. */
struct method {
  const char *path;
  spanwire_kind kind;
  uint32_t credit; /* requests that may arrive on a stream before they were asked for */
  begin_call *begin;
};

/* A call that goes on, and the first member of what its method knows about it. */
struct call {
  spanwire_server_call *handle;
  int64_t wake_at_ms; /* when on_time is due, by now_ms; 0: never */
  bool over;          /* set it when the call was answered: it is released then */
  void (*on_event)(struct call *call, spanwire_event *event);
  void (*on_time)(struct call *call);
  void (*release)(struct call *call); /* frees what the method knows, without the call itself; may be null */
  struct call *next;
};

/* Serves the methods at the address until SIGTERM or Ctrl-C. Call it before anything starts a thread. */
void serve(const spanwire_server_options *options, const char *address, struct method *methods, size_t count);

/* Keeps the call that the event begins: its events go to `call`, which came from malloc and is freed when it is
 * over. */
void call_keep(struct call *call, spanwire_event *event);

/* Ends a call. `answer` may be null. That the client has gone is no fault. */
void finish(spanwire_server_call *handle, spanwire_code code, const char *message, const spanwire_answer *answer);

/* Ends a call with one message of protobuf-c and OK. `answer` may be null. */
void respond(spanwire_server_call *handle, const void *message, const spanwire_answer *answer);

/* Milliseconds of a clock that only goes forward. */
int64_t now_ms(void);

#endif
