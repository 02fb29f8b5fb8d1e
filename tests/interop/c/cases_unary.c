/* Unary calls, also to a server that misbehaves on the HTTP/2 level. */
#include <string.h>

#include "cases.h"

static SimpleRequest large_request(Payload *payload) {
  *payload = zeros(LARGE_REQUEST);
  SimpleRequest request = SIMPLE_REQUEST_INIT;
  request.response_size = LARGE_RESPONSE;
  request.payload = payload;
  return request;
}

static spanwire_event large_call(spanwire_channel *channel) {
  Payload payload;
  const SimpleRequest request = large_request(&payload);
  const spanwire_call_options options = call_options();
  return unary(channel, TEST_SERVICE "UnaryCall", &request, &options);
}

void empty_unary(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  const Empty request = GRPC__TESTING__EMPTY__INIT;
  const spanwire_call_options options = call_options();
  spanwire_event done = unary(channel, TEST_SERVICE "EmptyCall", &request, &options);
  check_code(&done.status, SPANWIRE_CODE_OK);
  check(done.message.len == 0, "the response has %zu bytes", done.message.len);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
}

void large_unary(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  spanwire_event done = large_call(channel);
  check_large(&done);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
}

void pick_first_unary(const struct session *session) {
  enum { CALLS = 100 };
  char first_server[256] = "";
  spanwire_channel *channel = open_channel(session);
  Payload payload = zeros(1);
  SimpleRequest request = SIMPLE_REQUEST_INIT;
  request.response_size = 1;
  request.payload = &payload;
  request.fill_server_id = true;
  const spanwire_call_options options = call_options();
  for (int call = 0; call < CALLS; call++) {
    spanwire_event done = unary(channel, TEST_SERVICE "UnaryCall", &request, &options);
    SimpleResponse *response = response_of(&done);
    check(response->server_id[0] != '\0', "the server gave no server_id");
    check(strlen(response->server_id) < sizeof first_server, "the server_id is long: %s", response->server_id);
    if (call == 0) strcpy(first_server, response->server_id);
    check(strcmp(first_server, response->server_id) == 0, "two servers answered");
    message_free(response);
    spanwire_event_free(&done);
  }
  spanwire_channel_free(channel);
}

/* GOAWAY arrives during the first call. That one finishes, and the second one, made right after it, goes over a new
 * connection; the server counts them. (The official client pauses in between; we need not.) */
void goaway(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  for (int call = 0; call < 2; call++) {
    spanwire_event done = large_call(channel);
    check_large(&done);
    spanwire_event_free(&done);
  }
  spanwire_channel_free(channel);
}

/* The server resets the stream with NO_ERROR, before there is a status. The call must fail, also when its data were
 * complete; INTERNAL is what the mapping of reset codes gives. */
void reset(const struct session *session) {
  spanwire_channel *channel = open_channel(session);
  spanwire_event done = large_call(channel);
  check_code(&done.status, SPANWIRE_CODE_INTERNAL);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
}

/* The server allows one stream at a time. Further calls wait; none fails. */
void max_streams(const struct session *session) {
  enum { CALLS = 10 };
  spanwire_channel *channel = open_channel(session);
  /* The first call lets the limit arrive. */
  spanwire_event first = large_call(channel);
  check_large(&first);
  spanwire_event_free(&first);

  spanwire_queue *queue = spanwire_queue_new();
  const spanwire_call_options options = call_options();
  Payload payload;
  const SimpleRequest request = large_request(&payload);
  for (int call = 0; call < CALLS; call++) {
    const spanwire_buffer buffer = message_pack(&request, 0);
    must(spanwire_call_unary(channel, TEST_SERVICE "UnaryCall", &buffer, &options, queue, NULL, NULL), "a call");
  }
  for (int call = 0; call < CALLS; call++) {
    spanwire_event done = {0};
    must(spanwire_queue_next(queue, &done, 1, -1), "waiting for the end of a call");
    check_large(&done);
    spanwire_event_free(&done);
  }
  spanwire_queue_free(queue);
  spanwire_channel_free(channel);
}
