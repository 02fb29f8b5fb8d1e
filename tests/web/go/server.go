// A server of grpc.testing.TestService on connect-go, whose handlers speak gRPC-Web.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	pb "google.golang.org/grpc/interop/grpc_testing"
)

const (
	service  = "/grpc.testing.TestService/"
	initial  = "X-Grpc-Test-Echo-Initial"
	trailing = "X-Grpc-Test-Echo-Trailing-Bin"
)

// An error if the request asks for one; one of code 9 has a detail.
func asked(status *pb.EchoStatus) error {
	if status.GetCode() == 0 {
		return nil
	}
	err := connect.NewError(connect.Code(status.GetCode()), errors.New(status.GetMessage()))
	if err.Code() == connect.CodeFailedPrecondition {
		detail, _ := connect.NewErrorDetail(&errdetails.ErrorInfo{Reason: "ASKED_FOR", Domain: "spanwire.test"})
		err.AddDetail(detail)
	}
	return err
}

func echo(from, headers, trailers http.Header) {
	if value := from.Get(initial); value != "" {
		headers.Set(initial, value)
	}
	if value := from.Get(trailing); value != "" {
		trailers.Set(trailing, value)
	}
}

func unary(_ context.Context, request *connect.Request[pb.SimpleRequest]) (*connect.Response[pb.SimpleResponse], error) {
	if err := asked(request.Msg.GetResponseStatus()); err != nil {
		return nil, err
	}
	body := make([]byte, request.Msg.GetResponseSize())
	response := connect.NewResponse(&pb.SimpleResponse{Payload: &pb.Payload{Body: body}})
	echo(request.Header(), response.Header(), response.Trailer())
	return response, nil
}

func output(ctx context.Context, request *connect.Request[pb.StreamingOutputCallRequest], stream *connect.ServerStream[pb.StreamingOutputCallResponse]) error {
	echo(request.Header(), stream.ResponseHeader(), stream.ResponseTrailer())
	for _, parameters := range request.Msg.GetResponseParameters() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(parameters.GetIntervalUs()) * time.Microsecond):
		}
		body := make([]byte, parameters.GetSize())
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: body}}); err != nil {
			return err
		}
	}
	return asked(request.Msg.GetResponseStatus())
}

func input(_ context.Context, stream *connect.ClientStream[pb.StreamingInputCallRequest]) (*connect.Response[pb.StreamingInputCallResponse], error) {
	var sum int32
	for stream.Receive() {
		sum += int32(len(stream.Msg().GetPayload().GetBody()))
	}
	if err := stream.Err(); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return connect.NewResponse(&pb.StreamingInputCallResponse{AggregatedPayloadSize: sum}), nil
}

func empty(context.Context, *connect.Request[pb.Empty]) (*connect.Response[pb.Empty], error) {
	return connect.NewResponse(&pb.Empty{}), nil
}

func unimplemented(context.Context, *connect.Request[pb.Empty]) (*connect.Response[pb.Empty], error) {
	return nil, connect.NewError(connect.CodeUnimplemented, errors.New("not here"))
}

// Lets pages of one origin call.
func cors(origin string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers := w.Header()
		headers.Set("Vary", "Origin")
		if r.Header.Get("Origin") == origin {
			headers.Set("Access-Control-Allow-Origin", origin)
			headers.Set("Access-Control-Allow-Methods", "POST")
			headers.Set("Access-Control-Allow-Headers", "content-type, x-grpc-web, x-user-agent, grpc-timeout, "+initial+", "+trailing)
			headers.Set("Access-Control-Expose-Headers", "grpc-status, grpc-message, grpc-status-details-bin, grpc-encoding, "+initial)
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func main() {
	port := flag.Int("port", 0, "where to listen, on 127.0.0.1")
	origin := flag.String("origin", "", "whose pages may call")
	flag.Parse()

	mux := http.NewServeMux()
	mux.Handle(service+"EmptyCall", connect.NewUnaryHandler(service+"EmptyCall", empty))
	mux.Handle(service+"UnimplementedCall", connect.NewUnaryHandler(service+"UnimplementedCall", unimplemented))
	mux.Handle(service+"UnaryCall", connect.NewUnaryHandler(service+"UnaryCall", unary))
	mux.Handle(service+"StreamingOutputCall", connect.NewServerStreamHandler(service+"StreamingOutputCall", output))
	mux.Handle(service+"StreamingInputCall", connect.NewClientStreamHandler(service+"StreamingInputCall", input))
	log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *port), cors(*origin, mux)))
}
