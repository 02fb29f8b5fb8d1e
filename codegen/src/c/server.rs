//! What servers have: the struct of handlers, registering, dispatching, and answers.

use std::fmt::Write;

use super::function::Function;
use super::name::MethodNames;
use super::runtime::Runtime;
use super::{ServiceCode, kind};
use crate::layout::{assign, comment, list, paragraphs, wrap};
use crate::service::{Kind, Method};
use crate::{Error, service::Type};

/// Messages of a stream that may wait, where the program does not say.
const CREDIT: u32 = 16;

/// The struct of handlers.
pub(crate) fn interface(code: &ServiceCode<'_>) -> Result<String, Error> {
    let prefix = &code.names.prefix;
    let about = format!(
        "Handlers for the service `{}`. They run in {prefix}_dispatch(); messages are valid until they return. A call is \
         theirs from its request on: they answer it, then or later, from any thread, and free it with \
         spanwire_server_call_free(). What they keep for a call goes with spanwire_server_call_set_data().",
        code.service.full_name
    );
    let mut text = comment(&paragraphs(&code.service.place.comment, &about, 0), 0);
    let _ = writeln!(text, "typedef struct {prefix}_service {{");
    let mut member = |doc: &[String], declaration: &str| {
        let _ = write!(text, "{}  {declaration}\n\n", comment(doc, 2));
    };
    member(&wrap("Given to every handler.", 2), "void *self;");
    let credit = format!("Messages of a stream that may arrive before they are granted; 0 means {CREDIT}.");
    member(&wrap(&credit, 2), "uint32_t credit;");
    member(
        &wrap(
            "Whether the program grants messages with spanwire_server_call_grant(). Otherwise each is granted again when \
             its handler returns.",
            2,
        ),
        "bool manual_grant;",
    );
    for (method, names) in code.methods() {
        for (doc, declaration) in handlers(method, names, code.runtime)? {
            member(&doc, &declaration);
        }
    }
    member(
        &wrap("A send that answered SPANWIRE_FULL has room again. May be null.", 2),
        "void (*on_writable)(void *self, spanwire_server_call *call, spanwire_event *event);",
    );
    let cancelled = "The call is over without an answer of the program: the client cancelled it, its deadline passed, or it \
                     sent what cannot be decoded. Frees the call. Null: it is freed.";
    member(
        &wrap(cancelled, 2),
        "void (*on_cancelled)(void *self, spanwire_server_call *call, spanwire_event *event);",
    );
    text.truncate(text.trim_end().len());
    let _ = write!(text, "\n}} {prefix}_service;\n\n");
    Ok(text)
}

/// The members for a method, each with its documentation.
fn handlers(
    method: &Method<'_>,
    names: &MethodNames,
    runtime: Runtime,
) -> Result<Vec<(Vec<String>, String)>, Error> {
    let answer = match method.kind.server_streams() {
        true => {
            format!("Send with {}_server_send(), and end with spanwire_server_call_finish()", names.function)
        }
        false => format!("Answer with {}_respond() or spanwire_server_call_finish()", names.function),
    };
    let streams = method.kind.client_streams();
    let begins = if streams { "A call begins; its messages follow." } else { "" };
    let deprecated = if method.deprecated { " Deprecated." } else { "" };
    let text = format!("`{}`. {begins} {answer}. Null: UNIMPLEMENTED.{deprecated}", method.path);
    let message = |name: &str| received(method.input, name, runtime);
    let handler = |name: &str, message: Option<String>| {
        let parameters: Vec<String> = ["void *self", "spanwire_server_call *call"]
            .map(str::to_owned)
            .into_iter()
            .chain(message)
            .chain(["spanwire_event *event".to_owned()])
            .collect();
        list(&format!("void (*{name})"), &parameters, ";", 2).trim_start().to_owned()
    };
    let request = if streams { None } else { Some(message("request")?) };
    let mut members = vec![(paragraphs(&method.place.comment, &text, 2), handler(&names.member, request))];
    if streams {
        let text = format!("The next message of a call of `{}`. Null: messages are ignored.", method.path);
        members.push((wrap(&text, 2), handler(&names.message_member, Some(message("message")?))));
        let text = format!("The client of a call of `{}` sends no more. May be null.", method.path);
        members.push((wrap(&text, 2), handler(&names.end_member, None)));
    }
    Ok(members)
}

/// The parameter for a message that arrived. Bytes may be taken out of it.
fn received(message: Type<'_>, name: &str, runtime: Runtime) -> Result<String, Error> {
    let constant = if runtime == Runtime::Bytes { "" } else { "const " };
    Ok(format!("{constant}{} *{name}", runtime.type_name(message)?))
}

/// All functions of a service's servers.
pub(crate) fn functions(code: &ServiceCode<'_>) -> Result<Vec<Function>, Error> {
    let mut functions = Vec::new();
    if !code.service.methods.is_empty() {
        functions.extend(other_events(code));
    }
    for (method, names) in code.methods() {
        let server = Server { prefix: &code.names.prefix, method, names, runtime: code.runtime };
        if method.kind.client_streams() {
            functions.push(server.messages()?);
            functions.push(server.stream_event());
        } else {
            functions.push(server.request_event()?);
        }
    }
    functions.extend([register(code), dispatch(code)]);
    for (method, names) in code.methods() {
        let server = Server { prefix: &code.names.prefix, method, names, runtime: code.runtime };
        functions.push(server.answer()?);
    }
    Ok(functions)
}

fn event_parameters(prefix: &str) -> Vec<String> {
    vec![format!("const {prefix}_service *service"), "spanwire_event *event".to_owned()]
}

/// The static functions for events that are the same for all methods.
fn other_events(code: &ServiceCode<'_>) -> [Function; 2] {
    let prefix = &code.names.prefix;
    let function = |suffix: &str, doc: &str, body: String| Function {
        doc: wrap(doc, 0),
        result: "void ".to_owned(),
        name: format!("on_{prefix}_{suffix}"),
        parameters: event_parameters(prefix),
        body,
        public: false,
    };
    let over = "  if (service->on_cancelled == NULL) {
    spanwire_server_call_free(event->server_call);
  } else {
    service->on_cancelled(service->self, event->server_call, event);
  }
";
    let other = format!(
        "  if (!is_live(event->server_call)) {{
    return;
  }}
  if (event->type == SPANWIRE_EVENT_CANCELLED) {{
    on_{prefix}_over(service, event);
  }} else if (event->type == SPANWIRE_EVENT_WRITABLE && service->on_writable != NULL) {{
    service->on_writable(service->self, event->server_call, event);
  }}
"
    );
    [function("over", "A call ended without its handler.", over.to_owned()), function("other", "", other)]
}

fn register(code: &ServiceCode<'_>) -> Function {
    let mut body = String::new();
    if code.methods().next().is_none() {
        body.push_str("  (void)server;\n  (void)service;\n  (void)queue;\n  return SPANWIRE_DONE;\n");
    } else {
        body.push_str("  const struct {\n    const char *path;\n    spanwire_kind kind;\n    void *tag;\n  } methods[] = {\n");
        for (method, names) in code.methods() {
            let _ = writeln!(
                body,
                "      {{{}, {}, &service->{}}},",
                names.path,
                kind(method.kind),
                names.member
            );
        }
        let _ = write!(
            body,
            "  }};
  uint32_t credit = service->credit > 0 ? service->credit : {CREDIT};
  spanwire_result result = SPANWIRE_DONE;
  for (size_t i = 0; result >= 0 && i < sizeof methods / sizeof methods[0]; i++) {{
    result = spanwire_server_method(server, methods[i].path, methods[i].kind, queue, methods[i].tag, credit);
  }}
  return result;
"
        );
    }
    let text = format!(
        "Registers all methods of `{}`, before the server listens. Their events come to `queue`, to be given to {}_dispatch(). \
         `service` must stay where it is until the server is freed. Answers as spanwire_server_method().",
        code.service.full_name, code.names.prefix
    );
    Function {
        doc: wrap(&text, 0),
        result: "spanwire_result ".to_owned(),
        name: format!("{}_register", code.names.prefix),
        parameters: vec![
            "spanwire_server *server".to_owned(),
            format!("{}_service *service", code.names.prefix),
            "spanwire_queue *queue".to_owned(),
        ],
        body,
        public: true,
    }
}

fn dispatch(code: &ServiceCode<'_>) -> Function {
    let mut body = String::new();
    if code.methods().next().is_none() {
        body.push_str("  (void)service;\n  (void)event;\n");
    }
    for (_, names) in code.methods() {
        let _ = write!(
            body,
            "  if (event->tag == &service->{}) {{\n    on_{}(service, event);\n    return true;\n  }}\n",
            names.member, names.function
        );
    }
    body.push_str("  return false;\n");
    let text = "Gives a server's event to the handler that it is for, and says whether it was of this service. The event stays \
                the caller's to free. What no handler can take is answered: UNIMPLEMENTED without a handler, INTERNAL if it \
                cannot be decoded.";
    Function {
        doc: wrap(text, 0),
        result: "bool ".to_owned(),
        name: format!("{}_dispatch", code.names.prefix),
        parameters: event_parameters(&code.names.prefix),
        body,
        public: true,
    }
}

struct Server<'a> {
    prefix: &'a str,
    method: &'a Method<'a>,
    names: &'a MethodNames,
    runtime: Runtime,
}

impl Server<'_> {
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
    fn answer(&self) -> Result<Function, Error> {
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

/// See [`Server::decode`].
struct Decoded {
    before: String,
    /// The condition under which the message cannot be decoded.
    failed: Option<String>,
    argument: String,
    after: String,
}
