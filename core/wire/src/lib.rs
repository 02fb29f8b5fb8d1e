//! The gRPC wire protocol, sans-IO.
