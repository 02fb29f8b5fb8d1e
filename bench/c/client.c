/* Loads a server of bench.v1.Echo and prints what it did as one line of JSON:
 *
 *     client PORT SECONDS IN_FLIGHT BODY_BYTES unary|ping_pong|down|up
 */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Takes all events that there are, and hands over what they lead to with one wake-up. */
static void handle_events(const struct mode *mode, struct load *load) {
  spanwire_event events[EVENTS];
  const int32_t count = spanwire_queue_next(load->queue, events, EVENTS, -1);
  must(count, "waiting for events");
  spanwire_batch_begin();
  for (int32_t index = 0; index < count; index++) mode->on_event(events[index].tag, &events[index]);
  spanwire_batch_end();
  spanwire_events_free(events, (size_t)count);
}

/* Runs all workers for the time that was asked for; returns how long it was. */
static uint64_t run(const struct mode *mode, struct load *load, struct worker *workers) {
  spanwire_batch_begin();
  for (uint32_t index = 0; index < load->workers; index++) mode->open(&workers[index]);
  spanwire_batch_end();
  while (load->ready < load->workers) handle_events(mode, load);

  const uint64_t began = now_ns();
  load->end_ns = began + load->duration_ns;
  spanwire_batch_begin();
  for (uint32_t index = 0; index < load->workers; index++) mode->go(&workers[index]);
  spanwire_batch_end();
  while (load->ended < load->workers) handle_events(mode, load);
  return now_ns() - began;
}

static void print_result(const struct load *load, uint64_t took_ns, uint64_t events, uint64_t wakes) {
  printf("{\"calls\": %llu, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"wakes_per_event\": %.4f}\n",
         (unsigned long long)load->calls, (double)took_ns / 1e9, latencies_percentile_us(&load->latencies, 0.5),
         latencies_percentile_us(&load->latencies, 0.99), events > 0 ? (double)wakes / (double)events : 0.0);
}

static const struct mode *mode_named(const char *name) {
  for (size_t index = 0; index < MODE_COUNT; index++) {
    if (strcmp(MODES[index].name, name) == 0) return &MODES[index];
  }
  fail("there is no mode %s", name);
}

int main(int argc, char **argv) {
  if (argc != 6) fail("usage: client PORT SECONDS IN_FLIGHT BODY_BYTES MODE");
  const struct mode *mode = mode_named(argv[5]);
  const struct block block = {.body_len = (size_t)number(argv[4])};
  size_t len = 0;
  /* Never freed: the library may still send it when the program ends. */
  const uint8_t *data = block_encode(&block, &len);
  char target[64];
  snprintf(target, sizeof target, "127.0.0.1:%s", argv[1]);

  static struct load load;
  load.channel = spanwire_channel_new(NULL, target, NULL);
  if (load.channel == NULL) fail("%s: %s", target, spanwire_last_error());
  load.queue = spanwire_queue_new();
  load.message = buffer_of(data, len);
  load.body_len = block.body_len;
  load.duration_ns = (uint64_t)(strtod(argv[2], NULL) * 1e9);
  load.workers = (uint32_t)number(argv[3]);
  struct worker *workers = calloc(load.workers, sizeof *workers);
  if (workers == NULL || load.workers == 0) fail("no workers");
  for (uint32_t index = 0; index < load.workers; index++) workers[index].load = &load;

  uint64_t events = 0, wakes = 0;
  const uint64_t took = run(mode, &load, workers);
  spanwire_queue_stats(load.queue, &events, &wakes);
  print_result(&load, took, events, wakes);

  spanwire_channel_free(load.channel);
  spanwire_queue_free(load.queue);
  free(workers);
  return 0;
}
