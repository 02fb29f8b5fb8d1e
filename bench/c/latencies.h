/* How long each of many rounds took, in little memory. */
#ifndef LATENCIES_H
#define LATENCIES_H

#include <stdint.h>

/* Buckets per doubling: the error of a percentile is below 1.6 %. */
#define LATENCY_STEPS 64
#define LATENCY_BUCKETS ((64 - 6 + 1) * LATENCY_STEPS)

/* A histogram of durations; all zeros is an empty one. */
struct latencies {
  uint64_t counts[LATENCY_BUCKETS];
};

/* Takes one duration in. */
void latencies_add(struct latencies *latencies, uint64_t nanos);

/* The duration that `share` (0 to 1) of all stay within, in microseconds; 0 if there are none. */
double latencies_percentile_us(const struct latencies *latencies, double share);

#endif
