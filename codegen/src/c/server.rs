//! What servers call: registering, dispatching, and answers.

use std::fmt::Write;

use super::event::MethodCode;
use super::function::Function;
use super::handlers::CREDIT;
use super::{ServiceCode, kind};
use crate::Error;
use crate::layout::wrap;

/// All functions of a service's servers.
pub(crate) fn functions(code: &ServiceCode<'_>) -> Result<Vec<Function>, Error> {
    let mut functions = Vec::new();
    if !code.service.methods.is_empty() {
        functions.extend(other_events(code));
    }
    let methods = || {
        code.methods().map(|(method, names)| MethodCode {
            prefix: &code.names.prefix,
            method,
            names,
            runtime: code.runtime,
        })
    };
    for method in methods() {
        functions.extend(method.events()?);
    }
    functions.extend([register(code), dispatch(code)]);
    for method in methods() {
        functions.push(method.answer()?);
    }
    Ok(functions)
}

/// The parameters of the functions for events.
pub(crate) fn event_parameters(prefix: &str) -> Vec<String> {
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
