// Package interop pins grpc-go's own interop programs, so that `go build` in
// this folder makes exactly the versions that go.mod and go.sum name.
//
// Nothing here is compiled into Spanwire: the build tag is never set, the
// imports only keep the modules in go.mod.
//
//go:build tools

package interop

import (
	_ "google.golang.org/grpc/interop/client"
	_ "google.golang.org/grpc/interop/http2"
	_ "google.golang.org/grpc/interop/server"
)
