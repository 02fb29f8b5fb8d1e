// Messages as they came: grpc C++ shows a program no message flags. But it can be told to leave compressed
// messages as they are, and then their first bytes tell.

#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/grpcpp.h>

// The channel argument, of a channel or of a server: 0 leaves compressed messages to the program.
inline constexpr char kDecompress[] = GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION;

// What is known of a message besides its content.
struct Arrived {
  bool parsed = false;
  bool compressed = false;
};

// Reads a message, after decompressing it if it is compressed (by gzip; nobody here asks for anything else).
Arrived ParseAsItCame(const grpc::ByteBuffer &bytes, google::protobuf::MessageLite &message);

// The bytes that a message is sent as.
grpc::ByteBuffer ToBytes(const google::protobuf::MessageLite &message);
