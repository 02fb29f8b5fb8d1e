/* gRPC-Web: which pages may call, and what their browsers are told. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "peer.h"

#define PAGE "https://page.example"

static char answer[4096];

/* What the server says to these bytes before it closes the connection; its length. */
static size_t exchange(peer *peer, const char *head, const char *body, size_t body_len) {
  int socket_ = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)TRY(spanwire_server_port(peer->server)))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK_EQ(connect(socket_, (struct sockaddr *)&address, sizeof address), 0);
  CHECK_EQ(send(socket_, head, strlen(head), 0), (ssize_t)strlen(head));
  CHECK_EQ(send(socket_, body, body_len, 0), (ssize_t)body_len);
  size_t len = 0;
  for (ssize_t more; (more = recv(socket_, answer + len, sizeof answer - 1 - len, 0)) > 0;) len += (size_t)more;
  answer[len] = 0;
  close(socket_);
  return len;
}

static void preflight(peer *peer, const char *page) {
  char head[512];
  snprintf(head, sizeof head,
           "OPTIONS " UNARY
           " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: %s\r\n"
           "Access-Control-Request-Method: POST\r\n\r\n",
           page);
  exchange(peer, head, "", 0);
}

static const char *const origins[] = {"https://other.example", PAGE};
static const char *const allowed[] = {"authorization"};
static const char *const exposed[] = {"x-cost", "x-id"};

static void pages_that_are_listed_may_call(void) {
  spanwire_web_options web = {.size = sizeof web,
                              .origins = origins,
                              .origin_count = 2,
                              .allow_headers = allowed,
                              .allow_header_count = 1,
                              .expose_headers = exposed,
                              .expose_header_count = 2,
                              .max_age_ms = -1,
                              .allow_credentials = true};
  spanwire_server_options options = {.size = sizeof options, .web = &web};
  peer peer;
  peer_start(&peer, "127.0.0.1:0", &options);
  preflight(&peer, PAGE);
  CHECK_HAS(answer, "HTTP/1.1 204 ");
  CHECK_HAS(answer, "access-control-allow-origin: " PAGE "\r\n");
  CHECK_HAS(answer, "access-control-allow-credentials: true\r\n");
  CHECK_HAS(answer, ", authorization\r\n");
  CHECK_HAS(answer, "access-control-max-age: 0\r\n");
  preflight(&peer, "https://page.example.evil");
  CHECK_HAS(answer, "HTTP/1.1 403 ");

  static const char call[] = "POST " UNARY " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: " PAGE
                             "\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: 7\r\n\r\n";
  size_t len = exchange(&peer, call, "\0\0\0\0\2hi", 7);
  CHECK_HAS(answer, "HTTP/1.1 200 ");
  CHECK_HAS(answer, ", x-cost, x-id\r\n");
  /* The last chunk, behind the one with the trailers. */
  static const char end[] = "grpc-status: 0\r\n\r\n0\r\n\r\n";
  CHECK(len > sizeof end && strcmp(answer + len - (sizeof end - 1), end) == 0);
  peer_stop(&peer);
}

static void browsers_remember_for_two_hours_by_default(void) {
  static const char *const any[] = {"*"};
  spanwire_web_options web = {.size = sizeof web, .origins = any, .origin_count = 1};
  spanwire_server_options options = {.size = sizeof options, .web = &web};
  peer peer;
  peer_start(&peer, "127.0.0.1:0", &options);
  preflight(&peer, PAGE);
  CHECK_HAS(answer, "access-control-allow-origin: *\r\n");
  CHECK_HAS(answer, "access-control-max-age: 7200\r\n");
  peer_stop(&peer);
}

static void origins_that_are_none_are_errors(void) {
  static const char *const bad[] = {"page.example"};
  spanwire_web_options web = {.size = sizeof web, .origins = bad, .origin_count = 1};
  spanwire_server_options options = {.size = sizeof options, .web = &web};
  spanwire_queue *requests = MADE(spanwire_queue_new());
  spanwire_server *server = server_with_methods(&options, requests, 1);
  CHECK(spanwire_server_listen(server, "127.0.0.1:0") < 0);
  CHECK_HAS(spanwire_last_error(), "web.origins: \"page.example\" cannot be used");
  spanwire_server_free(server);
  spanwire_queue_free(requests);
}

int main(int argc, char **argv) {
  static const test tests[] = {
      TEST(pages_that_are_listed_may_call),
      TEST(browsers_remember_for_two_hours_by_default),
      TEST(origins_that_are_none_are_errors),
  };
  return run_tests(tests, COUNT_OF(tests), argc, argv);
}
