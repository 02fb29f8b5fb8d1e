//! The functions for one method of a server: what its events lead to, and its typed answer.

use std::fmt::Write;

use super::function::Function;
use super::name::MethodNames;
use super::runtime::Runtime;
use super::server::event_parameters;
use crate::Error;
use crate::layout::{assign, wrap};
use crate::service::{Kind, Method};

/// A method of a server.
pub(crate) struct MethodCode<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) method: &'a Method<'a>,
    pub(crate) names: &'a MethodNames,
    pub(crate) runtime: Runtime,
}

impl MethodCode<'_> {
    fn private(&self, suffix: &str, body: String) -> Function {
        Function {
            doc: Vec::new(),
            result: "void ".to_owned(),
            name: format!("on_{}{suffix}", self.names.function),
            parameters: event_parameters(self.prefix),
            body,
            public: false,
        }
    }

    /// Statements that answer a call without a handler.
    fn unimplemented(&self, indent: &str) -> String {
        let MethodNames { member, path, .. } = self.names;
        format!(
            "{indent}if (service->{member} == NULL) {{
{indent}  refuse_unimplemented(call, {path} \" is not implemented\");
{indent}  return;
{indent}}}
"
        )
    }

    /// The static functions for its events.
    pub(crate) fn events(&self) -> Result<Vec<Function>, Error> {
        Ok(match self.method.kind.client_streams() {
            true => vec![self.messages()?, self.stream_event()],
            false => vec![self.request_event()?],
        })
    }

    /// Kinds with one request.
    fn request_event(&self) -> Result<Function, Error> {
        let Decoded { before, failed, argument, after } = self.decode("request", "&event->message", 2)?;
        let other = format!("on_{}_other", self.prefix);
        let mut body = format!(
            "  spanwire_server_call *call = event->server_call;
  if (event->type != SPANWIRE_EVENT_REQUEST) {{
    {other}(service, event);
    return;
  }}
{}",
            self.unimplemented("  ")
        );
        body.push_str(&before);
        if let Some(failed) = failed {
            let _ = write!(
                body,
                "  if ({failed}) {{
    {}
    spanwire_server_call_free(call);
    return;
  }}
",
                self.finish_undecodable()
            );
        }
        let _ = writeln!(body, "  service->{}(service->self, call, {argument}, event);", self.names.member);
        body.push_str(&after);
        Ok(self.private("", body))
    }

    /// Kinds with a stream of requests: their messages. False: the call is over.
    fn messages(&self) -> Result<Function, Error> {
        let Decoded { before, failed, argument, after } = self.decode("message", "&event->messages[i]", 4)?;
        let mut body = String::from(
            "  spanwire_server_call *call = event->server_call;
  for (size_t i = 0; i < event->message_count; i++) {
    if (!is_live(call)) {
      return false;
    }
",
        );
        body.push_str(&before);
        if let Some(failed) = failed {
            let _ = write!(
                body,
                "    if ({failed}) {{
      {}
      on_{}_over(service, event);
      return false;
    }}
",
                self.finish_undecodable(),
                self.prefix
            );
        }
        let member = &self.names.message_member;
        let _ = write!(
            body,
            "    if (service->{member} != NULL) {{
      service->{member}(service->self, call, {argument}, event);
    }}
{after}  }}
  if (!service->manual_grant && event->message_count > 0) {{
    spanwire_server_call_grant(call, (uint32_t)event->message_count);
  }}
  return true;
"
        );
        let mut function = self.private("_messages", body);
        function.doc = wrap("False: the call is over.", 0);
        function.result = "bool ".to_owned();
        Ok(function)
    }

    /// Kinds with a stream of requests.
    fn stream_event(&self) -> Function {
        let MethodNames { member, end_member, function, .. } = self.names;
        let body = format!(
            "  spanwire_server_call *call = event->server_call;
  if (event->type == SPANWIRE_EVENT_REQUEST) {{
{}    service->{member}(service->self, call, event);
  }} else if (event->type != SPANWIRE_EVENT_MESSAGES) {{
    on_{}_other(service, event);
    return;
  }} else if (!on_{function}_messages(service, event)) {{
    return;
  }}
  if (event->end && service->{end_member} != NULL && is_live(call)) {{
    service->{end_member}(service->self, call, event);
  }}
",
            self.unimplemented("    "),
            self.prefix
        );
        self.private("", body)
    }

    /// The typed answer, or message of an answer.
    pub(crate) fn answer(&self) -> Result<Function, Error> {
        let path = &self.method.path;
        let packs = match self.runtime {
            Runtime::Bytes => "",
            _ => " A message that cannot be packed is SPANWIRE_INVALID_ARGUMENT, and the call goes on.",
        };
        let mut parameters = vec!["spanwire_server_call *call".to_owned()];
        let (suffix, body, text) = match self.method.kind {
            Kind::Unary | Kind::ClientStreaming => {
                parameters.push(self.runtime.sent(self.method.output, "response")?);
                parameters.push("const spanwire_answer *answer".to_owned());
                let (pack, buffer) = self.runtime.pack(self.method.output, "response", "0");
                let text = format!(
                    "Answers a call of `{path}`. `answer` may be null. As spanwire_server_call_respond().{packs}"
                );
                let body = format!("{pack}  return spanwire_server_call_respond(call, {buffer}, answer);\n");
                ("_respond", body, text)
            }
            Kind::ServerStreaming | Kind::Bidi => {
                parameters.push(self.runtime.sent(self.method.output, "message")?);
                parameters.extend(self.runtime.flags());
                let (pack, buffer) = self.runtime.pack(self.method.output, "message", "flags");
                let text = format!(
                    "Sends a message to the client of a call of `{path}`. As spanwire_server_call_send().{packs}"
                );
                ("_server_send", format!("{pack}  return spanwire_server_call_send(call, {buffer});\n"), text)
            }
        };
        Ok(Function {
            doc: wrap(&text, 0),
            result: "spanwire_result ".to_owned(),
            name: format!("{}{suffix}", self.names.function),
            parameters,
            body,
            public: true,
        })
    }

    /// The statement that ends a call over a message that cannot be decoded.
    fn finish_undecodable(&self) -> String {
        let reason = match self.runtime {
            Runtime::Nanopb => "reason",
            _ => "\"malformed message\"",
        };
        format!("finish_undecodable(call, \"{}\", {reason});", self.method.input.full_name)
    }

    /// How the message in `bytes` becomes the argument of a handler.
    fn decode(&self, name: &str, bytes: &str, indent: usize) -> Result<Decoded, Error> {
        let input = self.method.input;
        let type_name = self.runtime.type_name(input)?;
        let descriptor = self.runtime.descriptor(input)?;
        let space = " ".repeat(indent);
        Ok(match self.runtime {
            Runtime::ProtobufC => Decoded {
                before: assign(
                    &format!("{type_name} *{name} ="),
                    &format!("({type_name} *)unpack_message"),
                    &[descriptor, bytes.to_owned()],
                    indent,
                ),
                failed: Some(format!("{name} == NULL")),
                argument: name.to_owned(),
                after: format!(
                    "{space}protobuf_c_message_free_unpacked((ProtobufCMessage *){name}, NULL);\n"
                ),
            },
            Runtime::Nanopb => Decoded {
                before: format!(
                    "{space}{type_name} {name} = {type_name}_init_zero;
{space}const char *reason = decode_message({descriptor}, {bytes}, &{name});
"
                ),
                failed: Some("reason != NULL".to_owned()),
                argument: format!("&{name}"),
                after: format!("{space}pb_release({descriptor}, &{name});\n"),
            },
            Runtime::Bytes => Decoded {
                before: String::new(),
                failed: None,
                argument: bytes.to_owned(),
                after: String::new(),
            },
        })
    }
}

/// See [`MethodCode::decode`].
struct Decoded {
    before: String,
    /// The condition under which the message cannot be decoded.
    failed: Option<String>,
    argument: String,
    after: String,
}
