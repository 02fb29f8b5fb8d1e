#include "stream.h"

#include "fail.h"
#include "message.h"

void stream_open(struct stream *stream, spanwire_channel *channel, const char *method, spanwire_kind kind,
                 const spanwire_call_options *options) {
  *stream = (struct stream){.queue = spanwire_queue_new()};
  spanwire_call_options with_credit = *options;
  with_credit.credit = STREAM_CREDIT;
  must(spanwire_call_start(channel, method, kind, &with_credit, stream->queue, NULL, &stream->call), method);
}

/* Waits for one event and takes in what it says. */
static void take_event(struct stream *stream) {
  spanwire_event event = {0};
  must(spanwire_queue_next(stream->queue, &event, 1, -1), "waiting for an event");
  switch (event.type) {
    case SPANWIRE_EVENT_HEADERS:
      stream->headers = event;
      return;
    case SPANWIRE_EVENT_DONE:
      stream->done = event;
      return;
    case SPANWIRE_EVENT_WRITABLE:
      stream->full = false;
      break;
    case SPANWIRE_EVENT_MESSAGES:
      for (size_t index = 0; index < event.message_count; index++) {
        const size_t free_place = (stream->first + stream->count++) % STREAM_CREDIT;
        stream->arrived[free_place] = spanwire_bytes_take(&event.messages[index]);
      }
      break;
  }
  spanwire_event_free(&event);
}

static bool is_over(const struct stream *stream) { return stream->done.type == SPANWIRE_EVENT_DONE; }

bool stream_send(struct stream *stream, const void *message, uint32_t flags) {
  while (stream->full && !is_over(stream)) take_event(stream);
  const spanwire_buffer buffer = message_pack(message, flags);
  const spanwire_result result = spanwire_call_send(stream->call, &buffer);
  if (result == SPANWIRE_OVER) return false;
  must(result, "sending a message");
  stream->full = result == SPANWIRE_FULL;
  return true;
}

void stream_half_close(struct stream *stream) {
  const spanwire_result result = spanwire_call_half_close(stream->call);
  if (result != SPANWIRE_OVER) must(result, "half-closing");
}

const spanwire_bytes *stream_next(struct stream *stream) {
  spanwire_bytes_free(&stream->current);
  while (stream->count == 0 && !is_over(stream)) take_event(stream);
  if (stream->count == 0) return NULL;
  stream->current = stream->arrived[stream->first];
  stream->first = (stream->first + 1) % STREAM_CREDIT;
  stream->count--;
  /* Room for one more; a call that is over needs none. */
  spanwire_call_grant(stream->call, 1);
  return &stream->current;
}

const spanwire_metadata *stream_headers(struct stream *stream) {
  while (stream->headers.type == SPANWIRE_EVENT_NONE && !is_over(stream)) take_event(stream);
  return stream->headers.metadata;
}

const spanwire_status *stream_status(struct stream *stream) {
  while (stream_next(stream) != NULL) continue;
  return &stream->done.status;
}

void stream_close(struct stream *stream) {
  spanwire_call_cancel(stream->call);
  stream_status(stream);
  spanwire_event_free(&stream->headers);
  spanwire_event_free(&stream->done);
  spanwire_call_free(stream->call);
  spanwire_queue_free(stream->queue);
}
