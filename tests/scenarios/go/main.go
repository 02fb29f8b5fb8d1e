// The client of the scenarios on grpc-go.
//
// Calls at a steady rate until its standard input ends, and prints what came of each call, a line of JSON each. The
// settings are the one argument, in JSON.
package main

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/leastrequest"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/resolver/dns"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // outlier detection
)

type settings struct {
	Target         string  `json:"target"`
	ServiceConfig  string  `json:"service_config"`
	NameTTL        int     `json:"name_ttl_ms"`
	CallsPerSecond float64 `json:"calls_per_second"`
	Timeout        int     `json:"timeout_ms"`
	WaitForReady   bool    `json:"wait_for_ready"`
}

type outcome struct {
	Start   float64 `json:"start"`
	End     float64 `json:"end"`
	Status  string  `json:"status"`
	Backend string  `json:"backend"`
}

var output = struct {
	sync.Mutex
	*json.Encoder
}{Encoder: json.NewEncoder(os.Stdout)}

func say(line any) {
	output.Lock()
	defer output.Unlock()
	output.Encode(line)
}

func nowMs() float64 { return float64(time.Now().UnixMicro()) / 1000 }

func main() {
	var given settings
	if err := json.Unmarshal([]byte(os.Args[1]), &given); err != nil {
		log.Fatal(err)
	}
	// It asks for a name only when a connection is lost, and then not more often than this.
	dns.SetMinResolutionInterval(time.Duration(given.NameTTL) * time.Millisecond)
	channel, err := grpc.NewClient(given.Target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(given.ServiceConfig))
	if err != nil {
		say(map[string]string{"error": err.Error()})
		return
	}
	defer channel.Close()
	steady(given, testpb.NewTestServiceClient(channel))
}

// steady starts calls on time, whatever became of those before, and waits for the last.
func steady(given settings, client testpb.TestServiceClient) {
	stop := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	ticks := time.NewTicker(time.Duration(float64(time.Second) / given.CallsPerSecond))
	defer ticks.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for {
		calls.Go(func() { call(given, client) })
		select {
		case <-stop:
			return
		case <-ticks.C:
		}
	}
}

func call(given settings, client testpb.TestServiceClient) {
	start := nowMs()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(given.Timeout)*time.Millisecond)
	defer cancel()
	request := &testpb.SimpleRequest{FillServerId: true}
	response, err := client.UnaryCall(ctx, request, grpc.WaitForReady(given.WaitForReady))
	say(outcome{start, nowMs(), name(status.Code(err)), response.GetServerId()})
}

// name is that of a code in the specification.
func name(code codes.Code) string {
	switch code {
	case codes.OK:
		return "OK"
	case codes.Unavailable:
		return "UNAVAILABLE"
	case codes.DeadlineExceeded:
		return "DEADLINE_EXCEEDED"
	}
	return code.String()
}
