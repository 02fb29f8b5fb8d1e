//! The functions of clients.

use super::function::{Function, call};
use super::name::MethodNames;
use super::runtime::Runtime;
use super::{ServiceCode, kind};
use crate::layout::paragraphs;
use crate::service::{Kind, Method};
use crate::{Error, service};

/// All functions of a service's clients.
pub(crate) fn functions(service: &ServiceCode<'_>) -> Result<Vec<Function>, Error> {
    let mut functions = Vec::new();
    for (method, names) in service.methods() {
        let client = Client { method, names, runtime: service.runtime };
        functions.push(client.start()?);
        if method.kind == Kind::Unary {
            functions.push(client.blocking()?);
        }
        if method.kind.client_streams() {
            functions.push(client.send()?);
        }
        functions.extend(client.receive()?);
    }
    Ok(functions)
}

/// `"cannot decode shop.v1.Order: malformed message"`: what the engine says of such messages.
pub(crate) fn undecodable(message: service::Type<'_>) -> String {
    format!("\"cannot decode {}: malformed message\"", message.full_name)
}

struct Client<'a> {
    method: &'a Method<'a>,
    names: &'a MethodNames,
    runtime: Runtime,
}

impl Client<'_> {
    /// A public function: its documentation ends with `text`.
    fn function(
        &self,
        suffix: &str,
        result: &str,
        parameters: Vec<String>,
        body: String,
        text: &str,
    ) -> Function {
        let source = if suffix.is_empty() { self.method.place.comment.as_slice() } else { &[] };
        let deprecated = if suffix.is_empty() && self.method.deprecated { " Deprecated." } else { "" };
        Function {
            doc: paragraphs(source, &format!("{text}{deprecated}"), 0),
            result: result.to_owned(),
            name: format!("{}{suffix}", self.names.function),
            parameters,
            body,
            public: true,
        }
    }

    /// Begins a call. Kinds with one request have it with them.
    fn start(&self) -> Result<Function, Error> {
        let mut parameters = vec!["spanwire_channel *channel".to_owned()];
        let one_request = !self.method.kind.client_streams();
        if one_request {
            parameters.push(self.runtime.sent(self.method.input, "request")?);
        }
        for parameter in ["const spanwire_call_options *options", "spanwire_queue *queue", "void *tag"] {
            parameters.push(parameter.to_owned());
        }
        parameters.push("spanwire_call **call".to_owned());
        let path = &self.names.path;
        let (mut body, buffer) = match one_request {
            true => self.runtime.pack(self.method.input, "request", "0"),
            false => (String::new(), String::new()),
        };
        body.push_str(&match self.method.kind {
            Kind::Unary => call(
                "return spanwire_call_unary",
                &["channel", path, &buffer, "options", "queue", "tag", "call"],
            ),
            Kind::ServerStreaming => call(
                "return start_with_request",
                &["channel", path, &buffer, "options", "queue", "tag", "call"],
            ),
            Kind::ClientStreaming | Kind::Bidi => {
                let kind = kind(self.method.kind);
                call(
                    "return spanwire_call_start",
                    &["channel", path, kind, "options", "queue", "tag", "call"],
                )
            }
        });
        Ok(self.function("", "spanwire_result ", parameters, body, &self.about_start()))
    }

    fn about_start(&self) -> String {
        let MethodNames { function, .. } = self.names;
        let path = &self.method.path;
        let (response, message) = match self.runtime {
            Runtime::Bytes => (String::new(), String::new()),
            _ => (
                format!("; {function}_response() reads it"),
                format!(", to be read with {function}_message()"),
            ),
        };
        let refused = match (self.runtime, self.method.kind.client_streams()) {
            (Runtime::Bytes, _) | (_, true) => "",
            _ => " A request that cannot be packed is SPANWIRE_INVALID_ARGUMENT.",
        };
        match self.method.kind {
            Kind::Unary => format!(
                "Calls `{path}`. The DONE event brings the response{response}. `options` and `call` may be null. Answers \
                 as spanwire_call_unary().{refused}"
            ),
            Kind::ServerStreaming => format!(
                "Calls `{path}`. Responses arrive in MESSAGES events{message}, as many as `options->credit` and \
                 spanwire_call_grant() let in. `options` may be null. Answers as spanwire_call_start().{refused}"
            ),
            Kind::ClientStreaming => format!(
                "Begins a call of `{path}`: send with {function}_send(), and end with SPANWIRE_SEND_LAST or \
                 spanwire_call_half_close(). The response arrives in a MESSAGES event{message}. `options` may be null. \
                 Answers as spanwire_call_start()."
            ),
            Kind::Bidi => format!(
                "Begins a call of `{path}`: send with {function}_send(), and end with SPANWIRE_SEND_LAST or \
                 spanwire_call_half_close(). Responses arrive in MESSAGES events{message}, as many as \
                 `options->credit` and spanwire_call_grant() let in. `options` may be null. Answers as \
                 spanwire_call_start()."
            ),
        }
    }

    /// A unary call that waits.
    fn blocking(&self) -> Result<Function, Error> {
        let MethodNames { function, path, .. } = self.names;
        let response = self.runtime.type_name(self.method.output)?;
        let (prepare, pointer, decode, text) = match self.runtime {
            Runtime::ProtobufC => (
                "  *response = NULL;\n",
                "**response",
                format!("*response = {function}_response(done);"),
                "`*response` is the message, or null unless the status in `done` is OK; free it with \
                 protobuf_c_message_free_unpacked().",
            ),
            Runtime::Nanopb => (
                "",
                "*response",
                format!("(void){function}_response(done, response);"),
                "`response` must be initialised, and is filled if the status in `done` is OK; pb_release() frees what it \
                 then holds.",
            ),
            Runtime::Bytes => (
                "  *response = (spanwire_bytes){.data = NULL};\n",
                "*response",
                "*response = spanwire_bytes_take(&done->message);".to_owned(),
                "`*response` is the message, without data unless the status in `done` is OK; free it with \
                 spanwire_bytes_free().",
            ),
        };
        let (pack, buffer) = self.runtime.pack(self.method.input, "request", "0");
        let body = format!(
            "{prepare}{pack}{}  if (result >= 0) {{
    {decode}
  }}
  return result;
",
            call(
                "spanwire_result result = spanwire_call_unary_blocking",
                &["channel", path, &buffer, "options", "done"]
            )
        );
        let parameters = vec![
            "spanwire_channel *channel".to_owned(),
            self.runtime.sent(self.method.input, "request")?,
            "const spanwire_call_options *options".to_owned(),
            format!("{response} {pointer}"),
            "spanwire_event *done".to_owned(),
        ];
        let text = format!(
            "Calls `{}` and waits for the end on this thread. `done` is filled as a DONE event if this answers >= 0: free \
             it with spanwire_event_free(). {text} `options` may be null.",
            self.method.path
        );
        Ok(self.function("_blocking", "spanwire_result ", parameters, body, &text))
    }

    fn send(&self) -> Result<Function, Error> {
        let (pack, buffer) = self.runtime.pack(self.method.input, "message", "flags");
        let body = format!("{pack}  return spanwire_call_send(call, {buffer});\n");
        let parameters = ["spanwire_call *call".to_owned(), self.runtime.sent(self.method.input, "message")?];
        let parameters = parameters.into_iter().chain(self.runtime.flags()).collect();
        let flags = match self.runtime {
            Runtime::Bytes => "",
            _ => " `flags` are those of a spanwire_buffer; 0 for none.",
        };
        let text = format!(
            "Sends a message on a call of {}().{flags} Answers as spanwire_call_send().",
            self.names.function
        );
        Ok(self.function("_send", "spanwire_result ", parameters, body, &text))
    }

    /// Decodes what arrives: the response of a unary call, or a message. Bytes need no decoding.
    fn receive(&self) -> Result<Option<Function>, Error> {
        let unary = self.method.kind == Kind::Unary;
        let function = &self.names.function;
        let response = self.runtime.type_name(self.method.output)?;
        let descriptor = self.runtime.descriptor(self.method.output)?;
        let undecodable = undecodable(self.method.output);
        let (suffix, source) = match unary {
            true => ("_response", "spanwire_event *done"),
            false => ("_message", "const spanwire_bytes *bytes"),
        };
        let failed = match unary {
            true => {
                "if the call failed: `done->status` says why, and is made INTERNAL for a response that cannot be \
                     decoded"
            }
            false => "if it cannot be decoded: cancel the call then",
        };
        let (result, parameters, body, text) = match self.runtime {
            Runtime::Bytes => return Ok(None),
            Runtime::ProtobufC => (
                format!("{response} *"),
                vec![source.to_owned()],
                match unary {
                    true => call(
                        &format!("return ({response} *)unpack_response"),
                        &[&descriptor, "done", &undecodable],
                    ),
                    false => call(&format!("return ({response} *)unpack_message"), &[&descriptor, "bytes"]),
                },
                format!("free it with protobuf_c_message_free_unpacked(). Null {failed}."),
            ),
            Runtime::Nanopb => {
                let name = if unary { "response" } else { "message" };
                let body = match unary {
                    true => call("return decode_response", &[&descriptor, "done", "response", &undecodable]),
                    false => format!("  return decode_message({descriptor}, bytes, message) == NULL;\n"),
                };
                let parameters = vec![source.to_owned(), format!("{response} *{name}")];
                let text = format!(
                    "decoded into `{name}`, which must be initialised; pb_release() frees what it then holds. False {failed}."
                );
                ("bool ".to_owned(), parameters, body, text)
            }
        };
        let what = match self.method.kind {
            Kind::Unary => format!("The response in a DONE event of {function}()"),
            Kind::ClientStreaming => format!("The response, in a MESSAGES event of {function}()"),
            Kind::ServerStreaming | Kind::Bidi => format!("A message in a MESSAGES event of {function}()"),
        };
        let separator = if self.runtime == Runtime::ProtobufC { ";" } else { "," };
        Ok(Some(self.function(suffix, &result, parameters, body, &format!("{what}{separator} {text}"))))
    }
}
