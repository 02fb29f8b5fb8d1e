/* The server that is attacked, in C; see ../src/bin/spanwire-attack-server.rs. */
#include <malloc.h>
#include <spanwire.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"

#define TARGET "/attack.Target/"
#define MESSAGES 64

struct call;

/* A method, and the tag of its calls' events. */
struct method {
  const char *path;
  spanwire_kind kind;
  uint32_t credit; /* messages that may arrive on a stream before they were asked for */
  void (*on_event)(struct call *call, spanwire_event *event);
};

/* A call that goes on, kept with its handle. */
struct call {
  const struct method *method;
  spanwire_server_call *handle;
  unsigned long count; /* Down: messages to send; Up: those that came */
  spanwire_buffer message;
  bool over;
};

/* That a client has gone is no fault. */
static spanwire_result sent(spanwire_result result) {
  if (result != SPANWIRE_OVER) must(result, "answering");
  return result;
}

/* An answer that lives longer than what it answers. */
static void answer(struct call *call, const void *data, size_t len) {
  void *copy = must_allocate(len + 1);
  memcpy(copy, data, len);
  const spanwire_buffer buffer = {.data = copy, .len = len, .release = free, .context = copy};
  sent(spanwire_server_call_respond(call->handle, &buffer, NULL));
  call->over = true;
}

static void on_echo(struct call *call, spanwire_event *event) {
  answer(call, event->message.data, event->message.len);
}

/* The address of the connection's other end: the same as long as the connection is. */
static void on_who_am_i(struct call *call, spanwire_event *event) {
  (void)event;
  char text[256];
  spanwire_server_call_peer(call->handle, text, sizeof text);
  answer(call, text, strlen(text));
}

static void on_wait(struct call *call, spanwire_event *event) {
  (void)call;
  (void)event;
}

/* What every message of Down is a piece of: it is lent, not copied. */
static const uint8_t ZEROS[1 << 20];

static void keep(void *zeros) { (void)zeros; }

/* Sends as many messages of such a size as the request says: `count size`. */
static void on_down(struct call *call, spanwire_event *event) {
  if (event->type == SPANWIRE_EVENT_REQUEST) {
    char text[64] = "";
    const size_t len = event->message.len < sizeof text - 1 ? event->message.len : sizeof text - 1;
    memcpy(text, event->message.data, len);
    char *rest = text;
    call->count = strtoul(rest, &rest, 10);
    const size_t size = strtoul(rest, NULL, 10);
    call->message =
        (spanwire_buffer){.data = ZEROS, .len = size < sizeof ZEROS ? size : sizeof ZEROS, .release = keep};
  }
  while (call->count > 0) {
    call->count--;
    /* FULL: it was taken, and WRITABLE follows. */
    if (sent(spanwire_server_call_send(call->handle, &call->message)) != SPANWIRE_DONE) return;
  }
  sent(spanwire_server_call_finish(call->handle, SPANWIRE_CODE_OK, NULL, NULL));
  call->over = true;
}

/* Answers with the number of messages. */
static void on_up(struct call *call, spanwire_event *event) {
  call->count += event->message_count;
  if (!event->end) {
    sent(spanwire_server_call_grant(call->handle, (uint32_t)event->message_count));
    return;
  }
  char text[32];
  snprintf(text, sizeof text, "%lu", call->count);
  answer(call, text, strlen(text));
}

static const struct method METHODS[] = {
    {TARGET "Echo", SPANWIRE_KIND_UNARY, 0, on_echo},
    {TARGET "WhoAmI", SPANWIRE_KIND_UNARY, 0, on_who_am_i},
    {TARGET "Wait", SPANWIRE_KIND_UNARY, 0, on_wait},
    {TARGET "Down", SPANWIRE_KIND_SERVER_STREAMING, 0, on_down},
    {TARGET "Up", SPANWIRE_KIND_CLIENT_STREAMING, MESSAGES, on_up},
    {TARGET "Stall", SPANWIRE_KIND_CLIENT_STREAMING, 0, on_wait},
};

static void forget(struct call *call) {
  spanwire_server_call_free(call->handle);
  free(call);
}

static void handle(spanwire_event *event) {
  struct call *call;
  if (event->type == SPANWIRE_EVENT_REQUEST) {
    call = must_allocate_zeros(sizeof *call);
    call->method = event->tag;
    call->handle = event->server_call;
    must(spanwire_server_call_set_data(call->handle, call), "keeping a call");
  } else {
    call = spanwire_server_call_data(event->server_call);
  }
  if (event->type == SPANWIRE_EVENT_CANCELLED) {
    call->over = true;
  } else {
    call->method->on_event(call, event);
  }
  if (call->over) forget(call);
}

/* On the engine's thread. A batch may speak of a call that ended in it: those events have lost their handle, and
 * are passed by. */
static void on_events(void *user_data, spanwire_event *events, size_t count) {
  (void)user_data;
  for (size_t index = 0; index < count; index++) {
    if (events[index].type == SPANWIRE_EVENT_REQUEST ||
        spanwire_server_call_data(events[index].server_call) != NULL) {
      handle(&events[index]);
    }
  }
}

/* The value of `--name=value` or `--name value`; null if it is not there. */
static const char *flag(int argc, char **argv, const char *name) {
  const size_t len = strlen(name);
  for (int index = 1; index < argc; index++) {
    if (strncmp(argv[index], name, len) != 0) continue;
    if (argv[index][len] == '=') return argv[index] + len + 1;
    if (argv[index][len] == '\0' && index + 1 < argc) return argv[index + 1];
  }
  return NULL;
}

static int64_t number(const char *text) { return text == NULL ? 0 : strtoll(text, NULL, 10); }

int main(int argc, char **argv) {
  const char *certificate = flag(argc, argv, "--certificate-pem"), *key = flag(argc, argv, "--key-pem");
  spanwire_tls_options tls = {.size = sizeof tls};
  if (certificate != NULL && key != NULL) {
    tls.certificate_pem = certificate;
    tls.certificate_pem_len = strlen(certificate);
    tls.key_pem = key;
    tls.key_pem_len = strlen(key);
  }
  const spanwire_server_options options = {
      .size = sizeof options,
      .tls = certificate != NULL ? &tls : NULL,
      .handshake_timeout_ms = number(flag(argc, argv, "--handshake-timeout-ms")),
      .max_connections = number(flag(argc, argv, "--max-connections")),
      .max_recv_message_bytes = number(flag(argc, argv, "--max-recv-message-bytes")),
      .max_unfinished_request_bytes = number(flag(argc, argv, "--max-unfinished-request-bytes")),
  };
  spanwire_queue *queue = spanwire_queue_new_inline(on_events, NULL);
  spanwire_server *server = spanwire_server_new(NULL, &options);
  if (queue == NULL || server == NULL) fail("no server: %s", spanwire_last_error());
  for (size_t index = 0; index < sizeof METHODS / sizeof *METHODS; index++) {
    const struct method *method = &METHODS[index];
    must(spanwire_server_method(server, method->path, method->kind, queue, (void *)method, method->credit),
         method->path);
  }
  must(spanwire_server_listen(server, "127.0.0.1:0"), "listening");
  printf("%d\n", spanwire_server_port(server));
  fflush(stdout);

  /* Whoever started it holds the other end. */
  for (int byte = getchar(); byte != EOF; byte = getchar()) {
    if (byte != '\n') continue;
    const struct mallinfo2 memory = mallinfo2();
    printf("%zu\n", memory.uordblks + memory.hblkhd);
    fflush(stdout);
  }
  return 0;
}
