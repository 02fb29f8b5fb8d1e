/* The workers of the client, one kind for each mode. */
#include <stdlib.h>

#include "client.h"

#define ECHO "/bench.v1.Echo/"
/* Messages that may arrive on a stream before they were taken from the queue. */
#define CREDIT 1024

static void must_be_ok(const spanwire_event *done) {
  if (done->status.code == SPANWIRE_CODE_OK) return;
  fail("the call failed: %s: %s", spanwire_code_name(done->status.code), done->status.message);
}

static void must_be_echo(const struct worker *worker, const spanwire_bytes *bytes) {
  const struct block block = block_decode(bytes);
  if (block.body_len != worker->load->body_len) fail("the answer has %zu bytes", block.body_len);
}

/* Counts a round that waited for the server. Whether another one is due. */
static bool round_is_over(struct worker *worker) {
  struct load *load = worker->load;
  if (!worker->is_ready) {
    worker->is_ready = true;
    load->ready++;
    return false; /* go is called when all are ready */
  }
  const uint64_t now = now_ns();
  latencies_add(&load->latencies, now - worker->round_began_ns);
  load->calls++;
  worker->round_began_ns = now;
  return now < load->end_ns;
}

static void open_stream(struct worker *worker, const char *method, spanwire_kind kind) {
  const spanwire_call_options options = {.size = sizeof options, .credit = CREDIT};
  struct load *load = worker->load;
  must(spanwire_call_start(load->channel, method, kind, &options, load->queue, worker, &worker->call), method);
}

/* Ends a stream from which nothing more is wanted; DONE follows. */
static void cancel(struct worker *worker) {
  worker->is_ending = true;
  must(spanwire_call_cancel(worker->call), "cancelling");
}

/* Takes in the end of a stream; only one that was wanted is no fault. */
static void stream_is_done(struct worker *worker, const spanwire_event *done) {
  if (!worker->is_ending) fail("the stream ended early: %s", done->status.message);
  spanwire_call_free(worker->call);
  worker->load->ended++;
}

/* ---- unary: a call after the other ---- */

static void call_unary(struct worker *worker) {
  struct load *load = worker->load;
  must(spanwire_call_unary(load->channel, ECHO "Unary", &load->message, NULL, load->queue, worker, NULL), "a call");
}

static void unary_go(struct worker *worker) {
  worker->round_began_ns = now_ns();
  call_unary(worker);
}

static void unary_event(struct worker *worker, spanwire_event *event) {
  must_be_ok(event);
  must_be_echo(worker, &event->message);
  const bool was_ready = worker->is_ready;
  if (round_is_over(worker)) {
    call_unary(worker);
  } else if (was_ready) {
    worker->load->ended++;
  }
}

/* ---- ping_pong: a message goes out when the one before has come back ---- */

static void send_one(struct worker *worker) {
  must(spanwire_call_send(worker->call, &worker->load->message), "sending");
}

static void ping_pong_open(struct worker *worker) {
  open_stream(worker, ECHO "Bidi", SPANWIRE_KIND_BIDI);
  send_one(worker);
}

static void ping_pong_go(struct worker *worker) {
  worker->round_began_ns = now_ns();
  send_one(worker);
}

static void ping_pong_event(struct worker *worker, spanwire_event *event) {
  if (event->type == SPANWIRE_EVENT_DONE) stream_is_done(worker, event);
  if (event->type != SPANWIRE_EVENT_MESSAGES || worker->is_ending) return;
  must_be_echo(worker, &event->messages[0]);
  spanwire_call_grant(worker->call, (uint32_t)event->message_count);
  const bool was_ready = worker->is_ready;
  if (round_is_over(worker)) {
    send_one(worker);
  } else if (was_ready) {
    cancel(worker);
  }
}

/* ---- down: takes in what the server sends ---- */

static void down_open(struct worker *worker) {
  open_stream(worker, ECHO "Down", SPANWIRE_KIND_SERVER_STREAMING);
  const struct block wish = {.count = UINT64_MAX, .size_bytes = worker->load->body_len};
  size_t len = 0;
  uint8_t *data = block_encode(&wish, &len);
  const spanwire_buffer request = {
      .data = data, .len = len, .flags = SPANWIRE_SEND_LAST, .release = free, .context = data};
  must(spanwire_call_send(worker->call, &request), "asking for messages");
}

/* Messages go on coming meanwhile; they are counted from here on. */
static void down_go(struct worker *worker) { (void)worker; }

static void down_event(struct worker *worker, spanwire_event *event) {
  struct load *load = worker->load;
  if (event->type == SPANWIRE_EVENT_DONE) stream_is_done(worker, event);
  if (event->type != SPANWIRE_EVENT_MESSAGES || worker->is_ending) return;
  spanwire_call_grant(worker->call, (uint32_t)event->message_count);
  if (!worker->is_ready) {
    worker->is_ready = true;
    load->ready++;
  }
  if (load->end_ns == 0) return;
  load->calls += event->message_count;
  if (now_ns() >= load->end_ns) cancel(worker);
}

/* ---- up: sends, and compares the count that comes back ---- */

static void up_send(struct worker *worker) {
  /* Looking at the clock takes as long as a small message does. */
  const size_t size = worker->load->body_len > 256 ? worker->load->body_len : 256;
  const uint64_t batch = size < 65536 ? 65536 / size : 1;
  while (now_ns() < worker->load->end_ns) {
    for (uint64_t message = 0; message < batch; message++) {
      const spanwire_result result = spanwire_call_send(worker->call, &worker->load->message);
      must(result, "sending");
      worker->sent++;
      worker->load->calls++;
      if (result == SPANWIRE_FULL) return; /* WRITABLE follows */
    }
  }
  worker->is_ending = true;
  must(spanwire_call_half_close(worker->call), "half-closing");
}

static void up_is_ready(struct worker *worker) {
  worker->is_ready = true;
  worker->load->ready++;
}

static void up_open(struct worker *worker) {
  open_stream(worker, ECHO "Up", SPANWIRE_KIND_CLIENT_STREAMING);
  worker->sent = 1;
  const spanwire_result result = spanwire_call_send(worker->call, &worker->load->message);
  must(result, "sending");
  if (result != SPANWIRE_FULL) up_is_ready(worker);
}

static void up_event(struct worker *worker, spanwire_event *event) {
  if (event->type == SPANWIRE_EVENT_WRITABLE) {
    if (!worker->is_ready) {
      up_is_ready(worker);
    } else if (!worker->is_ending) {
      up_send(worker);
    }
  }
  if (event->type == SPANWIRE_EVENT_MESSAGES) {
    const uint64_t seen = block_decode(&event->messages[0]).count;
    if (seen != worker->sent) {
      fail("sent %llu messages, the server has seen %llu", (unsigned long long)worker->sent,
           (unsigned long long)seen);
    }
  }
  if (event->type == SPANWIRE_EVENT_DONE) {
    must_be_ok(event);
    stream_is_done(worker, event);
  }
}

const struct mode MODES[] = {
    {"unary", call_unary, unary_go, unary_event},
    {"ping_pong", ping_pong_open, ping_pong_go, ping_pong_event},
    {"down", down_open, down_go, down_event},
    {"up", up_open, up_send, up_event},
};
const size_t MODE_COUNT = sizeof MODES / sizeof *MODES;
