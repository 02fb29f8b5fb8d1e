#include "message.h"

#include <stdlib.h>

#include "fail.h"

spanwire_buffer message_pack(const void *message, uint32_t flags) {
  const size_t size = protobuf_c_message_get_packed_size(message);
  uint8_t *data = must_allocate(size);
  protobuf_c_message_pack(message, data);
  return (spanwire_buffer){.data = data, .len = size, .flags = flags, .release = free, .context = data};
}

void *message_unpack(const ProtobufCMessageDescriptor *type, const spanwire_bytes *bytes) {
  return protobuf_c_message_unpack(type, NULL, bytes->len, bytes->data);
}

void message_free(void *message) { protobuf_c_message_free_unpacked(message, NULL); }
