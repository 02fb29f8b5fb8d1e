//go:build tools

// Package demo pins the programs that write zonespb; the build tag is never set.
package demo

import (
	_ "google.golang.org/grpc/cmd/protoc-gen-go-grpc"
	_ "google.golang.org/protobuf/cmd/protoc-gen-go"
)
