#include "latencies.h"

#include <stddef.h>

/* Linear up to LATENCY_STEPS, then LATENCY_STEPS buckets for each doubling. */
static size_t bucket_of(uint64_t nanos) {
  size_t doublings = 0;
  for (uint64_t rest = nanos; rest >= 2 * LATENCY_STEPS; rest >>= 1) doublings++;
  return doublings * LATENCY_STEPS + (size_t)(nanos >> doublings);
}

static uint64_t lowest_nanos(size_t bucket) {
  if (bucket < 2 * LATENCY_STEPS) return bucket;
  const size_t doublings = bucket / LATENCY_STEPS - 1;
  return (uint64_t)(bucket % LATENCY_STEPS + LATENCY_STEPS) << doublings;
}

void latencies_add(struct latencies *latencies, uint64_t nanos) { latencies->counts[bucket_of(nanos)]++; }

double latencies_percentile_us(const struct latencies *latencies, double share) {
  uint64_t total = 0, seen = 0;
  for (size_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++) total += latencies->counts[bucket];
  for (size_t bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
    seen += latencies->counts[bucket];
    if (seen > 0 && (double)seen >= (double)total * share) return (double)lowest_nanos(bucket) / 1e3;
  }
  return 0;
}
