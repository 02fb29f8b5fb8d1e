/* Channels: connecting, their state and counters, keepalive, and calls that wait on this thread. */
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "peer.h"

enum { IDLE, CONNECTING, READY, TRANSIENT_FAILURE };

/* The code that a wait for another state ended with; the state that was found is put into `state`. */
static int32_t end_of_wait(spanwire_queue *queue, void *tag, int32_t *state) {
  spanwire_event event = EVENT(queue, DONE);
  CHECK(event.tag == tag);
  int32_t code = event.status.code;
  if (code == SPANWIRE_CODE_OK) {
    CHECK_EQ(event.message.len, 1);
    *state = *(const unsigned char *)event.message.data;
  }
  spanwire_event_free(&event);
  return code;
}

static void wait_for_state(spanwire_channel *channel, int32_t state) {
  spanwire_queue *queue = MADE(spanwire_queue_new());
  int32_t now = TRY(spanwire_channel_connectivity(channel));
  while (now != state) {
    TRY(spanwire_channel_connectivity_changed(channel, now, patience_ms(), queue, &now, NULL));
    CHECK_EQ(end_of_wait(queue, &now, &now), SPANWIRE_CODE_OK);
  }
  spanwire_queue_free(queue);
}

static void wait_for_another_state_ends_early(void) {
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "127.0.0.1:1", NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  int32_t state = -1;
  int tag;
  TRY(spanwire_channel_connectivity_changed(channel, IDLE, 1, queue, &tag, NULL));
  CHECK_EQ(end_of_wait(queue, &tag, &state), SPANWIRE_CODE_DEADLINE_EXCEEDED);
  spanwire_call *wait = NULL;
  TRY(spanwire_channel_connectivity_changed(channel, IDLE, 0, queue, &tag, &wait));
  TRY(spanwire_call_cancel(wait));
  CHECK_EQ(end_of_wait(queue, &tag, &state), SPANWIRE_CODE_CANCELLED);
  spanwire_call_free(wait);
  TRY(spanwire_channel_connectivity_changed(channel, IDLE, 0, queue, &tag, NULL));
  CHECK_EQ(spanwire_channel_connectivity_changed(channel, 4, 0, queue, &tag, NULL), SPANWIRE_INVALID_ARGUMENT);
  CHECK_HAS(spanwire_last_error(), "known");
  spanwire_channel_free(channel);
  CHECK_EQ(end_of_wait(queue, &tag, &state), SPANWIRE_CODE_CANCELLED);
  CHECK_EQ(spanwire_channel_connectivity_changed(channel, IDLE, 0, queue, &tag, &wait), SPANWIRE_INVALID_HANDLE);
  CHECK(wait == NULL && state == -1);
  spanwire_queue_free(queue);
}

static void connects_with_the_first_call_or_when_asked(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  CHECK_EQ(spanwire_channel_connectivity(channel), IDLE);
  TRY(spanwire_channel_connect(channel));
  wait_for_state(channel, READY);
  spanwire_channel_free(channel);
  channel = MADE(spanwire_channel_new(NULL, "unix:/nowhere/at/all.sock", NULL));
  TRY(spanwire_channel_connect(channel));
  wait_for_state(channel, TRANSIENT_FAILURE);
  spanwire_channel_free(channel);
  peer_stop(&peer);
}

static void blocking_call_answers_here(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  for (int i = 0; i < 50; i++) {
    spanwire_event done = {0};
    TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT("echo"), NULL, &done));
    CHECK_EQ(done.type, SPANWIRE_EVENT_DONE);
    CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
    CHECK_BYTES(done.message.data, done.message.len, "echo");
    spanwire_event_free(&done);
  }
  spanwire_event done = {0};
  TRY(spanwire_call_unary_blocking(channel, "/test.Service/None", TEXT(""), NULL, &done));
  CHECK_EQ(done.status.code, SPANWIRE_CODE_UNIMPLEMENTED);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
  peer_stop(&peer);
}

static void *call_many_times(void *channel) {
  for (int i = 0; i < 100; i++) {
    char text[32];
    snprintf(text, sizeof text, "%p %d", (void *)text, i);
    spanwire_event done = {0};
    TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT(text), NULL, &done));
    CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
    CHECK_BYTES(done.message.data, done.message.len, text);
    spanwire_event_free(&done);
  }
  return NULL;
}

static void threads_share_a_channel(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  pthread_t threads[8];
  for (size_t i = 0; i < COUNT_OF(threads); i++) pthread_create(&threads[i], NULL, call_many_times, channel);
  for (size_t i = 0; i < COUNT_OF(threads); i++) pthread_join(threads[i], NULL);
  spanwire_channel_free(channel);
  peer_stop(&peer);
}

static uint64_t stat_named(const spanwire_stat *stats, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(stats[i].name, name) == 0) return stats[i].value;
  }
  check_failed(__FILE__, __LINE__, name);
  return 0;
}

static void counters_have_names(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel_options options = {.size = sizeof options, .max_recv_message_bytes = 3};
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, &options));
  spanwire_event done = {0};
  TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT("four"), NULL, &done));
  CHECK_EQ(done.status.code, SPANWIRE_CODE_RESOURCE_EXHAUSTED);
  spanwire_event_free(&done);
  spanwire_stat stats[64];
  size_t count = spanwire_channel_stats(channel, stats, COUNT_OF(stats));
  CHECK(count > 0 && count <= COUNT_OF(stats));
  CHECK_EQ(spanwire_channel_stats(channel, NULL, 0), count);
  CHECK_EQ(stat_named(stats, count, "message_bytes"), 1);
  CHECK_EQ(spanwire_channel_stats(channel, stats, 1), count);
  count = spanwire_server_stats(peer.server, stats, COUNT_OF(stats));
  CHECK(count > 0 && count <= COUNT_OF(stats));
  CHECK_EQ(stat_named(stats, count, "message_bytes"), 0);
  CHECK_EQ(spanwire_channel_stats(NULL, stats, COUNT_OF(stats)), 0);
  CHECK_EQ(spanwire_server_stats(NULL, stats, COUNT_OF(stats)), 0);
  spanwire_channel_free(channel);
  peer_stop(&peer);
}

/* A port that takes connections and never says a word. */
static int silent_listener(char *target, size_t capacity) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  CHECK_EQ(bind(listener, (struct sockaddr *)&address, len), 0);
  CHECK_EQ(listen(listener, 16), 0);
  CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &len), 0);
  snprintf(target, capacity, "127.0.0.1:%d", ntohs(address.sin_port));
  return listener;
}

static void connecting_takes_no_longer_than_its_timeout(void) {
  char target[64];
  int listener = silent_listener(target, sizeof target);
  spanwire_channel_options options = {.size = sizeof options, .connect_timeout_ms = 150};
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, &options));
  int64_t began = now_ms();
  spanwire_event done = {0};
  TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT(""), NULL, &done));
  CHECK(now_ms() - began >= 150);
  CHECK_EQ(done.status.code, SPANWIRE_CODE_UNAVAILABLE);
  CHECK_EQ(done.status.sent, SPANWIRE_SENT_NOT_SENT);
  CHECK_HAS(done.status.message, "connect_timeout");
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
  close(listener);
}

static void keepalive_options_work_or_are_named(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel_options options = {.size = sizeof options,
                                      .keepalive_interval_ms = 600000,
                                      .keepalive_timeout_ms = 20000,
                                      .keepalive_without_calls = true};
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, &options));
  call_many_times(channel);
  spanwire_channel_free(channel);
  options.keepalive_interval_ms = -1; /* off */
  channel = MADE(spanwire_channel_new(NULL, peer.target, &options));
  call_many_times(channel);
  spanwire_channel_free(channel);
  options.keepalive_interval_ms = 600000;
  options.keepalive_timeout_ms = -1;
  CHECK(spanwire_channel_new(NULL, peer.target, &options) == NULL);
  CHECK_HAS(spanwire_last_error(), "keepalive_timeout_ms");
  peer_stop(&peer);
}

static void authority_and_user_agent_reach_the_server(void) {
  spanwire_channel_options options = {.size = sizeof options, .authority = "shop.example", .user_agent = "till/7"};
  pair pair;
  pair_open(&pair, (pair_options){.channel = &options});
  START(&pair, "", NULL);
  spanwire_event request = EVENT(pair.requests, REQUEST);
  spanwire_metadata_entry entry;
  CHECK(spanwire_metadata_find(spanwire_server_call_metadata(request.server_call), "user-agent", 0, &entry));
  CHECK(entry.value_len >= 6 && memcmp(entry.value, "till/7", 6) == 0);
  char peer[64];
  size_t len = spanwire_server_call_peer(request.server_call, peer, sizeof peer);
  CHECK_EQ(len, strlen(peer));
  CHECK_HAS(peer, "127.0.0.1:");
  CHECK_EQ(spanwire_server_call_peer(request.server_call, NULL, 0), len);
  spanwire_server_call_free(request.server_call);
  spanwire_event_free(&request);
  EXPECT_DONE(pair.queue, SPANWIRE_CODE_INTERNAL, "");
  pair_close(&pair);
}

static void engines_are_separate(void) {
  spanwire_engine_options options = {.size = sizeof options, .lanes = 2};
  spanwire_engine *engine = MADE(spanwire_engine_new(&options));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_server *server = MADE(spanwire_server_new(engine, NULL));
  TRY(spanwire_server_method(server, UNARY, SPANWIRE_KIND_UNARY, queue, NULL, 1));
  TRY(spanwire_server_listen(server, "127.0.0.1:0"));
  char target[64];
  spanwire_server_target(server, target, sizeof target);
  spanwire_channel *channel = MADE(spanwire_channel_new(engine, target, NULL));
  TRY(spanwire_call_unary(channel, UNARY, TEXT(""), NULL, queue, NULL, NULL));
  spanwire_event request = EVENT(queue, REQUEST);
  spanwire_server_call *served = request.server_call;
  /* Its end is the end of all that runs on it. */
  spanwire_engine_free(engine);
  spanwire_event_free(&request);
  bool done = false;
  while (!done) {
    spanwire_event event;
    CHECK_EQ(spanwire_queue_next(queue, &event, 1, patience_ms()), 1);
    done = event.type == SPANWIRE_EVENT_DONE;
    if (done) CHECK(event.status.code == SPANWIRE_CODE_UNAVAILABLE || event.status.code == SPANWIRE_CODE_CANCELLED);
    spanwire_event_free(&event);
  }
  CHECK_EQ(spanwire_call_unary(channel, UNARY, TEXT(""), NULL, queue, NULL, NULL), SPANWIRE_SHUT_DOWN);
  CHECK(spanwire_channel_new(engine, target, NULL) == NULL);
  spanwire_server_call_free(served);
  spanwire_channel_free(channel);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
}

/* The port behind the last colon. */
static const char *port_of(const char *target) { return strrchr(target, ':') + 1; }

static void calls_take_turns_among_addresses(void) {
  peer peers[2];
  for (size_t i = 0; i < COUNT_OF(peers); i++) peer_start(&peers[i], NULL, NULL);
  char target[128];
  snprintf(target, sizeof target, "ipv4:127.0.0.1:%s,127.0.0.1:%s", port_of(peers[0].target),
           port_of(peers[1].target));
  spanwire_channel_options options = {.size = sizeof options, .load_balancing = "round_robin"};
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, &options));
  int64_t deadline = now_ms() + patience_ms();
  bool seen[2] = {false, false};
  while (!seen[0] || !seen[1]) {
    CHECK(now_ms() < deadline);
    spanwire_event done = {0};
    TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT(""), NULL, &done));
    CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
    char peer[64];
    CHECK(spanwire_event_peer(&done, peer, sizeof peer) < sizeof peer);
    for (size_t i = 0; i < COUNT_OF(peers); i++)
      seen[i] = seen[i] || strcmp(port_of(peer), port_of(peers[i].target)) == 0;
    spanwire_event_free(&done);
  }
  TRY(spanwire_channel_network_changed(channel));
  spanwire_channel_free(channel);
  for (size_t i = 0; i < COUNT_OF(peers); i++) peer_stop(&peers[i]);
}

static void service_config_works_or_is_named(void) {
  spanwire_channel_options options = {.size = sizeof options};
  options.service_config = "{\"methodConfig\": [{\"name\": [{}], \"timeout\": \"0.05s\", \"waitForReady\": true}]}";
  char target[64];
  snprintf(target, sizeof target, "127.0.0.1:%d", closed_port());
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, &options));
  spanwire_event done = {0};
  TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT(""), NULL, &done));
  CHECK_EQ(done.status.code, SPANWIRE_CODE_DEADLINE_EXCEEDED);
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
  options.service_config = "{\"methodConfig\": [{\"timeout\": 1}]}";
  CHECK(spanwire_channel_new(NULL, target, &options) == NULL);
  CHECK_HAS(spanwire_last_error(), "methodConfig[0].timeout");
  options.service_config = NULL;
  options.bearer_token = "secret";
  CHECK(spanwire_channel_new(NULL, target, &options) == NULL);
  CHECK_HAS(spanwire_last_error(), "bearer_token");
  CHECK(strstr(spanwire_last_error(), "secret") == NULL);
  options.bearer_token = NULL;
  options.load_balancing = "random";
  CHECK(spanwire_channel_new(NULL, target, &options) == NULL);
  CHECK_HAS(spanwire_last_error(), "load_balancing");
}

/* Answers each question of a name server's socket with one text, until it is closed. */
static void *serve_texts(void *argument) {
  int socket = *(int *)argument;
  const char *text = "grpc_config=[{\"serviceConfig\":{\"methodConfig\":[{\"name\":[{}],\"timeout\":\"0s\"}]}}]";
  unsigned char message[512];
  struct sockaddr_in from;
  socklen_t size = sizeof from;
  ssize_t length;
  while ((length = recvfrom(socket, message, 300, 0, (struct sockaddr *)&from, &size)) > 0) {
    /* The question, and an answer to the same name: TXT, IN, a second, and one string. */
    message[2] |= 0x80, message[7] = 1;
    unsigned char answer[] = {0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 1, 0, (unsigned char)(strlen(text) + 1)};
    memcpy(message + length, answer, sizeof answer);
    length += sizeof answer;
    message[length++] = (unsigned char)strlen(text);
    memcpy(message + length, text, strlen(text));
    sendto(socket, message, (size_t)length + strlen(text), 0, (struct sockaddr *)&from, size);
  }
  return NULL;
}

static void service_config_comes_from_dns_if_that_is_wanted(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  int server = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  CHECK_EQ(bind(server, (struct sockaddr *)&address, size), 0);
  CHECK_EQ(getsockname(server, (struct sockaddr *)&address, &size), 0);
  pthread_t thread;
  CHECK_EQ(pthread_create(&thread, NULL, serve_texts, &server), 0);
  char target[128];
  snprintf(target, sizeof target, "dns://127.0.0.1:%d/localhost:%s", ntohs(address.sin_port), port_of(peer.target));
  for (int wanted = 0; wanted < 2; wanted++) {
    spanwire_channel_options options = {.size = sizeof options, .service_config_from_dns = wanted};
    spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, &options));
    spanwire_event done = {0};
    /* The first call is what has the name resolved. */
    for (int call = 0; call < 2; call++) {
      spanwire_event_free(&done);
      TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT(""), NULL, &done));
    }
    CHECK_EQ(done.status.code, wanted ? SPANWIRE_CODE_DEADLINE_EXCEEDED : SPANWIRE_CODE_OK);
    spanwire_event_free(&done);
    spanwire_channel_free(channel);
  }
  shutdown(server, SHUT_RDWR);
  pthread_join(thread, NULL);
  close(server);
  spanwire_channel_options options = {.size = sizeof options, .dns_resolver = "hickory"};
  CHECK(spanwire_channel_new(NULL, target, &options) == NULL);
  CHECK_HAS(spanwire_last_error(), "dns_resolver");
  options.dns_resolver = "direct";
  spanwire_channel_free(MADE(spanwire_channel_new(NULL, target, &options)));
  peer_stop(&peer);
}

static void arguments_of_other_libraries_work_or_are_named(void) {
  const char *target = "127.0.0.1:1";
  spanwire_channel_argument arguments[] = {
      {.name = "grpc.keepalive_time_ms", .number = 20000},
      {.name = "grpc.service_config", .text = "{\"methodConfig\": [{\"timeout\": 1}]}"},
  };
  spanwire_channel_options options = {
      .size = sizeof options, .user_agent = "mine", .arguments = arguments, .argument_count = COUNT_OF(arguments)};
  CHECK(spanwire_channel_new(NULL, target, &options) == NULL);
  CHECK_HAS(spanwire_last_error(), "methodConfig[0].timeout");
  arguments[1].name = "grpc.primary_user_agent";
  spanwire_channel_free(MADE(spanwire_channel_new(NULL, target, &options)));
  arguments[0].name = "grpc.keepalive_time";
  CHECK(spanwire_channel_new(NULL, target, &options) == NULL);
  CHECK_HAS(spanwire_last_error(), "the closest is \"grpc.keepalive_time_ms\"");
  arguments[0].name = NULL;
  CHECK(spanwire_channel_new(NULL, target, &options) == NULL);
  options.arguments = NULL;
  CHECK(spanwire_channel_new(NULL, target, &options) == NULL);
  CHECK_HAS(spanwire_last_error(), "arguments is null");
}

/* What a channel's token source was asked for, and how it answers. */
typedef struct vault {
  int asked;
  bool refuses;
  spanwire_token_request *waiting; /* the request that is answered on another thread */
  pthread_t thread;
} vault;

static void *answer_later(void *argument) {
  vault *vault = argument;
  TRY(spanwire_token_answer(vault->waiting, "secret", 0));
  REFUSED(spanwire_token_answer(vault->waiting, "again", 0), SPANWIRE_INVALID_HANDLE, "token request");
  return NULL;
}

static void on_token(void *user_data, spanwire_token_request *request) {
  vault *vault = user_data;
  vault->asked++;
  if (vault->refuses) {
    REFUSED(spanwire_token_refuse(request, SPANWIRE_CODE_OK, NULL), SPANWIRE_INVALID_ARGUMENT, "OK");
    TRY(spanwire_token_refuse(request, SPANWIRE_CODE_PERMISSION_DENIED, "the vault is shut"));
    return;
  }
  vault->waiting = request;
  CHECK_EQ(pthread_create(&vault->thread, NULL, answer_later, vault), 0);
}

/* Answers with what the request was authorized with. */
static void tell_who(void *user_data, spanwire_event *event, size_t count) {
  (void)user_data;
  (void)count;
  if (event->type != SPANWIRE_EVENT_REQUEST) return;
  spanwire_metadata_entry entry = {0};
  const spanwire_metadata *metadata = spanwire_server_call_metadata(event->server_call);
  CHECK(spanwire_metadata_find(metadata, "authorization", 0, &entry));
  spanwire_buffer answer = {.data = entry.value, .len = entry.value_len};
  TRY(spanwire_server_call_respond(event->server_call, &answer, NULL));
  spanwire_server_call_free(event->server_call);
}

static void token_is_asked_for_when_it_is_due(void) {
  spanwire_queue *requests = MADE(spanwire_queue_new_inline(tell_who, NULL));
  spanwire_server *server = MADE(spanwire_server_new(NULL, NULL));
  TRY(spanwire_server_method(server, UNARY, SPANWIRE_KIND_UNARY, requests, NULL, 0));
  TRY(spanwire_server_listen(server, "inprocess:tokens"));
  vault vault = {.asked = 0};
  spanwire_channel_options options = {
      .size = sizeof options, .token_source = on_token, .token_source_data = &vault};
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, "inprocess:tokens", &options));
  for (int i = 0; i < 2; i++) {
    spanwire_event done = {0};
    TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT(""), NULL, &done));
    CHECK_EQ(done.status.code, SPANWIRE_CODE_OK);
    CHECK_EQ(done.message.len, strlen("Bearer secret"));
    CHECK(memcmp(done.message.data, "Bearer secret", done.message.len) == 0);
    spanwire_event_free(&done);
  }
  CHECK_EQ(vault.asked, 1);
  pthread_join(vault.thread, NULL);
  spanwire_channel_free(channel);

  vault.refuses = true;
  channel = MADE(spanwire_channel_new(NULL, "inprocess:tokens", &options));
  spanwire_event done = {0};
  TRY(spanwire_call_unary_blocking(channel, UNARY, TEXT(""), NULL, &done));
  CHECK_EQ(done.status.code, SPANWIRE_CODE_PERMISSION_DENIED);
  CHECK_HAS(done.status.message, "the vault is shut");
  spanwire_event_free(&done);
  spanwire_channel_free(channel);
  spanwire_server_free(server);
  spanwire_queue_free(requests);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(connects_with_the_first_call_or_when_asked),
      TEST(wait_for_another_state_ends_early),
      TEST(blocking_call_answers_here),
      TEST(threads_share_a_channel),
      TEST(counters_have_names),
      TEST(connecting_takes_no_longer_than_its_timeout),
      TEST(keepalive_options_work_or_are_named),
      TEST(authority_and_user_agent_reach_the_server),
      TEST(engines_are_separate),
      TEST(calls_take_turns_among_addresses),
      TEST(service_config_works_or_is_named),
      TEST(service_config_comes_from_dns_if_that_is_wanted),
      TEST(arguments_of_other_libraries_work_or_are_named),
      TEST(token_is_asked_for_when_it_is_due),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
