/* Who calls, by token and by certificate, and who may: options, and what handlers see. */
#include <pthread.h>

#include "pair.h"

/* Made by certs.sh; the runner says where. */
static const char *path_of(const char *name) {
  static char paths[16][512];
  static int next;
  const char *folder = getenv("SPANWIRE_TEST_CERTS");
  if (folder == NULL) check_failed(__FILE__, __LINE__, "SPANWIRE_TEST_CERTS is the folder of certs.sh");
  char *path = paths[next++ % 16];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

/* What the handler saw. */
static char subject[64], claims[512], dns[64], spiffe_id[64], name_of_subject[64], ip[64], email[64], none[8];

static void look(spanwire_server_call *call) {
  spanwire_server_call_subject(call, subject, sizeof subject);
  size_t len = spanwire_server_call_claims(call, claims, sizeof claims);
  CHECK_EQ(len, strlen(claims));
  spanwire_server_call_peer_name(call, SPANWIRE_NAME_DNS, 0, dns, sizeof dns);
  spanwire_server_call_peer_name(call, SPANWIRE_NAME_SPIFFE_ID, 0, spiffe_id, sizeof spiffe_id);
  spanwire_server_call_peer_name(call, SPANWIRE_NAME_SUBJECT, 0, name_of_subject, sizeof name_of_subject);
  spanwire_server_call_peer_name(call, SPANWIRE_NAME_IP, 0, ip, sizeof ip);
  spanwire_server_call_peer_name(call, SPANWIRE_NAME_EMAIL, 0, email, sizeof email);
  for (spanwire_name kind = SPANWIRE_NAME_DNS; kind <= SPANWIRE_NAME_URI; kind++) {
    CHECK_EQ(spanwire_server_call_peer_name(call, kind, 1, none, sizeof none), 0);
    CHECK_EQ(none[0], 0);
  }
  CHECK_EQ(spanwire_server_call_peer_name(call, 6, 0, none, sizeof none), 0);
  if (dns[0] != 0) CHECK_HAS(spanwire_last_error(), "kind");
}

/* One call over a fresh pair; the outcome's code, and its message in `text`. */
static spanwire_code outcome(spanwire_server_options server_options, spanwire_channel_options channel_options,
                             const char *host, char *text) {
  server_options.size = sizeof server_options;
  channel_options.size = sizeof channel_options;
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_queue *requests = MADE(spanwire_queue_new());
  spanwire_server *server = server_with_methods(&server_options, requests, 1);
  TRY(spanwire_server_listen(server, "127.0.0.1:0"));
  char target[64];
  snprintf(target, sizeof target, "%s:%d", host, TRY(spanwire_server_port(server)));
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, &channel_options));
  TRY(spanwire_call_unary(channel, UNARY, TEXT("who"), NULL, queue, NULL, NULL));

  spanwire_event event = {0};
  for (;;) {
    if (spanwire_queue_next(requests, &event, 1, 1) == 1) {
      look(event.server_call);
      TRY(spanwire_server_call_respond(event.server_call, TEXT(""), NULL));
      spanwire_server_call_free(event.server_call);
      spanwire_event_free(&event);
    }
    if (spanwire_queue_next(queue, &event, 1, 1) == 1) break;
  }
  spanwire_code code = event.status.code;
  snprintf(text, 1024, "%s", event.status.message);
  spanwire_event_free(&event);
  spanwire_channel_free(channel);
  spanwire_server_free(server);
  spanwire_queue_free(queue);
  spanwire_queue_free(requests);
  return code;
}

static char said[1024];

static spanwire_tls_options server_tls(void) {
  return (spanwire_tls_options){.size = sizeof(spanwire_tls_options),
                                .certificate_file = path_of("server.pem"),
                                .key_file = path_of("server.key")};
}

static spanwire_tls_options client_tls(void) {
  return (spanwire_tls_options){.size = sizeof(spanwire_tls_options), .ca_file = path_of("ca.pem")};
}

static const char *const issuers[] = {"https://other.example.com", "https://login.example.com"};
static const char *const audiences[] = {"orders"};
static const char *const algorithms[] = {"EdDSA"};
static const char *const required[] = {"sub"};

static spanwire_jwt_options jwt(void) {
  return (spanwire_jwt_options){.size = sizeof(spanwire_jwt_options),
                                .jwks_file = path_of("keys.json"),
                                .issuers = issuers,
                                .issuer_count = 2,
                                .audiences = audiences,
                                .audience_count = 1,
                                .algorithms = algorithms,
                                .algorithm_count = 1,
                                .required_claims = required,
                                .required_claim_count = 1};
}

static void tokens(void) {
  spanwire_tls_options server = server_tls(), client = client_tls();
  spanwire_jwt_options good = jwt();
  spanwire_server_options options = {.tls = &server, .jwt = &good};
  spanwire_channel_options channel = {.tls = &client, .bearer_token_file = path_of("token")};
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_OK);
  CHECK(strcmp(subject, "ada") == 0);
  CHECK_HAS(claims, "\"scope\":\"orders.read\"");
  CHECK_EQ(dns[0], 0);

  channel.bearer_token_file = NULL;
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_UNAUTHENTICATED);
  CHECK_HAS(said, "the call has no bearer token");
  channel.bearer_token_file = path_of("token");
  good.issuer_count = 1;
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_UNAUTHENTICATED);
  good = jwt();
  good.audience_count = 0;
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_UNAUTHENTICATED);
  static const char *const other[] = {"ES256"}, *const absent[] = {"email"};
  good = jwt();
  good.algorithms = other;
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_UNAUTHENTICATED);
  good = jwt();
  good.required_claims = absent;
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_UNAUTHENTICATED);
}

/* A web server with the keys of an issuer, for one request. */
static void *give_keys(void *listener) {
  int client = accept(*(int *)listener, NULL, NULL);
  char request[4096], keys[4096], head[128];
  size_t len = 0;
  while (len < 4 || memcmp(request + len - 4, "\r\n\r\n", 4) != 0) {
    ssize_t got = recv(client, request + len, sizeof request - len, 0);
    CHECK(got > 0);
    len += (size_t)got;
  }
  FILE *file = fopen(path_of("keys.json"), "rb");
  CHECK(file != NULL);
  size_t key_len = fread(keys, 1, sizeof keys, file);
  fclose(file);
  int head_len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", key_len);
  CHECK_EQ(send(client, head, (size_t)head_len, 0), head_len);
  CHECK_EQ(send(client, keys, key_len, 0), (ssize_t)key_len);
  close(client);
  return NULL;
}

static void keys_come_from_a_url(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  CHECK_EQ(bind(listener, (struct sockaddr *)&address, len), 0);
  CHECK_EQ(listen(listener, 1), 0);
  CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &len), 0);
  char url[64];
  snprintf(url, sizeof url, "http://127.0.0.1:%d/keys.json", ntohs(address.sin_port));
  pthread_t web;
  CHECK_EQ(pthread_create(&web, NULL, give_keys, &listener), 0);

  spanwire_tls_options server = server_tls(), client = client_tls();
  spanwire_jwt_options remote = jwt();
  remote.jwks_file = NULL;
  remote.jwks_url = url;
  remote.jwks_refresh_interval_ms = 60000;
  spanwire_server_options options = {.tls = &server, .jwt = &remote};
  spanwire_channel_options channel = {.tls = &client, .bearer_token_file = path_of("token")};
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_OK);
  CHECK(strcmp(subject, "ada") == 0);
  pthread_join(web, NULL);
  close(listener);
}

static void listed_methods_need_no_token(void) {
  static const char *const other[] = {"/test.Other/*"}, *const listed[] = {"/test.Other/*", "/test.Service/*"};
  spanwire_tls_options server = server_tls(), client = client_tls();
  spanwire_jwt_options lenient = jwt();
  lenient.unauthenticated_methods = listed;
  lenient.unauthenticated_method_count = 2;
  spanwire_server_options options = {.tls = &server, .jwt = &lenient};
  spanwire_channel_options channel = {.tls = &client};
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_OK);
  CHECK_EQ(subject[0], 0);
  lenient.unauthenticated_methods = other;
  lenient.unauthenticated_method_count = 1;
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_UNAUTHENTICATED);
}

static void certificates(void) {
  spanwire_tls_options server = server_tls(), client = client_tls();
  server.ca_file = path_of("ca.pem");
  client.certificate_file = path_of("client.pem");
  client.key_file = path_of("client.key");
  const char *policy =
      "{\"name\": \"p\", \"allow_rules\": [{\"name\": \"r\", \"source\": {\"principals\": "
      "[\"spiffe://example/*\"]}}]}";
  spanwire_server_options options = {.tls = &server, .authorization_policy = policy};
  spanwire_channel_options channel = {.tls = &client};
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_OK);
  CHECK(strcmp(dns, "client.example") == 0);
  CHECK(strcmp(spiffe_id, "spiffe://example/client") == 0);
  CHECK(strcmp(name_of_subject, "CN=client") == 0);
  CHECK(strcmp(ip, "192.0.2.1") == 0);
  CHECK(strcmp(email, "client@example") == 0);
  CHECK(subject[0] == 0 && claims[0] == 0);

  server.client_certificate_optional = true;
  client = client_tls();
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_PERMISSION_DENIED);
  CHECK_HAS(said, "unauthorized RPC request rejected");
}

static void names_choose_certificates(void) {
  spanwire_certificate more = {.certificate_file = path_of("named.pem"), .key_file = path_of("named.key")};
  spanwire_tls_options server = server_tls(), client = client_tls();
  client.server_name = "shop.example";
  spanwire_server_options options = {.tls = &server};
  spanwire_channel_options channel = {.tls = &client};
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_UNAVAILABLE);
  server.more_certificates = &more;
  server.more_certificate_count = 1;
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_OK);
  client.server_name = NULL;
  CHECK_EQ(outcome(options, channel, "localhost", said), SPANWIRE_CODE_OK);
}

static void limits_let_pass_what_they_allow(void) {
  const spanwire_server_options options = {.max_running_calls = 1,
                                           .rate_limits = "[{\"burst\": 1, \"perSecond\": 0.01}]"};
  CHECK_EQ(outcome(options, (spanwire_channel_options){0}, "localhost", said), SPANWIRE_CODE_OK);
}

static void refuses(spanwire_server_options options, const char *part) {
  options.size = sizeof options;
  spanwire_server *server = spanwire_server_new(NULL, &options);
  /* What is only found out by reading the files is said by listen. */
  if (server != NULL) CHECK(spanwire_server_listen(server, "127.0.0.1:0") < 0);
  CHECK_HAS(spanwire_last_error(), part);
  spanwire_server_free(server);
}

static void mistakes_are_named(void) {
  spanwire_jwt_options wrong = jwt();
  wrong.jwks_file = path_of("nowhere.json");
  refuses((spanwire_server_options){.jwt = &wrong}, "nowhere.json");
  wrong.jwks_file = NULL;
  refuses((spanwire_server_options){.jwt = &wrong}, "jwt: whose keys?");
  wrong.jwks_url = "http://login.test/keys.json";
  refuses((spanwire_server_options){.jwt = &wrong}, "is not encrypted");
  wrong.jwks_file = path_of("keys.json");
  refuses((spanwire_server_options){.jwt = &wrong}, "a file of them, or a URL, and not both");
  wrong = jwt();
  wrong.issuers = NULL;
  refuses((spanwire_server_options){.jwt = &wrong}, "issuers is null or too long, but its count is 2");
  wrong = jwt();
  wrong.issuer_count = 0;
  refuses((spanwire_server_options){.jwt = &wrong}, "it needs issuers");
  refuses((spanwire_server_options){.authorization_policy = "{}"}, "has no allow_rules");
  refuses((spanwire_server_options){.authorization_policy_file = path_of("nowhere.json")}, "nowhere.json");
  refuses((spanwire_server_options){.rate_limits = "[{}]"}, "rate_limits: limits[0]: has no burst");
  spanwire_certificate half = {.certificate_file = path_of("named.pem")};
  spanwire_tls_options tls = server_tls();
  tls.more_certificates = &half;
  tls.more_certificate_count = 1;
  refuses((spanwire_server_options){.tls = &tls}, "belong together");
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(tokens),
      TEST(keys_come_from_a_url),
      TEST(listed_methods_need_no_token),
      TEST(certificates),
      TEST(names_choose_certificates),
      TEST(limits_let_pass_what_they_allow),
      TEST(mistakes_are_named),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
