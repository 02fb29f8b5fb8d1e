/* Serves bench.v1.Echo until it is killed: `server PORT`, on the engine's threads; `server PORT pull`, on its own.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define ECHO "/bench.v1.Echo/"

struct stream;

/* A method, and the tag of its calls' events. */
struct method {
  const char *path;
  spanwire_kind kind;
  uint32_t credit; /* messages that may arrive on a stream before they were asked for */
  void (*on_event)(struct stream *stream, spanwire_event *event); /* null for unary calls */
};

/* A stream: what is kept with its call. */
struct stream {
  const struct method *method;
  spanwire_server_call *call;
  uint64_t left;           /* Down: messages to send */
  spanwire_buffer message; /* Down: each of them */
  struct block counted;    /* Up */
  bool is_over;
  struct stream *next_over;
};

/* Streams that ended while an array of events was handled; the rest of the array may still speak of them. */
static _Thread_local struct stream *over;

static void is_over(struct stream *stream) {
  stream->is_over = true;
  stream->next_over = over;
  over = stream;
}

static void free_those_over(void) {
  while (over != NULL) {
    struct stream *stream = over;
    over = stream->next_over;
    spanwire_server_call_free(stream->call);
    free(stream);
  }
}

/* That a client has gone is no fault; CANCELLED says it to a stream. */
static spanwire_result must_or_over(spanwire_result result, const char *what) {
  if (result != SPANWIRE_OVER) must(result, what);
  return result;
}

static void echo_unary(spanwire_event *event) {
  const spanwire_buffer answer = buffer_of_arrived(&event->message);
  must_or_over(spanwire_server_call_respond(event->server_call, &answer, NULL), "answering");
  spanwire_server_call_free(event->server_call);
}

/* An encoded block with a body of that size. There are few sizes, and what is sent again and again is kept. */
static spanwire_buffer kept_message(size_t body_len) {
  static _Thread_local struct kept {
    size_t body_len;
    spanwire_buffer message;
    struct kept *next;
  } * first;
  for (struct kept *kept = first; kept != NULL; kept = kept->next) {
    if (kept->body_len == body_len) return kept->message;
  }
  struct kept *kept = malloc(sizeof *kept);
  if (kept == NULL) fail("no memory");
  const struct block block = {.body_len = body_len};
  size_t len = 0;
  const uint8_t *data = block_encode(&block, &len);
  *kept = (struct kept){.body_len = body_len, .message = buffer_of(data, len), .next = first};
  first = kept;
  return kept->message;
}

static void on_down(struct stream *stream, spanwire_event *event) {
  if (event->type == SPANWIRE_EVENT_REQUEST) {
    const struct block wish = block_decode(&event->message);
    if (wish.size_bytes > MAX_BODY_BYTES) fail("%llu bytes are too many", (unsigned long long)wish.size_bytes);
    stream->message = kept_message((size_t)wish.size_bytes);
    stream->left = wish.count;
  }
  while (stream->left > 0) {
    stream->left--;
    /* FULL: it was taken, and WRITABLE follows. */
    if (must_or_over(spanwire_server_call_send(stream->call, &stream->message), "sending") != SPANWIRE_DONE) return;
  }
  must_or_over(spanwire_server_call_finish(stream->call, SPANWIRE_CODE_OK, "", NULL), "finishing");
  is_over(stream);
}

static void on_up(struct stream *stream, spanwire_event *event) {
  for (size_t index = 0; index < event->message_count; index++) {
    stream->counted.count++;
    stream->counted.size_bytes += block_decode(&event->messages[index]).body_len;
  }
  if (!event->end) {
    must_or_over(spanwire_server_call_grant(stream->call, (uint32_t)event->message_count), "granting");
    return;
  }
  size_t len = 0;
  uint8_t *data = block_encode(&stream->counted, &len);
  const spanwire_buffer answer = {.data = data, .len = len, .release = free, .context = data};
  must_or_over(spanwire_server_call_respond(stream->call, &answer, NULL), "answering");
  is_over(stream);
}

/* With a credit of one, a message comes when the echo of the one before has gone. */
static void on_bidi(struct stream *stream, spanwire_event *event) {
  bool has_room = event->type == SPANWIRE_EVENT_WRITABLE;
  if (event->message_count > 0) {
    const spanwire_buffer echo = buffer_of_arrived(&event->messages[0]);
    has_room = must_or_over(spanwire_server_call_send(stream->call, &echo), "sending") == SPANWIRE_DONE;
  }
  if (event->end) {
    must_or_over(spanwire_server_call_finish(stream->call, SPANWIRE_CODE_OK, "", NULL), "finishing");
    is_over(stream);
  } else if (has_room) {
    must_or_over(spanwire_server_call_grant(stream->call, 1), "granting");
  }
}

static struct method METHODS[] = {
    {ECHO "Unary", SPANWIRE_KIND_UNARY, 0, NULL},
    {ECHO "Down", SPANWIRE_KIND_SERVER_STREAMING, 0, on_down},
    {ECHO "Up", SPANWIRE_KIND_CLIENT_STREAMING, 1024, on_up},
    {ECHO "Bidi", SPANWIRE_KIND_BIDI, 1, on_bidi},
};

static struct stream *begin(const struct method *method, const spanwire_event *request) {
  struct stream *stream = calloc(1, sizeof *stream);
  if (stream == NULL) fail("no memory");
  stream->method = method;
  stream->call = request->server_call;
  must(spanwire_server_call_set_data(stream->call, stream), "keeping a stream");
  return stream;
}

static void handle(spanwire_event *event) {
  const struct method *method = event->tag;
  if (event->type == SPANWIRE_EVENT_REQUEST && method->on_event == NULL) {
    echo_unary(event);
    return;
  }
  struct stream *stream =
      event->type == SPANWIRE_EVENT_REQUEST ? begin(method, event) : spanwire_server_call_data(event->server_call);
  if (stream == NULL || stream->is_over) return;
  if (event->type == SPANWIRE_EVENT_CANCELLED) {
    is_over(stream);
  } else {
    stream->method->on_event(stream, event);
  }
}

/* Inline: on the engine's thread, in the middle of the call's turn. */
static void on_event(void *user_data, spanwire_event *events, size_t count) {
  (void)user_data;
  for (size_t index = 0; index < count; index++) handle(&events[index]);
  free_those_over();
}

static void pull(spanwire_queue *queue) {
  for (;;) {
    spanwire_event events[EVENTS];
    const int32_t count = spanwire_queue_next(queue, events, EVENTS, -1);
    must(count, "waiting for events");
    /* What the events lead to is handed over together. */
    spanwire_batch_begin();
    for (int32_t index = 0; index < count; index++) handle(&events[index]);
    spanwire_batch_end();
    free_those_over();
    spanwire_events_free(events, (size_t)count);
  }
}

int main(int argc, char **argv) {
  const bool pulls = argc == 3 && strcmp(argv[2], "pull") == 0;
  if (argc != 2 && !pulls) fail("usage: server PORT [pull]");
  spanwire_queue *queue = pulls ? spanwire_queue_new() : spanwire_queue_new_inline(on_event, NULL);
  spanwire_server *server = spanwire_server_new(NULL, NULL);
  if (queue == NULL || server == NULL) fail("no server: %s", spanwire_last_error());
  for (size_t index = 0; index < sizeof METHODS / sizeof *METHODS; index++) {
    struct method *method = &METHODS[index];
    must(spanwire_server_method(server, method->path, method->kind, queue, method, method->credit), method->path);
  }
  char address[64];
  snprintf(address, sizeof address, "127.0.0.1:%s", argv[1]);
  must(spanwire_server_listen(server, address), address);

  if (pulls) pull(queue);
  for (;;) pause();
}
