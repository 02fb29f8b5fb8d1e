package main

import (
	"math"
	"math/bits"
	"time"
)

const (
	stepBits = 6
	// Buckets per doubling: the error of a percentile is below 1.6 %.
	steps = 1 << stepBits
)

// Latencies is a histogram of durations: linear up to `steps` nanoseconds, then `steps` buckets for each doubling.
type latencies struct {
	counts [(64 - stepBits + 1) * steps]int64
}

func (l *latencies) add(duration time.Duration) {
	nanos := uint64(duration)
	bucket := nanos
	if nanos >= steps {
		doubling := uint64(bits.Len64(nanos) - 1 - stepBits)
		bucket = (doubling+1)*steps + nanos>>doubling - steps
	}
	l.counts[bucket]++
}

func (l *latencies) merge(other *latencies) {
	for index, count := range other.counts {
		l.counts[index] += count
	}
}

// PercentileMicros is the duration that `share` (0 to 1) of all stay within; 0 if there are none.
func (l *latencies) percentileMicros(share float64) float64 {
	var total, seen int64
	for _, count := range l.counts {
		total += count
	}
	rank := int64(math.Ceil(float64(total) * share))
	for index, count := range l.counts {
		seen += count
		if seen >= rank && seen > 0 {
			lowest := uint64(index)
			if lowest >= steps {
				lowest = (lowest%steps + steps) << (lowest/steps - 1)
			}
			return float64(lowest) / 1e3
		}
	}
	return 0
}
