/* TLS and mutual TLS, from memory and from files, and what must fail. */
#include "pair.h"

/* Made by certs.sh; the runner says where. */
static const char *path_of(const char *name) {
  static char paths[8][512];
  static int next;
  const char *folder = getenv("SPANWIRE_TEST_CERTS");
  if (folder == NULL) check_failed(__FILE__, __LINE__, "SPANWIRE_TEST_CERTS is the folder of certs.sh");
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", folder, name);
  return path;
}

typedef struct pem {
  char text[8192];
  size_t len;
} pem;

static pem read_pem(const char *name) {
  pem pem;
  FILE *file = fopen(path_of(name), "rb");
  CHECK(file != NULL);
  pem.len = fread(pem.text, 1, sizeof pem.text, file);
  fclose(file);
  CHECK(pem.len > 0 && pem.len < sizeof pem.text);
  return pem;
}

/* Calls over a fresh pair; the outcome's code, and its message in `text`. */
static spanwire_code outcome(const spanwire_tls_options *server_tls, const spanwire_tls_options *client_tls,
                             const char *host, char *text, size_t *certificate_len) {
  spanwire_server_options server_options = {.size = sizeof server_options, .tls = server_tls};
  spanwire_channel_options channel_options = {.size = sizeof channel_options, .tls = client_tls};
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_queue *requests = MADE(spanwire_queue_new());
  spanwire_server *server = server_with_methods(&server_options, requests, 1);
  TRY(spanwire_server_listen(server, "127.0.0.1:0"));
  char target[64];
  snprintf(target, sizeof target, "%s:%d", host, TRY(spanwire_server_port(server)));
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, &channel_options));
  TRY(spanwire_call_unary(channel, UNARY, TEXT("secret"), NULL, queue, NULL, NULL));

  spanwire_event event = {0};
  for (;;) {
    if (spanwire_queue_next(requests, &event, 1, 1) == 1) {
      CHECK_EQ(event.type, SPANWIRE_EVENT_REQUEST);
      const uint8_t *der = NULL;
      *certificate_len = spanwire_server_call_peer_certificate(event.server_call, 0, &der);
      CHECK((*certificate_len > 0) == (der != NULL));
      if (der != NULL) CHECK_EQ(der[0], 0x30);
      CHECK_EQ(spanwire_server_call_peer_certificate(event.server_call, 9, &der), 0);
      TRY(spanwire_server_call_respond(event.server_call, TEXT(""), NULL));
      spanwire_server_call_free(event.server_call);
      spanwire_event_free(&event);
    }
    if (spanwire_queue_next(queue, &event, 1, 1) == 1) break;
  }
  CHECK_EQ(event.type, SPANWIRE_EVENT_DONE);
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
static size_t certificate;

static spanwire_tls_options server_from_files(void) {
  return (spanwire_tls_options){.size = sizeof(spanwire_tls_options),
                                .certificate_file = path_of("server.pem"),
                                .key_file = path_of("server.key")};
}

static spanwire_tls_options client_from_files(void) {
  return (spanwire_tls_options){.size = sizeof(spanwire_tls_options), .ca_file = path_of("ca.pem")};
}

static void from_files(void) {
  spanwire_tls_options server = server_from_files(), client = client_from_files();
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_OK);
  CHECK_EQ(certificate, 0);
  CHECK_EQ(outcome(&server, &client, "127.0.0.1", said, &certificate), SPANWIRE_CODE_OK);
}

static void from_memory(void) {
  pem ca = read_pem("ca.pem"), cert = read_pem("server.pem"), key = read_pem("server.key");
  spanwire_tls_options server = {.size = sizeof server,
                                 .certificate_pem = cert.text,
                                 .certificate_pem_len = cert.len,
                                 .key_pem = key.text,
                                 .key_pem_len = key.len};
  spanwire_tls_options client = {.size = sizeof client, .ca_pem = ca.text, .ca_pem_len = ca.len};
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_OK);
}

static void mutual(void) {
  pem ca = read_pem("ca.pem"), cert = read_pem("client.pem"), key = read_pem("client.key");
  spanwire_tls_options server = server_from_files(), client = client_from_files();
  server.ca_pem = ca.text;
  server.ca_pem_len = ca.len;
  client.certificate_pem = cert.text;
  client.certificate_pem_len = cert.len;
  client.key_pem = key.text;
  client.key_pem_len = key.len;
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_OK);
  CHECK(certificate > 100);

  client = client_from_files();
  client.certificate_file = path_of("client.pem");
  client.key_file = path_of("client.key");
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_OK);
  CHECK(certificate > 100);

  client = client_from_files();
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_UNAVAILABLE);
  server.client_certificate_optional = true;
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_OK);
  CHECK_EQ(certificate, 0);
}

static void strangers_are_refused(void) {
  spanwire_tls_options server = server_from_files(), client = client_from_files();
  client.ca_file = path_of("other.pem");
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_UNAVAILABLE);
  CHECK_HAS(said, "certificate");
  client.danger_accept_any_certificate = true;
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_OK);
}

static void name_must_be_the_certificates(void) {
  spanwire_tls_options server = server_from_files(), client = client_from_files();
  server.certificate_file = path_of("named.pem");
  server.key_file = path_of("named.key");
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_UNAVAILABLE);
  CHECK_HAS(said, "localhost");
  client.server_name = "shop.example";
  CHECK_EQ(outcome(&server, &client, "localhost", said, &certificate), SPANWIRE_CODE_OK);
}

static void plaintext_and_tls_do_not_mix(void) {
  spanwire_tls_options server = server_from_files(), client = client_from_files();
  CHECK_EQ(outcome(&server, NULL, "localhost", said, &certificate), SPANWIRE_CODE_UNAVAILABLE);
  CHECK_EQ(outcome(NULL, &client, "localhost", said, &certificate), SPANWIRE_CODE_UNAVAILABLE);
}

static void channel_refuses(const spanwire_tls_options *tls, const char *part) {
  spanwire_channel_options options = {.size = sizeof options, .tls = tls};
  CHECK(spanwire_channel_new(NULL, "localhost:1", &options) == NULL);
  CHECK_HAS(spanwire_last_error(), part);
}

static void server_refuses(const spanwire_tls_options *tls, const char *part) {
  spanwire_server_options options = {.size = sizeof options, .tls = tls};
  spanwire_server *server = spanwire_server_new(NULL, &options);
  /* What is only found out by reading the files may be said by listen. */
  if (server != NULL) CHECK(spanwire_server_listen(server, "127.0.0.1:0") < 0);
  CHECK_HAS(spanwire_last_error(), part);
  spanwire_server_free(server);
}

static void mistakes_are_named(void) {
  spanwire_tls_options tls = client_from_files();
  tls.ca_file = path_of("nowhere.pem");
  channel_refuses(&tls, "nowhere.pem");
  tls = client_from_files();
  tls.ca_pem = "x";
  tls.ca_pem_len = 1;
  channel_refuses(&tls, "no certificate found in PEM");
  tls = client_from_files();
  tls.certificate_file = path_of("client.pem");
  channel_refuses(&tls, "key");
  tls = (spanwire_tls_options){.size = sizeof tls, .ca_pem = "no PEM", .ca_pem_len = 6};
  channel_refuses(&tls, "ca");

  tls = (spanwire_tls_options){.size = sizeof tls};
  server_refuses(&tls, "certificate");
  tls = server_from_files();
  tls.key_file = path_of("client.key");
  server_refuses(&tls, "key");
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(from_files),
      TEST(from_memory),
      TEST(mutual),
      TEST(strangers_are_refused),
      TEST(name_must_be_the_certificates),
      TEST(plaintext_and_tls_do_not_mix),
      TEST(mistakes_are_named),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
