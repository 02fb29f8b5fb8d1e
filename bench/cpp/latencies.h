// How long each of many rounds took, in little memory.

#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>
#include <vector>

// A histogram of durations: linear up to `kSteps` nanoseconds, then `kSteps` buckets for each doubling.
class Latencies {
 public:
  void Add(std::chrono::nanoseconds duration) {
    const auto nanos = static_cast<uint64_t>(duration.count());
    uint64_t bucket = nanos;
    if (nanos >= kSteps) {
      const int doubling = 63 - __builtin_clzll(nanos) - kStepBits;
      bucket = (doubling + 1) * kSteps + (nanos >> doubling) - kSteps;
    }
    counts_[bucket]++;
  }

  void Merge(const Latencies &other) {
    for (size_t bucket = 0; bucket < counts_.size(); bucket++) counts_[bucket] += other.counts_[bucket];
  }

  // The duration that `share` (0 to 1) of all stay within, in microseconds; 0 if there are none.
  double PercentileMicros(double share) const {
    uint64_t total = 0;
    for (const uint64_t count : counts_) total += count;
    const auto rank = static_cast<uint64_t>(std::ceil(static_cast<double>(total) * share));
    uint64_t seen = 0;
    for (uint64_t bucket = 0; bucket < counts_.size(); bucket++) {
      seen += counts_[bucket];
      if (seen < rank || seen == 0) continue;
      const uint64_t lowest = bucket < kSteps ? bucket : (bucket % kSteps + kSteps) << (bucket / kSteps - 1);
      return static_cast<double>(lowest) / 1e3;
    }
    return 0;
  }

 private:
  static constexpr int kStepBits = 6;
  // Buckets per doubling: the error of a percentile is below 1.6 %.
  static constexpr uint64_t kSteps = 1 << kStepBits;

  std::vector<uint64_t> counts_ = std::vector<uint64_t>((64 - kStepBits + 1) * kSteps);
};
