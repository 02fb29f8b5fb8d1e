// Package h2spec pins h2spec, so that `go build` in this folder makes exactly
// the version that go.mod and go.sum name.
//
// Nothing here is compiled into Spanwire: the build tag is never set, the
// imports only keep the modules in go.mod.
//
//go:build tools

package h2spec

import (
	_ "github.com/summerwind/h2spec/cmd/h2spec"
)
