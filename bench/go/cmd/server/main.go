// Serves bench.v1.Echo with grpc-go until it is killed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"spanwire.test/bench/echopb"
)

// The largest body that is sent on request, in bytes.
const maxBodyBytes = 64 << 20

type service struct {
	echopb.UnimplementedEchoServer
}

func (service) Unary(_ context.Context, request *echopb.Block) (*echopb.Block, error) {
	return request, nil
}

func (service) Down(request *echopb.Block, replies grpc.ServerStreamingServer[echopb.Block]) error {
	if request.SizeBytes > maxBodyBytes {
		return status.Error(codes.InvalidArgument, "size_bytes is too large")
	}
	block := &echopb.Block{Body: make([]byte, request.SizeBytes)}
	for range request.Count {
		if err := replies.Send(block); err != nil {
			return err
		}
	}
	return nil
}

func (service) Up(requests grpc.ClientStreamingServer[echopb.Block, echopb.Block]) error {
	counted := &echopb.Block{}
	for {
		block, err := requests.Recv()
		if errors.Is(err, io.EOF) {
			return requests.SendAndClose(counted)
		}
		if err != nil {
			return err
		}
		counted.Count++
		counted.SizeBytes += uint64(len(block.Body))
	}
}

func (service) Bidi(stream grpc.BidiStreamingServer[echopb.Block, echopb.Block]) error {
	for {
		block, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := stream.Send(block); err != nil {
			return err
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: server PORT")
		os.Exit(2)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err == nil {
		server := grpc.NewServer()
		echopb.RegisterEchoServer(server, service{})
		err = server.Serve(listener)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
