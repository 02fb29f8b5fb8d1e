/* SIGPIPE kills this process, as is the default of C programs; and a thousand connections are reset under both
 * sides. */
// within 60
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "misuse.h"

enum { RESETS = 1000 };

static const unsigned char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

/* Closes with a reset instead of a farewell. Behind an orderly end of one direction, whatever the other side writes
 * then is EPIPE at once, and not ECONNRESET first. */
static void reset(int connection) {
  shutdown(connection, SHUT_WR);
  struct linger linger = {.l_onoff = 1, .l_linger = 0};
  setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
  close(connection);
}

static void clients_reset_a_server(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)TRY(spanwire_server_port(peer.server))),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < RESETS; i++) {
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect(connection, (struct sockaddr *)&address, sizeof address), 0);
    /* What the server answers to this meets the reset. */
    CHECK(send(connection, preface, sizeof preface - 1, MSG_NOSIGNAL) > 0);
    char answer[64];
    if (i % 2 == 0) recv(connection, answer, sizeof answer, 0);
    reset(connection);
  }
  call_once(peer.target);
  peer_stop(&peer);
}

static int listener_for(char *target, size_t capacity) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  CHECK_EQ(bind(listener, (struct sockaddr *)&address, len), 0);
  CHECK_EQ(listen(listener, 64), 0);
  CHECK_EQ(getsockname(listener, (struct sockaddr *)&address, &len), 0);
  snprintf(target, capacity, "127.0.0.1:%d", ntohs(address.sin_port));
  return listener;
}

static void *reset_all(void *listener) {
  for (;;) {
    int connection = accept(*(int *)listener, NULL, NULL);
    if (connection < 0) return NULL;
    reset(connection);
  }
}

static void servers_reset_clients(void) {
  char target[64];
  int listener = listener_for(target, sizeof target);
  pthread_t thread;
  pthread_create(&thread, NULL, reset_all, &listener);
  spanwire_queue *queue = MADE(spanwire_queue_new());
  static char large[256 * 1024];
  for (int i = 0; i < RESETS; i++) {
    spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, NULL));
    spanwire_buffer request = {.data = large, .len = i % 4 == 0 ? sizeof large : 0};
    TRY(spanwire_call_unary(channel, UNARY, &request, NULL, queue, NULL, NULL));
    EXPECT_DONE(queue, SPANWIRE_CODE_UNAVAILABLE, "");
    spanwire_channel_free(channel);
  }
  spanwire_queue_free(queue);
  shutdown(listener, SHUT_RDWR);
  pthread_join(thread, NULL);
  close(listener);
}

int main(void) {
  signal(SIGPIPE, SIG_DFL);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGPIPE);
  pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
  clients_reset_a_server();
  servers_reset_clients();
  /* The library has left the disposition and this thread's mask alone. */
  struct sigaction action;
  sigaction(SIGPIPE, NULL, &action);
  CHECK(action.sa_handler == SIG_DFL);
  pthread_sigmask(SIG_SETMASK, NULL, &signals);
  CHECK(!sigismember(&signals, SIGPIPE));
  return 0;
}
