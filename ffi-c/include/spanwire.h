// Spanwire: gRPC clients and servers for C, and for whatever calls C.
//
// Made by cbindgen from ffi-c/src; do not edit. The guide is docs/c.md.
//
// The rules, which hold for every function:
//
// - Handles (pointers to the incomplete types below) are numbers in the clothes of pointers, not to be dereferenced. Each use
//   is checked: null, freed, made up, or of another kind is SPANWIRE_INVALID_HANDLE, never undefined. Freeing twice is fine.
// - Every function may be called from any thread, also by several at once, and in callbacks. None waits, but those whose
//   documentation says so.
// - What a function is given is copied before it comes back, except for buffers with a release function. What it gives
//   belongs to the struct or handle it came with, as its documentation says.
// - A negative result means that nothing was done; spanwire_last_error() has the reason in words.
// - Structs whose first field is `size` are to be zeroed and their size set: zeros are the defaults.
// - A panic does not cross this boundary: it becomes SPANWIRE_PANIC, and the engine goes on.
// - After fork() the child's copies of handles answer SPANWIRE_FORKED; what the child makes anew works.
// - The library changes no signal dispositions, writes nothing to standard output or error, and stays loaded once it is.


#ifndef SPANWIRE_H
#define SPANWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Flag of `spanwire_bytes`: the message came compressed. What `data` points to never is.
#define SPANWIRE_BYTES_COMPRESSED 1

// Flag of `spanwire_buffer`: do not compress this message.
#define SPANWIRE_SEND_PLAIN 1

// Flag of `spanwire_buffer`: half-close the call behind this message.
#define SPANWIRE_SEND_LAST 2

// The version of the ABI that this header describes. A program may compare it with `spanwire_abi_version()`: within one
// version functions and fields are only added, fields at the end of structs that carry their size.
#define SPANWIRE_ABI_VERSION 1

// Nothing: the event is empty, or was freed.
#define SPANWIRE_EVENT_NONE 0

// Client streams: the leading metadata arrived; `metadata`.
#define SPANWIRE_EVENT_HEADERS 1

// Streams of both sides: `messages`, as many as were granted at most. On a server `end` says that no more follow.
#define SPANWIRE_EVENT_MESSAGES 2

// Streams of both sides: a send that answered `SPANWIRE_FULL` has room again.
#define SPANWIRE_EVENT_WRITABLE 3

// Client: the call is over; `status`. Of a unary call also `message` and `metadata`. Exactly one for each call, the last.
#define SPANWIRE_EVENT_DONE 4

// Server: a call begins; `server_call` is yours to free. Of kinds with one request `message` is that request.
#define SPANWIRE_EVENT_REQUEST 5

// Server: the client, a deadline or the end of the server ended the call before it was answered. Its last event.
#define SPANWIRE_EVENT_CANCELLED 6

// Server: the shutdown with this `tag` is complete.
#define SPANWIRE_EVENT_SERVER_CLOSED 7

// Done.
#define SPANWIRE_DONE 0

// Done, but the next send has to wait for `SPANWIRE_EVENT_WRITABLE`.
#define SPANWIRE_FULL 1

// The handle is null, was freed, or is one of another kind.
#define SPANWIRE_INVALID_HANDLE -1

// An argument or option cannot be used.
#define SPANWIRE_INVALID_ARGUMENT -2

// The call has ended, is half-closed, or was answered; the server listens already, or does not.
#define SPANWIRE_OVER -3

// It was made before `fork()`, and this is the child.
#define SPANWIRE_FORKED -4

// The engine or the queue was freed.
#define SPANWIRE_SHUT_DOWN -5

// The operating system refused: threads, descriptors, addresses.
#define SPANWIRE_SYSTEM -6

// A fault in the engine, stopped at the boundary. Please report it.
#define SPANWIRE_PANIC -7

// The message was not taken: `SPANWIRE_FULL` was answered before, and `SPANWIRE_EVENT_WRITABLE` has not come.
#define SPANWIRE_BLOCKED -8

// The call succeeded.
#define SPANWIRE_CODE_OK 0

// The call was cancelled, usually by the caller.
#define SPANWIRE_CODE_CANCELLED 1

// An error of which nothing better is known.
#define SPANWIRE_CODE_UNKNOWN 2

// The request is wrong whatever the state of the system.
#define SPANWIRE_CODE_INVALID_ARGUMENT 3

// The deadline passed before the call was over.
#define SPANWIRE_CODE_DEADLINE_EXCEEDED 4

// What was asked for does not exist.
#define SPANWIRE_CODE_NOT_FOUND 5

// What was to be made exists already.
#define SPANWIRE_CODE_ALREADY_EXISTS 6

// The caller is known and may not do this.
#define SPANWIRE_CODE_PERMISSION_DENIED 7

// A quota or a limit is used up.
#define SPANWIRE_CODE_RESOURCE_EXHAUSTED 8

// The system is not in the state that the call needs.
#define SPANWIRE_CODE_FAILED_PRECONDITION 9

// The call lost a race, such as a transaction abort.
#define SPANWIRE_CODE_ABORTED 10

// The request goes beyond a valid range.
#define SPANWIRE_CODE_OUT_OF_RANGE 11

// The server has no such method, or does not support what was asked.
#define SPANWIRE_CODE_UNIMPLEMENTED 12

// Something is broken that should not be.
#define SPANWIRE_CODE_INTERNAL 13

// The service cannot be reached now; trying again may help.
#define SPANWIRE_CODE_UNAVAILABLE 14

// Data are lost for good.
#define SPANWIRE_CODE_DATA_LOSS 15

// The caller is not known.
#define SPANWIRE_CODE_UNAUTHENTICATED 16

// One request, one response.
#define SPANWIRE_KIND_UNARY 0

// One request, any number of responses.
#define SPANWIRE_KIND_SERVER_STREAMING 1

// Any number of requests, one response.
#define SPANWIRE_KIND_CLIENT_STREAMING 2

// Any number of messages each way, independently.
#define SPANWIRE_KIND_BIDI 3

// A call: as its channel says. A channel or a server: not at all.
#define SPANWIRE_ENCODING_DEFAULT 0

// Not at all.
#define SPANWIRE_ENCODING_IDENTITY 1

// gzip.
#define SPANWIRE_ENCODING_GZIP 2

// deflate, with zlib's framing.
#define SPANWIRE_ENCODING_DEFLATE 3

// Zstandard.
#define SPANWIRE_ENCODING_ZSTD 4

// It cannot have reached a handler.
#define SPANWIRE_SENT_NOT_SENT 0

// Nobody can tell.
#define SPANWIRE_SENT_MAYBE_SENT 1

// The server answered.
#define SPANWIRE_SENT_ANSWERED 2

// There is none; the next call makes one.
#define SPANWIRE_CONNECTIVITY_IDLE 0

// One is being made.
#define SPANWIRE_CONNECTIVITY_CONNECTING 1

// There is one.
#define SPANWIRE_CONNECTIVITY_READY 2

// An attempt failed; the next one follows by itself after a pause.
#define SPANWIRE_CONNECTIVITY_TRANSIENT_FAILURE 3

// A DNS name.
#define SPANWIRE_NAME_DNS 0

// A mail address.
#define SPANWIRE_NAME_EMAIL 1

// An IP address.
#define SPANWIRE_NAME_IP 2

// The SPIFFE ID; there is one at most.
#define SPANWIRE_NAME_SPIFFE_ID 3

// The subject in the form of RFC 4514, such as `CN=ada,O=Shop`; there is one at most.
#define SPANWIRE_NAME_SUBJECT 4

// A URI.
#define SPANWIRE_NAME_URI 5

// Silent: the default.
#define SPANWIRE_LOG_OFF 0

// What a program should not have done, and faults.
#define SPANWIRE_LOG_ERROR 1

// What may be wrong.
#define SPANWIRE_LOG_WARN 2

// What happens seldom.
#define SPANWIRE_LOG_INFO 3

// Why connections end, and attempts fail.
#define SPANWIRE_LOG_DEBUG 4

// Everything.
#define SPANWIRE_LOG_TRACE 5

// A call that this program made.
typedef struct spanwire_call spanwire_call;

// A client's way to a service.
typedef struct spanwire_channel spanwire_channel;

// A call that is about to be made, for the time of a `start` hook.
typedef struct spanwire_draft spanwire_draft;

// An engine: threads that connections live on. Null where one is asked for is the default engine of the process.
typedef struct spanwire_engine spanwire_engine;

// Metadata that arrived. They belong to the event or the call that they came with. Null is a valid pointer to none.
typedef struct spanwire_metadata spanwire_metadata;

// A queue of events.
typedef struct spanwire_queue spanwire_queue;

// A server.
typedef struct spanwire_server spanwire_server;

// A call that a server received.
typedef struct spanwire_server_call spanwire_server_call;

// A bearer token that is wanted.
typedef struct spanwire_token_request spanwire_token_request;

// Bytes that arrived. They belong to the event that they came with and are released with it, unless they are taken out by
// `spanwire_bytes_take`; then they belong to whoever took them and are released once by `spanwire_bytes_free`. They are
// shared, not copied: keeping a small message may keep the larger buffer that it was read into.
//
// Copying the struct does not copy the right to release it.
typedef struct spanwire_bytes {
  // The bytes. Null if there is no message; not null for a message of no bytes.
  const uint8_t *data;
  // How many.
  size_t len;
  // `SPANWIRE_BYTES_COMPRESSED`.
  uint32_t flags;
  // Private.
  size_t owner[4];
} spanwire_bytes;

// Called when handed-over bytes are no longer needed, once, from any thread. It may not use the call that sends them.
typedef void (*spanwire_release)(void *context);

// Bytes to send.
//
// Without `release` they are copied before the function comes back. With it they are handed over without a copy:
// `release(context)` is called once when they are no longer needed, also when the function fails, maybe before it comes
// back. Handing over pays from some 8 KiB on; below, a copy is cheaper.
typedef struct spanwire_buffer {
  // The bytes; may be null if there are none.
  const void *data;
  // How many.
  size_t len;
  // `SPANWIRE_SEND_PLAIN`, `SPANWIRE_SEND_LAST`.
  uint32_t flags;
  // See above; null to have them copied.
  spanwire_release release;
  // For `release`.
  void *context;
} spanwire_buffer;

// What a function answers. Not negative: it is done. Negative: nothing was done, and `spanwire_last_error()` says why.
typedef int32_t spanwire_result;

// One entry of metadata, to send or received. A received one is valid as long as the metadata are.
typedef struct spanwire_metadata_entry {
  // Lower case, of digits, letters, `_`, `-` and `.`; it ends in `-bin` if the value is binary. Ends in NUL.
  const char *key;
  // The value: printable ASCII, or any bytes if the key ends in `-bin`. Received values have a NUL behind them.
  const void *value;
  // Its length in bytes.
  size_t value_len;
} spanwire_metadata_entry;

// How messages are compressed.
typedef int32_t spanwire_encoding;

// Options of one call. Zeros are the defaults. All is copied.
typedef struct spanwire_call_options {
  // `sizeof(spanwire_call_options)`.
  size_t size;
  // Longest that the call may take, from now; 0 without a limit, negative: it has passed already.
  int64_t timeout_ms;
  // The request's metadata.
  const struct spanwire_metadata_entry *metadata;
  // How many entries.
  size_t metadata_count;
  // Compresses the request messages; by default as the channel says.
  spanwire_encoding compression;
  // Wait while no connection can be made, instead of failing with UNAVAILABLE. Give it a timeout too.
  bool wait_for_ready;
  // Streams: messages that may arrive before `spanwire_call_grant`. The only response of a method that has one needs none.
  uint32_t credit;
  // Largest message to accept; by default as the channel says.
  int64_t max_recv_message_bytes;
  // Largest message to send; by default as the channel says.
  int64_t max_send_message_bytes;
  // The call that is being handled and that this one is made for, or null: it ends no later than that.
  const struct spanwire_server_call *parent;
} spanwire_call_options;

// The state of a channel's connection.
typedef int32_t spanwire_connectivity;

// What happened.
typedef int32_t spanwire_event_type;

// A status code of gRPC (`doc/statuscodes.md` of grpc/grpc).
typedef int32_t spanwire_code;

// Whether a request can have had an effect: what a program needs to know before it tries again.
typedef int32_t spanwire_sent;

// How a call ended. The pointers belong to the event.
typedef struct spanwire_status {
  // The code.
  spanwire_code code;
  // Whether the request may have reached a server's application.
  spanwire_sent sent;
  // How many attempts were begun.
  uint32_t attempts;
  // What the other side says of it, in words: UTF-8 that ends in NUL, never null; with OK as a rule empty.
  const char *message;
  // Its length in bytes.
  size_t message_len;
  // Details: an encoded `google.rpc.Status` (`grpc-status-details-bin`); null without.
  const uint8_t *details;
  // Their length in bytes.
  size_t details_len;
  // The metadata that came with the status.
  const struct spanwire_metadata *trailers;
} spanwire_status;

// Something that happened to a call or a server. What it points to belongs to it until `spanwire_event_free`.
typedef struct spanwire_event {
  // Which of the fields below mean something: `SPANWIRE_EVENT_…`.
  spanwire_event_type type;
  // Server: the client sends no more.
  bool end;
  // What the program gave the operation; of server calls, what it gave the method.
  void *tag;
  // Client: the call, if the program keeps a handle of it.
  struct spanwire_call *call;
  // Server: the call. The same in all of its events.
  struct spanwire_server_call *server_call;
  // One message; its `data` is null if there is none.
  struct spanwire_bytes message;
  // Messages of a stream.
  struct spanwire_bytes *messages;
  // How many.
  size_t message_count;
  // Client: the leading metadata of a response. Those of a REQUEST are had by `spanwire_server_call_metadata`.
  const struct spanwire_metadata *metadata;
  // How the call ended.
  struct spanwire_status status;
  // Private.
  size_t owner[16];
} spanwire_event;

// The kind of a method.
typedef int32_t spanwire_kind;

// A certificate chain and its key: PEM, from memory or from files; memory wins. All is copied.
typedef struct spanwire_certificate {
  // The chain, as a file.
  const char *certificate_file;
  // The key, as a file.
  const char *key_file;
  // The chain, in memory.
  const void *certificate_pem;
  // Its length in bytes.
  size_t certificate_pem_len;
  // The key, in memory.
  const void *key_pem;
  // Its length in bytes.
  size_t key_pem_len;
} spanwire_certificate;

// TLS, on either side. Certificates and keys are PEM, from memory or from files; memory wins. All is copied.
typedef struct spanwire_tls_options {
  // `sizeof(spanwire_tls_options)`.
  size_t size;
  // Whom to trust, as a file: on a channel the servers' authority, on a server that of clients (mutual TLS).
  const char *ca_file;
  // Our certificate chain, as a file: a server's always, a channel's for mutual TLS.
  const char *certificate_file;
  // The key of our certificate, as a file.
  const char *key_file;
  // As `ca_file`, in memory.
  const void *ca_pem;
  // Its length in bytes.
  size_t ca_pem_len;
  // As `certificate_file`, in memory.
  const void *certificate_pem;
  // Its length in bytes.
  size_t certificate_pem_len;
  // As `key_file`, in memory.
  const void *key_pem;
  // Its length in bytes.
  size_t key_pem_len;
  // Channel: the name that the server must prove, instead of the target's host.
  const char *server_name;
  // Channel: trust the system's roots beside a CA that is given. Without one they are trusted anyway.
  bool system_roots;
  // Channel: accept whatever certificate there is. For tests only.
  bool danger_accept_any_certificate;
  // Server with a CA: clients may come without a certificate.
  bool client_certificate_optional;
  // Server: further certificates. A client that asks for a name (SNI) gets the first that is for it, else the one above.
  const struct spanwire_certificate *more_certificates;
  // How many.
  size_t more_certificate_count;
} spanwire_tls_options;

// A channel argument of gRPC's C core, by its name there.
typedef struct spanwire_channel_argument {
  // Such as "grpc.keepalive_time_ms". Ends in NUL.
  const char *name;
  // The value, if it is a text; ends in NUL. Null: it is `number`.
  const char *text;
  // The value, if it is a number; 0 and 1 for false and true.
  int64_t number;
} spanwire_channel_argument;

// Asks for a bearer token, which is told by `spanwire_token_answer`, or `spanwire_token_refuse`: at once, or later from any
// thread. On a thread of the engine: it must not wait.
typedef void (*spanwire_token_callback)(void *user_data, struct spanwire_token_request *request);

// Telemetry: what the calls of a channel or a server do is recorded, and sent to a collector of OpenTelemetry
// (`docs/observability.md`). Channels and servers of an engine that say the same share one. All is copied.
typedef struct spanwire_telemetry_options {
  // `sizeof(spanwire_telemetry_options)`.
  size_t size;
  // Where it is sent, such as "http://collector:4317"; null as the environment says, an empty text nowhere.
  const char *endpoint;
  // Whose it is; null as the environment says.
  const char *service_name;
  // What else tells the process from others: "key=value,key=value"; null as the environment says.
  const char *resource_attributes;
  // In which forms traces are handed on: "tracecontext" (null), "grpc-trace-bin", or both with a comma.
  const char *propagators;
  // Which calls of a server are logged: "off" (null), "errors" or "all".
  const char *access_log;
  // How often metrics are sent; every minute by default.
  int64_t metrics_interval_ms;
  // How many of the traces that begin here are recorded, up to 1, which is the default; negative: none.
  double trace_ratio;
  // Calls are not counted.
  bool metrics_off;
  // Traces are neither recorded nor handed on.
  bool traces_off;
} spanwire_telemetry_options;

// Options of a channel. Zeros are the defaults; numbers that can be off are off when negative. `docs/limits.md` explains the
// limits. All is copied.
typedef struct spanwire_channel_options {
  // `sizeof(spanwire_channel_options)`.
  size_t size;
  // TLS; null is plaintext.
  const struct spanwire_tls_options *tls;
  // What the server sees as `:authority`; by default the host and port of the target.
  const char *authority;
  // Put in front of the engine's own `user-agent`.
  const char *user_agent;
  // Compresses the requests of calls that do not say otherwise.
  spanwire_encoding compression;
  // Ping also while there are no calls.
  bool keepalive_without_calls;
  // Longest that one connection attempt may take.
  int64_t connect_timeout_ms;
  // The pause after the first failed attempt.
  int64_t backoff_first_ms;
  // The longest pause.
  int64_t backoff_longest_ms;
  // Silence after which the server is pinged; off by default.
  int64_t keepalive_interval_ms;
  // How long it may take to answer a ping.
  int64_t keepalive_timeout_ms;
  // Largest message to accept, in bytes after decompression.
  int64_t max_recv_message_bytes;
  // Largest message to send, in bytes before compression.
  int64_t max_send_message_bytes;
  // Largest response metadata to accept, in bytes as HTTP/2 counts them.
  int64_t max_metadata_bytes;
  // Most metadata entries to accept.
  int64_t max_metadata_fields;
  // What a stream may have under way to us before it is read, at first.
  int64_t stream_window_bytes;
  // How far that may grow.
  int64_t max_stream_window_bytes;
  // What all streams of a connection may have under way to us.
  int64_t connection_window_bytes;
  // What one stream may have queued for sending.
  int64_t send_buffer_bytes;
  // Resets of unanswered calls that the server may send at once; any number by default.
  int64_t flood_resets_burst;
  // And a second.
  int64_t flood_resets_per_second;
  // SETTINGS frames at once.
  int64_t flood_settings_burst;
  // And a second.
  int64_t flood_settings_per_second;
  // Entries in one SETTINGS frame.
  int64_t flood_max_settings_entries;
  // Frames that do nothing, at once.
  int64_t flood_control_frames_burst;
  // And a second.
  int64_t flood_control_frames_per_second;
  // CONTINUATION frames in one header block.
  int64_t flood_max_continuations;
  // Acknowledgements that may wait before nothing more is read.
  int64_t flood_max_pending_acks;
  // What unread small DATA frames may add up to.
  int64_t flood_small_data_budget;
  // Which of a service's addresses calls go to: `pick_first` (null), `round_robin`, `least_request` or
  // `weighted_round_robin`. Goes before what the service config says.
  const char *load_balancing;
  // The service config: JSON in the form of gRPC's `ServiceConfig`, with `methodConfig` (timeouts, retries),
  // `retryThrottling` and `loadBalancingConfig`. A mistake is told by its place.
  const char *service_config;
  // Sent with every call that has no `authorization` of its own, as `authorization: Bearer …`. Over TLS alone, or to a server
  // on this machine that is no TCP port.
  const char *bearer_token;
  // The same from a file, which is read again as its token ends. The token itself wins.
  const char *bearer_token_file;
  // How long a name that the system resolves holds. By default 30 s where calls are spread; else until a connection is
  // lost.
  int64_t name_ttl_ms;
  // How long nobody may call before the connections are closed, until the next call; negative: for ever.
  int64_t idle_timeout_ms;
  // Channel arguments of gRPC's C core: each sets the option above that it means, or one that has no field of its own
  // (`docs/channel.md` lists them), and wins over it. An unknown one is an error that says which one is close.
  const struct spanwire_channel_argument *arguments;
  // How many there are.
  size_t argument_count;
  // Asked for the bearer token: with the first call, and shortly before the last token ends, while calls wait. A token or a
  // file above wins over it. It may be called until the channel is freed and its last call has ended.
  spanwire_token_callback token_source;
  // What it gets.
  void *token_source_data;
  // The URL of an HTTP proxy, or an empty text for none; null as the environment says.
  const char *proxy;
  // Calls are not made again by the service config's policies.
  bool retries_off;
  // Servers are not asked for their health, whatever the service config says.
  bool health_checks_off;
  // The most connections to one address that a service config gets.
  int64_t max_connections_per_subchannel;
  // Who finds the addresses of the target's name: `system` (null), or `direct`: DNS servers are asked, which say how long a
  // name holds.
  const char *dns_resolver;
  // DNS is asked for the target's service config too: text records of `_grpc_config.<name>`.
  bool service_config_from_dns;
  // Telemetry; null is none.
  const struct spanwire_telemetry_options *telemetry;
} spanwire_channel_options;

// A number of a channel or a server.
typedef struct spanwire_stat {
  // Its name, as in `docs/limits.md`; ends in NUL and lives as long as the process.
  const char *name;
  // Its value.
  uint64_t value;
} spanwire_stat;

// How talkative the log is.
typedef int32_t spanwire_log_level;

// Takes one line of the log: its level, the part of the engine it comes from, and the text. Both end in NUL and are valid
// during the call. From any thread; it must not wait.
typedef void (*spanwire_log_callback)(void *user_data,
                                      spanwire_log_level level,
                                      const char *target,
                                      const char *text);

// Options of an engine; zeros are the defaults.
typedef struct spanwire_engine_options {
  // `sizeof(spanwire_engine_options)`.
  size_t size;
  // Threads for connections; 1 by default, which is enough for clients. A server that has to use several cores gives each
  // of them one.
  uint32_t lanes;
} spanwire_engine_options;

// See `spanwire_interceptor`.
typedef spanwire_code (*spanwire_start_hook)(void *user_data, struct spanwire_draft *draft);

// See `spanwire_interceptor`.
typedef void (*spanwire_event_hook)(void *user_data, struct spanwire_event *event);

// See `spanwire_interceptor`.
typedef void (*spanwire_release_hook)(void *user_data);

// Functions around each call of a channel or a server. They run on the program's own threads, in the order in which they
// were added, and may call every function of the library.
typedef struct spanwire_interceptor {
  // `sizeof(spanwire_interceptor)`.
  size_t size;
  // For the functions below.
  void *user_data;
  // Channel: in `spanwire_call_unary` and `spanwire_call_start`, before the call begins. It may add metadata and change the
  // timeout. A code other than OK ends the call with it, and with the text of `spanwire_draft_set_message`.
  spanwire_start_hook start;
  // Channel and server: with each event, in the function that hands it out, before the program sees it. It may read and
  // change it. Set to `SPANWIRE_EVENT_NONE`, the program does not see it; of a REQUEST the call is freed then, so answer
  // it before.
  spanwire_event_hook event;
  // When neither function will be called any more.
  spanwire_release_hook release;
  // The functions run around calls of these methods alone, "/package.Service/Method", or all of a service,
  // "/package.Service/*"; of all methods if there are none. They are copied.
  const char *const *only;
  // How many.
  size_t only_count;
} spanwire_interceptor;

// Called with events, oldest first, on the thread of the queue; of an inline one with one event, on a thread of the engine.
typedef void (*spanwire_event_callback)(void *user_data, struct spanwire_event *events, size_t count);

// Which bearer tokens (JWT) a server accepts. Lists are arrays of texts that end in NUL. All is copied.
typedef struct spanwire_jwt_options {
  // `sizeof(spanwire_jwt_options)`.
  size_t size;
  // The keys of the issuers: the file of a JSON Web Key Set, read again when it changes.
  const char *jwks_file;
  // Whose tokens are good (`iss`); at least one.
  const char *const *issuers;
  // How many.
  size_t issuer_count;
  // Whom they must be for (`aud`): one of these, or nobody if there are none.
  const char *const *audiences;
  // How many.
  size_t audience_count;
  // How they may be signed, such as "ES256"; any algorithm of public keys that is known if there are none.
  const char *const *algorithms;
  // How many.
  size_t algorithm_count;
  // What they must say besides.
  const char *const *required_claims;
  // How many.
  size_t required_claim_count;
  // How far the clocks of the issuers may be from ours, 60 s by default; negative for not at all.
  int64_t clock_skew_ms;
  // They are taken from connections without TLS too, where others may read them.
  bool danger_accept_plaintext;
  // The keys from a URL, instead of the file: "https://...", or "http://..." on this machine. They are fetched when the
  // server listens, and again and again after that.
  const char *jwks_url;
  // The authorities to trust for that URL, instead of the system's: a PEM file.
  const char *jwks_ca_file;
  // How long the keys of the URL are used without asking for newer ones, 5 minutes by default.
  int64_t jwks_refresh_interval_ms;
  // Methods whose calls need no token, such as "/grpc.health.v1.Health/*": "/package.Service/Method", or all of a
  // service.
  const char *const *unauthenticated_methods;
  // How many.
  size_t unauthenticated_method_count;
  // Keys are taken from "http" URLs of other machines too: who can change them on the way decides whose tokens are good.
  bool danger_jwks_over_plaintext;
} spanwire_jwt_options;

// Which pages may call by gRPC-Web, and what their browsers are told. Lists are arrays of texts that end in NUL. All is
// copied.
typedef struct spanwire_web_options {
  // `sizeof(spanwire_web_options)`.
  size_t size;
  // Whose pages may call, such as `https://shop.example`; `*` lets all pages call. Without any, no page may.
  const char *const *origins;
  // How many.
  size_t origin_count;
  // Metadata that pages may send, besides what gRPC-Web needs.
  const char *const *allow_headers;
  // How many.
  size_t allow_header_count;
  // Metadata of the response that pages may read, besides gRPC's own. Trailers can be read in any case.
  const char *const *expose_headers;
  // How many.
  size_t expose_header_count;
  // How long a browser may remember that a page may call, 2 h by default; negative: it asks every time.
  int64_t max_age_ms;
  // Pages may send cookies and client certificates along; not together with the origin "*".
  bool allow_credentials;
} spanwire_web_options;

// Options of a server. Zeros are the defaults; numbers that can be off are off when negative. `docs/limits.md` explains the
// limits. All is copied.
typedef struct spanwire_server_options {
  // `sizeof(spanwire_server_options)`.
  size_t size;
  // TLS; null is plaintext.
  const struct spanwire_tls_options *tls;
  // Requests wait until `spanwire_server_accept` asks for them.
  bool manual_accept;
  // Clients may ping also while they have no calls.
  bool keepalive_permit_without_calls;
  // Silence after which a client is pinged; negative never pings.
  int64_t keepalive_interval_ms;
  // How long it may take to answer a ping.
  int64_t keepalive_timeout_ms;
  // How often clients may ping.
  int64_t keepalive_min_interval_ms;
  // Age at which connections are told to go (±10 %); off by default.
  int64_t max_connection_age_ms;
  // What their calls get to finish then; for ever by default.
  int64_t max_connection_age_grace_ms;
  // Ends connections that had no call for this long; off by default.
  int64_t max_connection_idle_ms;
  // Longest for TLS and HTTP/2 of a new connection.
  int64_t handshake_timeout_ms;
  // How long a client may take nothing of an answer; negative for ever.
  int64_t stall_timeout_ms;
  // Connections at once.
  int64_t max_connections;
  // Calls that one connection may have open at once.
  int64_t max_concurrent_streams;
  // What one connection may hold of request messages that are not whole yet.
  int64_t max_unfinished_request_bytes;
  // Largest request message, in bytes after decompression.
  int64_t max_recv_message_bytes;
  // Largest response message, in bytes before compression.
  int64_t max_send_message_bytes;
  // Largest request metadata, in bytes as HTTP/2 counts them.
  int64_t max_metadata_bytes;
  // Most metadata entries of a request.
  int64_t max_metadata_fields;
  // What a stream may have under way to us before it is read, at first.
  int64_t stream_window_bytes;
  // How far that may grow.
  int64_t max_stream_window_bytes;
  // What all streams of a connection may have under way to us.
  int64_t connection_window_bytes;
  // What one stream may have queued for sending.
  int64_t send_buffer_bytes;
  // Resets of unanswered calls at once; negative for any number.
  int64_t flood_resets_burst;
  // And a second.
  int64_t flood_resets_per_second;
  // Calls beyond `max_concurrent_streams` that a client may open before it knows of that.
  int64_t flood_max_early_refusals;
  // SETTINGS frames at once.
  int64_t flood_settings_burst;
  // And a second.
  int64_t flood_settings_per_second;
  // Entries in one SETTINGS frame.
  int64_t flood_max_settings_entries;
  // Frames that do nothing, at once.
  int64_t flood_control_frames_burst;
  // And a second.
  int64_t flood_control_frames_per_second;
  // CONTINUATION frames in one header block.
  int64_t flood_max_continuations;
  // Acknowledgements that may wait before nothing more is read.
  int64_t flood_max_pending_acks;
  // What unread small DATA frames may add up to.
  int64_t flood_small_data_budget;
  // How long a shutdown goes on serving after the health service has begun to say NOT_SERVING, so that balancers notice;
  // a part of its grace.
  int64_t drain_delay_ms;
  // Serves reflection, of what this describes: an encoded `google.protobuf.FileDescriptorSet`, which may have no files.
  // Null: there is no reflection.
  const void *reflection;
  // Its length in bytes.
  size_t reflection_len;
  // Serves `grpc.health.v1.Health`, which tells what `spanwire_server_set_health` has said.
  bool health;
  // Serves `grpc.channelz.v1.Channelz`, which tells of all channels and servers that are made from then on.
  bool channelz;
  // Which bearer tokens are accepted; null: calls need none.
  const struct spanwire_jwt_options *jwt;
  // Who may call what: JSON in the form of gRFC A43; null: everybody may everything. A mistake is told by its place when the
  // server listens.
  const char *authorization_policy;
  // The same from a file, which is read again when it changes. The text wins.
  const char *authorization_policy_file;
  // Calls that may run at once, over all connections; those beyond are UNAVAILABLE at once. No limit by default.
  int64_t max_running_calls;
  // How often methods may be called, as JSON, such as
  // `[{"burst": 20, "perSecond": 10, "methods": ["/shop.v1.Orders/*"], "forEachClient": true}]`.
  const char *rate_limits;
  // Telemetry; null is none.
  const struct spanwire_telemetry_options *telemetry;
  // Browsers may call by gRPC-Web, on the same port; null: they may not.
  const struct spanwire_web_options *web;
} spanwire_server_options;

// What goes with an answer. Zeros are nothing. All is copied.
typedef struct spanwire_answer {
  // `sizeof(spanwire_answer)`.
  size_t size;
  // The leading metadata. They go out with the first message, or by `spanwire_server_call_headers`; later ones are lost.
  const struct spanwire_metadata_entry *headers;
  // How many entries.
  size_t header_count;
  // The metadata that come with the status.
  const struct spanwire_metadata_entry *trailers;
  // How many entries.
  size_t trailer_count;
  // Details of the status: an encoded `google.rpc.Status`.
  const void *details;
  // Their length in bytes.
  size_t details_len;
  // Compresses the messages, if the client can read that. To be chosen before the first one.
  spanwire_encoding compression;
} spanwire_answer;

// A kind of name in a client's certificate.
typedef int32_t spanwire_name;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Moves bytes out of an event or another struct: they are the caller's, and the source is empty. Of null or empty bytes
// it gives empty ones.
//
// # Safety
// `bytes` is null or points to bytes that came from this library. One thread at a time.
struct spanwire_bytes spanwire_bytes_take(struct spanwire_bytes *bytes);

// Shares bytes: the result is released by itself and needs no copy of the data.
//
// # Safety
// As `spanwire_bytes_take`.
struct spanwire_bytes spanwire_bytes_clone(const struct spanwire_bytes *bytes);

// Releases bytes that were taken, shared or moved, and leaves the struct empty. Null and empty bytes are fine.
//
// # Safety
// As `spanwire_bytes_take`.
void spanwire_bytes_free(struct spanwire_bytes *bytes);

// Makes a buffer to send of bytes that arrived, without a copy: for echoes and proxies. The source is empty then; the
// buffer is to be sent once, which releases it.
//
// # Safety
// As `spanwire_bytes_take`.
struct spanwire_buffer spanwire_bytes_buffer(struct spanwire_bytes *bytes,
                                             uint32_t flags);

// Makes a unary call of `method` (`/package.Service/Method`): one function, and one DONE event in `queue` with everything
// that came back. It comes exactly once if this answers 0 or more, and never otherwise.
//
// `call` may be null: then there is no handle to free, and the call cannot be cancelled. Otherwise the handle is written
// there before the call begins, and `spanwire_call_free` while it runs cancels it. `options` may be null.
//
// # Safety
// `method` is a string that ends in NUL; `request` and `options` are as their documentation asks; `call` is null or can be
// written.
spanwire_result spanwire_call_unary(struct spanwire_channel *channel,
                                    const char *method,
                                    const struct spanwire_buffer *request,
                                    const struct spanwire_call_options *options,
                                    struct spanwire_queue *queue,
                                    void *tag,
                                    struct spanwire_call **call);

// Waits until the state of the channel's connections is another than `known`: one DONE event in `queue`, with a message of
// one byte, the `SPANWIRE_CONNECTIVITY_…` that it is in, and the code OK. States that last only a moment may be missed. The
// code is DEADLINE_EXCEEDED when `timeout_ms` (0: without a limit) have passed, and CANCELLED when the channel is freed or
// the wait is cancelled: `call` is its handle, as that of `spanwire_call_unary`. No thread waits.
//
// # Safety
// `call` is null or can be written.
spanwire_result spanwire_channel_connectivity_changed(struct spanwire_channel *channel,
                                                      spanwire_connectivity known,
                                                      int64_t timeout_ms,
                                                      struct spanwire_queue *queue,
                                                      void *tag,
                                                      struct spanwire_call **call);

// Makes a unary call and waits for its end on this thread; `done` is filled as its DONE event and is to be freed. It is
// `SPANWIRE_EVENT_NONE` if this fails, or if a hook keeps the event. Needs no queue. A timeout in `options` bounds the wait.
//
// # Safety
// As `spanwire_call_unary`; `done` can be written.
spanwire_result spanwire_call_unary_blocking(struct spanwire_channel *channel,
                                             const char *method,
                                             const struct spanwire_buffer *request,
                                             const struct spanwire_call_options *options,
                                             struct spanwire_event *done);

// Starts a call of any kind. Its events are HEADERS, MESSAGES as they are granted, WRITABLE, and DONE, which comes exactly
// once if this answers 0 or more. The handle is written to `call` before the call begins. Kinds with one request take one
// `spanwire_call_send`, which half-closes them. `options` may be null.
//
// # Safety
// As `spanwire_call_unary`; `call` can be written.
spanwire_result spanwire_call_start(struct spanwire_channel *channel,
                                    const char *method,
                                    spanwire_kind kind,
                                    const struct spanwire_call_options *options,
                                    struct spanwire_queue *queue,
                                    void *tag,
                                    struct spanwire_call **call);

// Sends a message. It is taken at once, and sent as there is room.
//
// Answers `SPANWIRE_FULL` when it was taken and the next one has to wait for WRITABLE; `SPANWIRE_BLOCKED` when one is sent
// all the same; `SPANWIRE_OVER` when the call has ended or is half-closed; `SPANWIRE_INVALID_ARGUMENT` for a message above
// `max_send_message_bytes`, after which the call goes on.
//
// # Safety
// `message` is as its documentation asks.
spanwire_result spanwire_call_send(struct spanwire_call *call,
                                   const struct spanwire_buffer *message);

// Says that no more messages follow; the server may still answer. A second time does nothing.
spanwire_result spanwire_call_half_close(struct spanwire_call *call);

// Lets `messages` more messages arrive. No more than were granted ever come.
spanwire_result spanwire_call_grant(struct spanwire_call *call, uint32_t messages);

// Ends the call with CANCELLED, from any thread, at any time, as often as one likes. DONE follows. A call that has ended
// stays as it is.
spanwire_result spanwire_call_cancel(struct spanwire_call *call);

// Frees the handle; a call that still runs is cancelled. Its DONE comes all the same, maybe with `call` null. Null and
// freed ones do nothing.
void spanwire_call_free(struct spanwire_call *call);

// Makes a channel to `target`: `host:port`, `dns:///host:port`, `ipv4:1.2.3.4:50051`, `ipv6:[::1]:50051`, `unix:/path`,
// `unix-abstract:name`, `inprocess:name`. It connects with its first call, and again when a connection is lost. `engine` and
// `options` may be null. Null on failure; `spanwire_last_error` says which argument is wrong.
//
// # Safety
// `target` is a string that ends in NUL; `options` is null or as its documentation asks.
struct spanwire_channel *spanwire_channel_new(struct spanwire_engine *engine_,
                                              const char *target,
                                              const struct spanwire_channel_options *options_);

// Frees a channel. Calls that it made go on. Null and freed ones do nothing.
void spanwire_channel_free(struct spanwire_channel *channel);

// The state of the channel's connection: `SPANWIRE_CONNECTIVITY_…`; negative: a `spanwire_result`.
spanwire_connectivity spanwire_channel_connectivity(struct spanwire_channel *channel);

// Connects now instead of with the first call. It does not wait for the connection.
spanwire_result spanwire_channel_connect(struct spanwire_channel *channel);

// Says that the machine's network is another one: the target's name is resolved again at once, instead of when a connection
// is found to be lost.
spanwire_result spanwire_channel_network_changed(struct spanwire_channel *channel);

// Writes the channel's numbers to `stats`, at most `capacity` of them, and returns how many there are: connections, calls,
// and how often each limit was hit. 0 on failure.
//
// # Safety
// `stats` is null, or `capacity` of them can be written there.
size_t spanwire_channel_stats(struct spanwire_channel *channel,
                              struct spanwire_stat *stats,
                              size_t capacity);

// The version of the ABI that the library has.
uint32_t spanwire_abi_version(void);

// The version of the library, such as "0.1.0".
const char *spanwire_version(void);

// Why the last function that failed on this thread did: UTF-8, never null, valid until the next failure on this thread.
const char *spanwire_last_error(void);

// Sets the last error of this thread to `text` and answers `result`: for code that wraps this library and fails by itself.
//
// # Safety
// `text` is null, or a string that ends in NUL.
spanwire_result spanwire_fail(spanwire_result result,
                              const char *text_);

// The name of a status code as the specification writes it, such as "NOT_FOUND"; "UNKNOWN" for numbers that are none.
const char *spanwire_code_name(spanwire_code code);

// How many handles are live in this process, of all kinds: for tests that look for leaks.
size_t spanwire_handle_count(void);

// Hands the engine's log, up to `max_level`, to `callback`. Silent by default; `SPANWIRE_LOG_OFF` or a null callback makes it
// silent again. A line that is being written may still arrive while this function runs, and none after it has come back on
// a program's own only thread.
//
// # Safety
// `callback` may be called with `user_data` from any thread, until another one is set.
spanwire_result spanwire_log_set(spanwire_log_level max_level,
                                 spanwire_log_callback callback,
                                 void *user_data);

// Makes an engine. Most clients need none: where one is asked for, null is the process's own, with one thread, started when
// it is first used. The threads block all signals. Null on failure; `spanwire_last_error` says why.
//
// # Safety
// `options` is null or as its documentation asks.
struct spanwire_engine *spanwire_engine_new(const struct spanwire_engine_options *options);

// Ends an engine with all of its connections and calls, and waits for that, a second at most. Its calls end with their last
// events: DONE with CANCELLED, and CANCELLED. Channels and servers on it answer `SPANWIRE_SHUT_DOWN` from here on and are to
// be freed as always. Null and freed ones do nothing.
void spanwire_engine_free(struct spanwire_engine *engine);

// Releases what an event owns and was not taken out of it, and leaves it `SPANWIRE_EVENT_NONE`. The `server_call` of a
// REQUEST is not part of that: it is the program's. Null, empty and freed events are fine.
//
// # Safety
// `event` is null, all zeros, or came from this library and was not changed but by it.
void spanwire_event_free(struct spanwire_event *event);

// Frees `count` events; see `spanwire_event_free`.
//
// # Safety
// `events` is null, or there are `count` events that are as `spanwire_event_free` asks.
void spanwire_events_free(struct spanwire_event *events, size_t count);

// Writes the address of the server that answered a DONE event into `text`, as `snprintf` would: at most `capacity` bytes
// with the NUL. Returns the length of the whole; 0 if there is none.
//
// # Safety
// As `spanwire_event_free`; `text` is null, or `capacity` bytes can be written there.
size_t spanwire_event_peer(const struct spanwire_event *event,
                           char *text,
                           size_t capacity);

// The method of the draft, `/package.Service/Method`; valid during the hook.
//
// # Safety
// `draft` is null, or the one that a hook was called with, during that.
const char *spanwire_draft_method(const struct spanwire_draft *draft);

// Adds an entry to the request's metadata. It is copied.
//
// Answers `SPANWIRE_INVALID_ARGUMENT` for a key or a value that gRPC does not allow.
//
// # Safety
// As `spanwire_draft_method`; `entry` is null or an entry.
spanwire_result spanwire_draft_append_metadata(struct spanwire_draft *draft,
                                               const struct spanwire_metadata_entry *entry);

// Sets the call's timeout in milliseconds; 0 for none, negative: it has passed.
//
// # Safety
// As `spanwire_draft_method`.
spanwire_result spanwire_draft_set_timeout_ms(struct spanwire_draft *draft, int64_t timeout_ms);

// Sets the message of the status that the hook is about to end the call with. It is copied.
//
// # Safety
// As `spanwire_draft_method`; `message` is a string that ends in NUL, or null.
spanwire_result spanwire_draft_set_message(struct spanwire_draft *draft, const char *message);

// Adds an interceptor to the calls that the channel makes from now on. The struct is copied.
//
// # Safety
// `interceptor` is null or an interceptor, whose functions may be called from any thread that uses the channel or drains
// its calls' queues.
spanwire_result spanwire_channel_intercept(struct spanwire_channel *channel,
                                           const struct spanwire_interceptor *interceptor);

// Adds an interceptor to the server's calls. The struct is copied. `start` is not used.
//
// # Safety
// As `spanwire_channel_intercept`.
spanwire_result spanwire_server_intercept(struct spanwire_server *server,
                                          const struct spanwire_interceptor *interceptor);

// How many entries there are.
//
// # Safety
// `metadata` is null, or came from this library and is still valid.
size_t spanwire_metadata_count(const struct spanwire_metadata *metadata);

// Reads the entry at `index`, in the order in which they came; entries of one key stay in order. False if there is none.
//
// # Safety
// As `spanwire_metadata_count`; `entry` can be written, or is null.
bool spanwire_metadata_at(const struct spanwire_metadata *metadata,
                          size_t index,
                          struct spanwire_metadata_entry *entry);

// Reads the `nth` entry (from 0) with this key. False if there is none.
//
// # Safety
// As `spanwire_metadata_at`; `key` ends in NUL, or is null.
bool spanwire_metadata_find(const struct spanwire_metadata *metadata,
                            const char *key,
                            size_t nth,
                            struct spanwire_metadata_entry *entry);

// Makes a queue that the program empties with `spanwire_queue_next`. Null on failure; `spanwire_last_error` says why.
struct spanwire_queue *spanwire_queue_new(void);

// Makes a queue with a thread of its own, which calls `callback` whenever there are events. The events are the callback's
// until it comes back; then they are freed. What it asks of the library is handed over together when it comes back. It may
// call every function, also `spanwire_queue_free` of this queue; it should not wait, because no other event is told
// meanwhile. Null on failure.
//
// # Safety
// `callback` may be called with `user_data` until `spanwire_queue_free` has come back; or, if that was called in the
// callback or on a thread of an engine, until the callback has.
struct spanwire_queue *spanwire_queue_new_push(spanwire_event_callback callback,
                                               void *user_data);

// Makes a queue that keeps nothing: `callback` gets each event where it happens, on a thread of the engine, in the middle of
// its call's turn. An answer given there goes out in the same turn, without a step to another thread: the cheapest way for
// programs that answer at once. Until it comes back, all other calls of that thread stand still. So it must not wait, and
// functions that would wait for events or for a server answer `SPANWIRE_INVALID_ARGUMENT` there.
//
// It is called by several threads at once if the engine has several; the events of one call come one after the other. Each
// event is the callback's until it comes back; then it is freed. It may call every function, also `spanwire_queue_free`.
// Null on failure.
//
// # Safety
// `callback` may be called with `user_data` until `spanwire_queue_free` has come back; or, if that was called on a thread of
// an engine, until `spanwire_engine_free` has.
struct spanwire_queue *spanwire_queue_new_inline(spanwire_event_callback callback,
                                                 void *user_data);

// Takes events out of a queue, oldest first, into `events`, and waits for the first one: `timeout_ms`, not at all (0), or
// for ever (negative). They are to be freed by `spanwire_events_free` before the array is used again.
//
// Returns how many there are; 0: the time is up, or `spanwire_queue_wake` was called; negative: a `spanwire_result`, of
// which `SPANWIRE_SHUT_DOWN` says that the queue was freed meanwhile. If there are as many as `capacity`, more may be left.
// Several threads may empty one queue; the order of events of one call holds then only as far as they keep it.
//
// # Safety
// `capacity` events can be written at `events`.
int32_t spanwire_queue_next(struct spanwire_queue *queue,
                            struct spanwire_event *events,
                            size_t capacity,
                            int64_t timeout_ms);

// A descriptor that is readable while there are events (or after `spanwire_queue_wake`): for `poll`, `epoll`, `kqueue`,
// libuv, GLib. Level-triggered; `spanwire_queue_next` with a timeout of 0 until it returns less than `capacity` makes it
// unreadable. It belongs to the queue: neither read nor close it. Negative: a `spanwire_result`.
int32_t spanwire_queue_descriptor(struct spanwire_queue *queue);

// Makes one `spanwire_queue_next` return 0: the one that waits now, or the next one; and the descriptor readable until
// then. From any thread.
spanwire_result spanwire_queue_wake(struct spanwire_queue *queue);

// Tells how many events came into the queue so far, and how often its program had to be woken for them.
//
// # Safety
// Both pointers are null or can be written.
spanwire_result spanwire_queue_stats(struct spanwire_queue *queue, uint64_t *events, uint64_t *wakes);

// Frees a queue with the events that are in it. Calls that report to it are cancelled when they next have something to say,
// server calls that nobody has seen fail, and threads that wait in `spanwire_queue_next` return. Of a queue with a callback,
// it waits for that to come back, unless it is called in it or on a thread of an engine. Null and freed ones do nothing.
void spanwire_queue_free(struct spanwire_queue *queue);

// From here until `spanwire_batch_end`, what this thread asks of the library is only collected; each answer is as always.
// Batches nest. A function that waits hands over first.
void spanwire_batch_begin(void);

// Hands over what was collected since `spanwire_batch_begin`, with one wake-up of the engine: worth it around the handling
// of an array of events. Without a begin it does nothing.
void spanwire_batch_end(void);

// Makes a server that does not listen yet. `engine` and `options` may be null. Null on failure; `spanwire_last_error` says
// which option is wrong.
//
// # Safety
// `options` is null or as its documentation asks.
struct spanwire_server *spanwire_server_new(struct spanwire_engine *engine_,
                                            const struct spanwire_server_options *options_);

// Has calls of `method` (`/package.Service/Method`) told to `queue`: a REQUEST each, with `tag` in all of their events.
// `credit` messages of a stream may arrive before `spanwire_server_call_grant`. To be said before `spanwire_server_listen`.
//
// # Safety
// `method` is a string that ends in NUL.
spanwire_result spanwire_server_method(struct spanwire_server *server,
                                       const char *method,
                                       spanwire_kind kind,
                                       struct spanwire_queue *queue,
                                       void *tag,
                                       uint32_t credit);

// Has calls of all other methods told to `queue`, as bidirectional ones: for proxies. Without it they are UNIMPLEMENTED.
spanwire_result spanwire_server_fallback(struct spanwire_server *server,
                                         struct spanwire_queue *queue,
                                         void *tag,
                                         uint32_t credit);

// Listens on `address` (`host:port`, `[::]:port`, `unix:/path`, `inprocess:name`) and serves from then on. Port 0 takes a
// free one; `spanwire_server_port` says which. It waits for the address, which takes time only if that is a name.
//
// Answers `SPANWIRE_SYSTEM` if the address cannot be had, `SPANWIRE_INVALID_ARGUMENT` if an option or a certificate cannot
// be used, `SPANWIRE_OVER` if it listens already. After a failure it may be tried again with another address.
//
// # Safety
// `address` is a string that ends in NUL.
spanwire_result spanwire_server_listen(struct spanwire_server *server,
                                       const char *address);

// The port that the server listens on; 0 if it does not, or not on TCP. Negative: a `spanwire_result`.
int32_t spanwire_server_port(struct spanwire_server *server);

// Writes a target for channels on this machine into `text`, as `snprintf` would: at most `capacity` bytes with the NUL.
// Returns the length of the whole; 0 if the server does not listen.
//
// # Safety
// `text` is null, or `capacity` bytes can be written there.
size_t spanwire_server_target(struct spanwire_server *server,
                              char *text,
                              size_t capacity);

// Says whether a service can be called: SERVING, or NOT_SERVING. For servers with the option `health`. The empty name is the
// server as a whole, which serves until it is said that it does not; of the others nothing is known before. While the
// server shuts down none serves, whatever is said.
//
// # Safety
// `service` is a string that ends in NUL.
spanwire_result spanwire_server_set_health(struct spanwire_server *server,
                                           const char *service,
                                           bool serving);

// Lets `requests` more requests through, if the server was made with `manual_accept`; else it does nothing.
spanwire_result spanwire_server_accept(struct spanwire_server *server, uint32_t requests);

// Shuts the server down: its health service says NOT_SERVING; after `drain_delay_ms` it accepts no more, tells clients to go
// elsewhere, lets running calls finish, and ends those that are left after `grace_ms` (negative is 0). Then SERVER_CLOSED
// comes to `queue` with `tag`, half a second after that at the latest. The server is still to be freed.
spanwire_result spanwire_server_shutdown(struct spanwire_server *server,
                                         int64_t grace_ms,
                                         struct spanwire_queue *queue,
                                         void *tag);

// Like `spanwire_server_shutdown`, and waits for it. Calls have to be answered meanwhile on other threads, or they last until
// the grace is over.
spanwire_result spanwire_server_shutdown_blocking(struct spanwire_server *server,
                                                  int64_t grace_ms);

// Writes the server's numbers to `stats`, at most `capacity` of them, and returns how many there are: connections, calls,
// and how often each limit was hit. 0 on failure, and while it does not listen.
//
// # Safety
// `stats` is null, or `capacity` of them can be written there.
size_t spanwire_server_stats(struct spanwire_server *server,
                             struct spanwire_stat *stats,
                             size_t capacity);

// Frees a server. If it still runs it ends at once: its calls get their CANCELLED. It does not wait for that: to use the
// address again at once, shut it down by `spanwire_server_shutdown_blocking` before. Null and freed ones do nothing.
void spanwire_server_free(struct spanwire_server *server);

// Sends the leading metadata of `answer` now instead of with the first message, and chooses the compression.
//
// Answers `SPANWIRE_OVER` when the call has ended, was answered, or its metadata were sent before.
//
// # Safety
// `answer` is null or as its documentation asks.
spanwire_result spanwire_server_call_headers(struct spanwire_server_call *call,
                                             const struct spanwire_answer *answer);

// Sends a message of a stream. It is taken at once, and sent as there is room; the answers are those of
// `spanwire_call_send`. On a unary method use `spanwire_server_call_respond`.
//
// # Safety
// `message` is as its documentation asks.
spanwire_result spanwire_server_call_send(struct spanwire_server_call *call, const struct spanwire_buffer *message);

// Lets `messages` more request messages arrive. No more than were granted ever come.
spanwire_result spanwire_server_call_grant(struct spanwire_server_call *call, uint32_t messages);

// Answers the call in one: leading metadata, `message`, and OK with the trailers. `answer` may be null. If this answers 0
// the call is over for the program, and no CANCELLED follows; the handle is still to be freed.
//
// Answers `SPANWIRE_OVER` when the call has ended or was answered; `SPANWIRE_INVALID_ARGUMENT` for a message above
// `max_send_message_bytes`, after which the call waits for another answer.
//
// # Safety
// `message` and `answer` are as their documentation asks.
spanwire_result spanwire_server_call_respond(struct spanwire_server_call *call,
                                             const struct spanwire_buffer *message,
                                             const struct spanwire_answer *answer);

// Ends the call with a status, behind what was sent. `message` is UTF-8 that ends in NUL, or null; `answer` may be null. If
// this answers 0 the call is over for the program, and no CANCELLED follows; the handle is still to be freed.
//
// # Safety
// `message` and `answer` are as above.
spanwire_result spanwire_server_call_finish(struct spanwire_server_call *call,
                                            spanwire_code code,
                                            const char *message,
                                            const struct spanwire_answer *answer);

// Resets the call's stream: the client sees CANCELLED, and nothing of what waits to be sent. If this answers 0 the call is
// over for the program.
spanwire_result spanwire_server_call_cancel(struct spanwire_server_call *call);

// Keeps a pointer of the program with the call, until it is freed.
spanwire_result spanwire_server_call_set_data(struct spanwire_server_call *call, void *data);

// The pointer that the program keeps with the call; null before, and for a call that was freed.
void *spanwire_server_call_data(struct spanwire_server_call *call);

// The method, `/package.Service/Method`, which ends in NUL; `len`, if not null, gets its length. Valid until the call is
// freed; null for one that was.
//
// # Safety
// `len` is null or can be written.
const char *spanwire_server_call_method(struct spanwire_server_call *call,
                                        size_t *len);

// The request's metadata, without the entries that are gRPC's own. Valid until the call is freed; null if there are none.
const struct spanwire_metadata *spanwire_server_call_metadata(struct spanwire_server_call *call);

// How long the client still waits, in milliseconds; `INT64_MAX` without a deadline. Negative: a `spanwire_result`.
int64_t spanwire_server_call_time_remaining_ms(struct spanwire_server_call *call);

// Writes the client's address into `text`, as `snprintf` would. Returns the length of the whole; 0 on failure.
//
// # Safety
// `text` is null, or `capacity` bytes can be written there.
size_t spanwire_server_call_peer(struct spanwire_server_call *call, char *text, size_t capacity);

// Writes where in a trace the call is into `text`, as `snprintf` would: the value of `traceparent`, for calls that are made
// for this one without `parent`. Returns its length; 0 without telemetry, and on failure.
//
// # Safety
// `text` is null, or `capacity` bytes can be written there.
size_t spanwire_server_call_traceparent(struct spanwire_server_call *call,
                                        char *text,
                                        size_t capacity);

// The certificate at `index` of the chain that the client proved to own, the client's own first: points `der` to it and
// returns its length. 0: there is none. Valid until the call is freed.
//
// # Safety
// `der` is null or can be written.
size_t spanwire_server_call_peer_certificate(struct spanwire_server_call *call,
                                             size_t index,
                                             const uint8_t **der);

// Writes a name in the certificate that the client proved to own into `text`, as `snprintf` would: that at `index` among those
// of its kind. Returns the length of the whole; 0: there is none.
//
// # Safety
// `text` is null, or `capacity` bytes can be written there.
size_t spanwire_server_call_peer_name(struct spanwire_server_call *call,
                                      spanwire_name kind,
                                      size_t index,
                                      char *text,
                                      size_t capacity);

// Writes who calls, the claim `sub` of the token, into `text`, as `snprintf` would. Returns the length of the whole; 0: no token
// was asked for, or it does not say.
//
// # Safety
// `text` is null, or `capacity` bytes can be written there.
size_t spanwire_server_call_subject(struct spanwire_server_call *call,
                                    char *text,
                                    size_t capacity);

// Writes what the caller's token says, the JSON object that was signed, into `text`, as `snprintf` would. Returns the length of
// the whole; 0: no token was asked for.
//
// # Safety
// `text` is null, or `capacity` bytes can be written there.
size_t spanwire_server_call_claims(struct spanwire_server_call *call,
                                   char *text,
                                   size_t capacity);

// Frees the handle; a call that was not answered fails with INTERNAL. Events of it that are still in the queue are dropped.
// Null and freed ones do nothing.
void spanwire_server_call_free(struct spanwire_server_call *call);

// Gives the token that a request asks for; the request is over with it. It is asked for again shortly before `expires_ms`,
// in milliseconds since 1970; with 0 before the `exp` of a JWT, and for other tokens once a minute.
//
// # Safety
// `token` is a string that ends in NUL.
spanwire_result spanwire_token_answer(struct spanwire_token_request *request,
                                      const char *token,
                                      int64_t expires_ms);

// Says that there is no token: calls that wait for it fail with this status, and so do those of the next second. The request
// is over with it.
//
// # Safety
// `message` is null, or UTF-8 that ends in NUL.
spanwire_result spanwire_token_refuse(struct spanwire_token_request *request,
                                      spanwire_code code,
                                      const char *message);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SPANWIRE_H */
