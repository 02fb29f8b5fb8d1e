/* A call of any kind, made by a thread that waits for each step. */
#ifndef HARNESS_STREAM_H
#define HARNESS_STREAM_H

#include <spanwire.h>
#include <stdbool.h>
#include <stddef.h>

/* Messages that may arrive before the first of them was asked for. */
#define STREAM_CREDIT 16

/* One call. It has a queue of its own, so that every event there is about this call. */
struct stream {
  spanwire_queue *queue;
  spanwire_call *call;
  bool full;                             /* no send before the library says that it is writable */
  spanwire_bytes arrived[STREAM_CREDIT]; /* a ring; the credit says that there are never more */
  size_t first;
  size_t count;
  spanwire_bytes current; /* what stream_next gave last */
  spanwire_event headers; /* these two have type SPANWIRE_EVENT_NONE until they came */
  spanwire_event done;
};

/* Begins a call. What the options say of credit does not matter. Close it with stream_close. */
void stream_open(struct stream *stream, spanwire_channel *channel, const char *method, spanwire_kind kind,
                 const spanwire_call_options *options);

/* Encodes a message of protobuf-c and sends it, after having waited for room. False if the call is over. */
bool stream_send(struct stream *stream, const void *message, uint32_t flags);

/* Says that no message follows. */
void stream_half_close(struct stream *stream);

/* Waits for the next message; it is valid until the next one is asked for. Null when the call has ended. */
const spanwire_bytes *stream_next(struct stream *stream);

/* Waits for the leading metadata; null if the call ended without. */
const spanwire_metadata *stream_headers(struct stream *stream);

/* Waits for the end, and leaves messages out that come before it. */
const spanwire_status *stream_status(struct stream *stream);

/* Cancels the call if it still runs, and frees everything. */
void stream_close(struct stream *stream);

#endif
