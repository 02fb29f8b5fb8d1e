// Package services pins the tools that read the services of a server, so that
// `go build` in this folder makes exactly the versions that go.mod and go.sum name.
//
// Nothing here is compiled into Spanwire: the build tag is never set, the
// imports only keep the modules in go.mod.
//
//go:build tools

package services

import (
	_ "github.com/fullstorydev/grpcurl/cmd/grpcurl"
	_ "github.com/grpc-ecosystem/grpc-health-probe"
)
