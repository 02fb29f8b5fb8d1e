//! Functions that generated source files share in kind: each file has those that it calls, for itself.

use super::runtime::Runtime;

/// The helpers that `code` calls, in an order that compiles.
pub(crate) fn needed(runtime: Runtime, code: &str) -> String {
    let library = match runtime {
        Runtime::ProtobufC => PROTOBUF_C,
        Runtime::Nanopb => NANOPB,
        Runtime::Bytes => &[],
    };
    let mut text = String::new();
    // From the last one, as each may call those before it.
    for (name, helper) in library.iter().chain(COMMON).rev() {
        let call = format!("{name}(");
        if code.contains(&call) || text.contains(&call) {
            text = format!("{helper}\n{text}");
        }
    }
    text
}

type Helper = (&'static str, &'static str);

const PROTOBUF_C: &[Helper] = &[
    (
        "pack_message",
        "\
/* Packs a message into memory that is handed over with the buffer. */
static spanwire_result pack_message(const ProtobufCMessage *message, uint32_t flags, spanwire_buffer *buffer) {
  if (message == NULL) {
    return spanwire_fail(SPANWIRE_INVALID_ARGUMENT, \"there is no message\");
  }
  size_t len = protobuf_c_message_get_packed_size(message);
  uint8_t *data = malloc(len > 0 ? len : 1);
  if (data == NULL) {
    return spanwire_fail(SPANWIRE_SYSTEM, \"no memory for a message\");
  }
  protobuf_c_message_pack(message, data);
  *buffer = (spanwire_buffer){.data = data, .len = len, .flags = flags, .release = free, .context = data};
  return SPANWIRE_DONE;
}
",
    ),
    (
        "unpack_message",
        "\
static ProtobufCMessage *unpack_message(const ProtobufCMessageDescriptor *type, const spanwire_bytes *bytes) {
  return protobuf_c_message_unpack(type, NULL, bytes->len, bytes->data);
}
",
    ),
    (
        "unpack_response",
        "\
/* A call whose response cannot be decoded has failed, with the status that the engine gives such calls. */
static ProtobufCMessage *unpack_response(const ProtobufCMessageDescriptor *type, spanwire_event *done,
                                         const char *undecodable) {
  if (done->type != SPANWIRE_EVENT_DONE || done->status.code != SPANWIRE_CODE_OK) {
    return NULL;
  }
  ProtobufCMessage *message = unpack_message(type, &done->message);
  if (message == NULL) {
    done->status.code = SPANWIRE_CODE_INTERNAL;
    done->status.message = undecodable;
    done->status.message_len = strlen(undecodable);
  }
  return message;
}
",
    ),
];

const NANOPB: &[Helper] = &[
    (
        "pack_message",
        "\
/* Packs a message into memory that is handed over with the buffer. */
static spanwire_result pack_message(const pb_msgdesc_t *fields, const void *message, uint32_t flags,
                                    spanwire_buffer *buffer) {
  if (message == NULL) {
    return spanwire_fail(SPANWIRE_INVALID_ARGUMENT, \"there is no message\");
  }
  size_t len = 0;
  if (!pb_get_encoded_size(&len, fields, message)) {
    return spanwire_fail(SPANWIRE_INVALID_ARGUMENT, \"the message cannot be encoded\");
  }
  uint8_t *data = malloc(len > 0 ? len : 1);
  if (data == NULL) {
    return spanwire_fail(SPANWIRE_SYSTEM, \"no memory for a message\");
  }
  pb_ostream_t stream = pb_ostream_from_buffer(data, len);
  if (!pb_encode(&stream, fields, message)) {
    free(data);
    return spanwire_fail(SPANWIRE_INVALID_ARGUMENT, PB_GET_ERROR(&stream));
  }
  *buffer = (spanwire_buffer){.data = data, .len = len, .flags = flags, .release = free, .context = data};
  return SPANWIRE_DONE;
}
",
    ),
    (
        "decode_message",
        "\
/* Null, or why the message cannot be decoded. */
static const char *decode_message(const pb_msgdesc_t *fields, const spanwire_bytes *bytes, void *message) {
  pb_istream_t stream = pb_istream_from_buffer(bytes->data, bytes->len);
  return pb_decode(&stream, fields, message) ? NULL : PB_GET_ERROR(&stream);
}
",
    ),
    (
        "decode_response",
        "\
/* A call whose response cannot be decoded has failed, with the status that the engine gives such calls. */
static bool decode_response(const pb_msgdesc_t *fields, spanwire_event *done, void *response,
                            const char *undecodable) {
  if (done->type != SPANWIRE_EVENT_DONE || done->status.code != SPANWIRE_CODE_OK) {
    return false;
  }
  if (decode_message(fields, &done->message, response) != NULL) {
    done->status.code = SPANWIRE_CODE_INTERNAL;
    done->status.message = undecodable;
    done->status.message_len = strlen(undecodable);
    return false;
  }
  return true;
}
",
    ),
];

const COMMON: &[Helper] = &[
    (
        "start_with_request",
        "\
/* Begins a call and sends its one request. */
static spanwire_result start_with_request(spanwire_channel *channel, const char *path,
                                          const spanwire_buffer *request, const spanwire_call_options *options,
                                          spanwire_queue *queue, void *tag, spanwire_call **call) {
  spanwire_result result =
      spanwire_call_start(channel, path, SPANWIRE_KIND_SERVER_STREAMING, options, queue, tag, call);
  if (result < 0) {
    if (request != NULL && request->release != NULL) {
      request->release(request->context);
    }
    return result;
  }
  /* From here on the DONE event says what fails. */
  if (spanwire_call_send(*call, request) < 0) {
    spanwire_call_cancel(*call);
  }
  return result;
}
",
    ),
    (
        "is_live",
        "\
/* Whether the program has not freed the call. */
static bool is_live(spanwire_server_call *call) { return spanwire_server_call_method(call, NULL) != NULL; }
",
    ),
    (
        "finish_undecodable",
        "\
/* In the words of the engine. */
static void finish_undecodable(spanwire_server_call *call, const char *type, const char *reason) {
  char text[512];
  snprintf(text, sizeof text, \"cannot decode %s: %s\", type, reason);
  spanwire_server_call_finish(call, SPANWIRE_CODE_INTERNAL, text, NULL);
}
",
    ),
    (
        "refuse_unimplemented",
        "\
static void refuse_unimplemented(spanwire_server_call *call, const char *text) {
  spanwire_server_call_finish(call, SPANWIRE_CODE_UNIMPLEMENTED, text, NULL);
  spanwire_server_call_free(call);
}
",
    ),
];
