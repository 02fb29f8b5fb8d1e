// Command honest makes calls that look like an attack from afar, with grpc-go,
// against the server of tests/attack: no guard may stop them. Every part uses
// one connection, and says so if it needed another.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	echo = "/attack.Target/Echo"
	wait = "/attack.Target/Wait"
	down = "/attack.Target/Down"
)

// plain hands messages over as they are.
type plain struct{}

func (plain) Name() string                  { return "proto" }
func (plain) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (plain) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// client counts its connections.
type client struct {
	*grpc.ClientConn
	dials atomic.Int32
}

func dial(address string) (*client, error) {
	c := &client{}
	dialer := func(ctx context.Context, to string) (net.Conn, error) {
		c.dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, "tcp", to)
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dialer),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(plain{})))
	c.ClientConn = conn
	return c, err
}

func (c *client) call(ctx context.Context, method, text string) (string, error) {
	request, answer := []byte(text), []byte(nil)
	err := c.Invoke(ctx, method, &request, &answer)
	return string(answer), err
}

// echoes says whether an ordinary call succeeds.
func (c *client) echoes(ctx context.Context) error {
	answer, err := c.call(ctx, echo, "hello")
	if err == nil && answer != "hello" {
		err = fmt.Errorf("the echo is %q", answer)
	}
	return err
}

// f1 reads 10 000 messages of 600 bytes and pauses for two seconds on the way.
func f1(ctx context.Context, c *client) error {
	stream, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, down)
	if err != nil {
		return err
	}
	request := []byte("10000 600")
	if err := stream.SendMsg(&request); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		var message []byte
		err := stream.RecvMsg(&message)
		if err == io.EOF && n == 10000 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d messages: %w", n, err)
		}
		if n == 1000 {
			time.Sleep(2 * time.Second)
		}
	}
}

// f2 makes 5 000 calls that end by deadlines of 1 to 5 ms, 50 at a time.
func f2(ctx context.Context, c *client) error {
	errs := make(chan error, 50)
	for range 50 {
		go func() {
			for n := range 100 {
				short, cancel := context.WithTimeout(ctx, time.Duration(1+n%5)*time.Millisecond)
				_, err := c.call(short, wait, "")
				cancel()
				if status.Code(err) != codes.DeadlineExceeded {
					errs <- fmt.Errorf("call %d: %v", n, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range 50 {
		if err := <-errs; err != nil {
			return err
		}
	}
	return nil
}

// f3 cancels 200 calls at once, and then makes 200 more.
func f3(ctx context.Context, c *client) error {
	all, cancel := context.WithCancel(ctx)
	var calls sync.WaitGroup
	for range 200 {
		stream, err := c.NewStream(all, &grpc.StreamDesc{}, wait)
		if err != nil {
			cancel()
			return err
		}
		request := []byte("")
		if err := stream.SendMsg(&request); err != nil {
			cancel()
			return err
		}
		calls.Go(func() {
			var answer []byte
			_ = stream.RecvMsg(&answer)
		})
	}
	cancel()
	calls.Wait()
	for range 200 {
		if err := c.echoes(ctx); err != nil {
			return err
		}
	}
	return nil
}

// f5 sends a hundred fields of metadata, 7.9 KiB as HTTP/2 counts them.
func f5(ctx context.Context, c *client) error {
	for n := range 100 {
		ctx = metadata.AppendToOutgoingContext(ctx, fmt.Sprintf("x-field-%03d", n), strings.Repeat("v", 37))
	}
	return c.echoes(ctx)
}

func run(address, name string, part func(context.Context, *client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.echoes(ctx); err != nil {
		return err
	}
	if err := part(ctx, c); err != nil {
		return err
	}
	if err := c.echoes(ctx); err != nil {
		return fmt.Errorf("afterwards: %w", err)
	}
	if dials := c.dials.Load(); dials != 1 {
		return fmt.Errorf("it took %d connections", dials)
	}
	fmt.Printf("grpc-go: %s passes\n", name)
	return nil
}

func main() {
	parts := []struct {
		name string
		part func(context.Context, *client) error
	}{
		{"F1, many small messages and a pause", f1},
		{"F2, thousands of short deadlines", f2},
		{"F3, two hundred cancels at once", f3},
		{"F5, a hundred fields of metadata", f5},
	}
	for _, p := range parts {
		if err := run(os.Args[1], p.name, p.part); err != nil {
			fmt.Fprintf(os.Stderr, "grpc-go: %s: %v\n", p.name, err)
			os.Exit(1)
		}
	}
}
