/* The methods of the server. */
#ifndef INTEROP_SERVER_H
#define INTEROP_SERVER_H

#include <spanwire.h>
#include <stdbool.h>
#include <stdint.h>

#include "fail.h"
#include "message.h"
#include "serve.h"
#include "testing.h"

begin_call empty_call, unary_call;
begin_call streaming_input_call, streaming_output_call, full_duplex_call, half_duplex_call;
begin_call stream_core_metrics;

/* What goes out beside messages: the metadata that are asked back. */
struct echo {
  spanwire_metadata_entry initial[4];
  spanwire_metadata_entry trailing[4];
  spanwire_answer answer;
};

/* Fills `echo` with what the request carries; it is valid as long as the call. */
void echo_metadata(spanwire_server_call *handle, struct echo *echo);

/* Whether a request came compressed as it says of itself; ends the call if not. */
bool claim_holds(spanwire_server_call *handle, const BoolValue *claim, const spanwire_bytes *request);

/* Whether the request asks for a status other than OK; ends the call with it if so. */
bool failed_as_asked(spanwire_server_call *handle, const EchoStatus *wanted, const spanwire_answer *answer);

/* A payload of zero bytes; free its body. Ends the call if there can be no such payload. */
bool make_payload(spanwire_server_call *handle, int kind, int size, Payload *payload);

/* Reports that load from now on. */
void load_set(const TestOrcaReport *report);
/* Frees it. */
void load_forget(void);

#endif
