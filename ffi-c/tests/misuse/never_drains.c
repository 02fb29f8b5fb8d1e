/* Clients and servers whose queues nobody drains. What waits is bounded: of a client by the calls that it started
 * and the credit it gave them, of a server by max_concurrent_streams of each connection and the credit of its
 * methods. */
// within 60
#include "misuse.h"

/* Kilobytes of memory that this process uses. */
static long resident_kib(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  long pages = 0, resident = 0;
  CHECK(file != NULL && fscanf(file, "%ld %ld", &pages, &resident) == 2);
  fclose(file);
  return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

enum { CALLS = 20000, SIZE = 4096, MIB = 1024 };

/* A process of its own starts far more calls than the server may hold. */
static void flood(const char *target) {
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, target, NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  char *data = calloc(1, SIZE);
  for (int i = 0; i < CALLS; i++) {
    TRY(spanwire_call_unary(channel, UNARY, &(spanwire_buffer){.data = data, .len = SIZE}, NULL, queue, NULL,
                            NULL));
  }
  spanwire_event event;
  spanwire_queue_next(queue, &event, 1, -1);
}

static void server_that_takes_no_request(void) {
  int pipes[2];
  CHECK_EQ(pipe(pipes), 0);
  pid_t child = fork();
  if (child == 0) {
    char target[256] = "";
    CHECK(read(pipes[0], target, sizeof target) > 0);
    flood(target);
    _exit(0);
  }
  pair pair;
  pair_open(&pair, (pair_options){0});
  CHECK(write(pipes[1], pair.target, sizeof pair.target) > 0);
  uint64_t events = 0, wakes = 0;
  while (events < 100) {
    spanwire_queue_stats(pair.requests, &events, &wakes);
    usleep(1000);
  }
  long before = resident_kib();
  usleep(1500000); /* Time enough for all that the client has to say. */
  spanwire_queue_stats(pair.requests, &events, &wakes);
  CHECK(events <= 256);
  CHECK(resident_kib() - before < 32 * MIB);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  pair_close(&pair);
}

static void client_that_takes_no_message(void) {
  peer peer;
  peer_start(&peer, NULL, NULL);
  spanwire_channel *channel = MADE(spanwire_channel_new(NULL, peer.target, NULL));
  spanwire_queue *queue = MADE(spanwire_queue_new());
  spanwire_call_options options = {.size = sizeof options, .credit = 4};
  spanwire_call *call = NULL;
  TRY(spanwire_call_start(channel, SERVER_STREAMING, SPANWIRE_KIND_SERVER_STREAMING, &options, queue, NULL, &call));
  TRY(spanwire_call_send(call, TEXT("1000000 10000")));
  uint64_t events = 0, wakes = 0;
  while (events < 2) {
    spanwire_queue_stats(queue, &events, &wakes);
    usleep(1000);
  }
  long before = resident_kib();
  usleep(1000000);
  CHECK(resident_kib() - before < 32 * MIB);
  spanwire_queue_stats(queue, &events, &wakes);
  CHECK(events <= 5); /* HEADERS and at most four MESSAGES. */
  spanwire_call_free(call);
  spanwire_channel_free(channel);
  spanwire_queue_free(queue);
  peer_stop(&peer);
}

int main(void) {
  server_that_takes_no_request();
  client_that_takes_no_message();
  return 0;
}
