// Loads a server of bench.v1.Echo with grpc-go and prints what it did as one line of JSON.
package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"spanwire.test/bench/echopb"
)

// A worker is one of the tasks that load a server: a caller of unary calls, or one stream.
type worker interface {
	// round is one call, or one message of a stream.
	round() error
	// finish comes after the last round; sent counts all of them.
	finish(sent int64) error
}

type unary struct {
	client echopb.EchoClient
	block  *echopb.Block
}

func (w *unary) round() error {
	reply, err := w.client.Unary(context.Background(), w.block)
	return check(w.block, reply, err)
}

func (w *unary) finish(int64) error { return nil }

type pingPong struct {
	stream grpc.BidiStreamingClient[echopb.Block, echopb.Block]
	block  *echopb.Block
}

func (w *pingPong) round() error {
	if err := w.stream.Send(w.block); err != nil {
		return err
	}
	reply, err := w.stream.Recv()
	return check(w.block, reply, err)
}

func (w *pingPong) finish(int64) error { return nil }

type down struct {
	replies grpc.ServerStreamingClient[echopb.Block]
}

func (w *down) round() error {
	_, err := w.replies.Recv()
	return err
}

func (w *down) finish(int64) error { return nil }

type up struct {
	requests grpc.ClientStreamingClient[echopb.Block, echopb.Block]
	block    *echopb.Block
}

func (w *up) round() error { return w.requests.Send(w.block) }

func (w *up) finish(sent int64) error {
	counted, err := w.requests.CloseAndRecv()
	if err == nil && counted.Count != uint64(sent) {
		err = fmt.Errorf("sent %d messages, the server has seen %d", sent, counted.Count)
	}
	return err
}

func check(sent, received *echopb.Block, err error) error {
	if err == nil && len(sent.Body) != len(received.Body) {
		err = fmt.Errorf("sent %d bytes, %d came back", len(sent.Body), len(received.Body))
	}
	return err
}

func open(client echopb.EchoClient, mode string, size int) (worker, error) {
	block := &echopb.Block{Body: make([]byte, size)}
	switch mode {
	case "unary":
		return &unary{client, block}, nil
	case "ping_pong":
		stream, err := client.Bidi(context.Background())
		return &pingPong{stream, block}, err
	case "down":
		wish := &echopb.Block{Count: math.MaxUint64, SizeBytes: uint64(size)}
		replies, err := client.Down(context.Background(), wish)
		return &down{replies}, err
	case "up":
		requests, err := client.Up(context.Background())
		return &up{requests, block}, err
	}
	return nil, fmt.Errorf("no mode %q: unary, ping_pong, down or up", mode)
}

// Done is what one worker did.
type done struct {
	calls     int64
	latencies latencies
	err       error
}

func work(w worker, timed bool, batch int64, begin <-chan struct{}, duration time.Duration) (result done) {
	<-begin
	began := time.Now()
	if timed {
		for last := began; last.Sub(began) < duration; {
			if result.err = w.round(); result.err != nil {
				return result
			}
			now := time.Now()
			result.latencies.add(now.Sub(last))
			result.calls++
			last = now
		}
	} else {
		for time.Since(began) < duration {
			for range batch {
				if result.err = w.round(); result.err != nil {
					return result
				}
			}
			result.calls += batch
		}
	}
	// One more: the round before the start.
	result.err = w.finish(result.calls + 1)
	return result
}

func run(port string, seconds float64, inFlight, size int, mode string) error {
	connection, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	client := echopb.NewEchoClient(connection)
	timed := mode == "unary" || mode == "ping_pong"
	// Looking at the clock takes as long as a small message does.
	batch := max(1, int64(64*1024/max(size, 256)))
	begin := make(chan struct{})
	results := make([]done, inFlight)
	var running sync.WaitGroup
	for index := range results {
		w, err := open(client, mode, size)
		if err != nil {
			return err
		}
		// Connecting and the start of a stream are no part of what is measured.
		if err := w.round(); err != nil {
			return err
		}
		running.Go(func() {
			results[index] = work(w, timed, batch, begin, time.Duration(seconds*float64(time.Second)))
		})
	}
	began := time.Now()
	close(begin)
	running.Wait()
	elapsed := time.Since(began).Seconds()
	var total done
	for _, result := range results {
		total.calls += result.calls
		total.latencies.merge(&result.latencies)
		total.err = errors.Join(total.err, result.err)
	}
	if total.err != nil {
		return total.err
	}
	fmt.Printf("{\"calls\": %d, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
		total.calls, elapsed, total.latencies.percentileMicros(0.5), total.latencies.percentileMicros(0.99))
	return nil
}

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: client PORT SECONDS IN_FLIGHT SIZE MODE")
		os.Exit(2)
	}
	seconds, err1 := strconv.ParseFloat(os.Args[2], 64)
	inFlight, err2 := strconv.Atoi(os.Args[3])
	size, err3 := strconv.Atoi(os.Args[4])
	err := errors.Join(err1, err2, err3)
	if err == nil {
		err = run(os.Args[1], seconds, inFlight, size, os.Args[5])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
