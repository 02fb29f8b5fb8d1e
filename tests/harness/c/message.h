/* Messages of protobuf-c there and back. */
#ifndef HARNESS_MESSAGE_H
#define HARNESS_MESSAGE_H

#include <protobuf-c/protobuf-c.h>
#include <spanwire.h>

/* The message encoded, in memory that the library frees when it has been sent. `message` is any struct that
 * protoc-c wrote; `flags` are of SPANWIRE_SEND. */
spanwire_buffer message_pack(const void *message, uint32_t flags);

/* The bytes decoded; null if they are no such message. Free it with message_free. */
void *message_unpack(const ProtobufCMessageDescriptor *type, const spanwire_bytes *bytes);

/* Frees what message_unpack gave; null is nothing to free. */
void message_free(void *message);

#endif
