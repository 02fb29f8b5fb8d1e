//! The class of clients.

use super::ServiceCode;
use super::name::{MethodNames, class as class_of};
use crate::layout::{comment, list, paragraphs, wrap};
use crate::service::{Kind, Method};

/// The whole class.
pub(crate) fn class(code: &ServiceCode<'_>) -> String {
    let client = &code.names.client;
    let about = format!(
        "Calls the service `{}`. Requests are encoded at once; a task begins its call when it is awaited. Copies are cheap \
         and share the channel.",
        code.service.full_name
    );
    let mut text = comment(&wrap(&about, 0), 0);
    text.push_str(&format!(
        "class {client} {{
 public:
  /** A client that calls over `channel`, which must outlive it and its calls. */
  explicit {client}(const ::spanwire::channel &channel) noexcept : channel_(&channel) {{}}
  explicit {client}(const ::spanwire::channel &&channel) = delete;

"
    ));
    for (method, names) in code.methods() {
        text.push_str(&function(code, method, names));
    }
    let unused = if code.service.methods.is_empty() { "[[maybe_unused]] " } else { "" };
    text + &format!(" private:\n  {unused}const ::spanwire::channel *channel_;\n}};\n")
}

/// Both forms of a method: the task, and the one that blocks.
fn function(code: &ServiceCode<'_>, method: &Method<'_>, names: &MethodNames) -> String {
    let Call { about, function, result, blocking_result, types } = Call::of(code, method);
    let deprecated = if method.deprecated { "[[deprecated]] " } else { "" };
    let request = (!method.kind.client_streams()).then(|| {
        (format!("const {} &request", class_of(method.input, code)), "::spanwire::encode(request)".to_owned())
    });
    let path = format!("\"{}\"", method.path);
    let one = |doc: Vec<String>, result: &str, name: &str, call: &str, options: &str, pass: &str| {
        let parameters: Vec<String> =
            request.iter().map(|(parameter, _)| parameter.clone()).chain([options.to_owned()]).collect();
        let mut arguments = vec!["*channel_".to_owned(), path.clone()];
        arguments.extend(request.iter().map(|(_, argument)| argument.clone()));
        arguments.push(pass.to_owned());
        format!(
            "{}{}\n{}\n  }}\n\n",
            comment(&doc, 2),
            list(&format!("{deprecated}{result} {name}"), &parameters, " const {", 2),
            list(&format!("return {call}"), &arguments, ";", 4)
        )
    };
    let doc = paragraphs(&method.place.comment, &format!("Calls `{}`{about}", method.path), 2);
    let mut text = one(
        doc,
        &format!("::spanwire::task<{result}>"),
        &names.function,
        &format!("::spanwire::generated::{function}<{types}>"),
        "::spanwire::call_options options = {}",
        "std::move(options)",
    );
    text.push_str(&one(
        wrap(&format!("As {}(), on the calling thread.", names.function), 2),
        &blocking_result,
        &names.blocking,
        &format!("::spanwire::generated::{function}_blocking<{types}>"),
        "const ::spanwire::call_options &options = {}",
        "options",
    ));
    text
}

/// What differs between the kinds.
struct Call {
    about: &'static str,
    function: &'static str,
    result: String,
    blocking_result: String,
    /// The arguments of the function's template.
    types: String,
}

impl Call {
    fn of(code: &ServiceCode<'_>, method: &Method<'_>) -> Self {
        let (request, response) = (class_of(method.input, code), class_of(method.output, code));
        let both = format!("{request}, {response}");
        let stream = |name: &str, types: &str| {
            (
                format!("::spanwire::{name}_call<{types}>"),
                format!("::spanwire::blocking_{name}_call<{types}>"),
            )
        };
        let (about, function, (result, blocking_result), types) = match method.kind {
            Kind::Unary => {
                let result = format!("::spanwire::result<{response}>");
                (".", "unary", (result.clone(), result), response)
            }
            Kind::ServerStreaming => (
                "; the responses are read from the call.",
                "server_streaming",
                stream("server_streaming", &response),
                response,
            ),
            Kind::ClientStreaming => (
                "; the requests are sent with the call, whose response() is the answer.",
                "client_streaming",
                stream("client_streaming", &both),
                both,
            ),
            Kind::Bidi => {
                ("; requests and responses pass through the call.", "bidi", stream("bidi", &both), both)
            }
        };
        Call { about, function, result, blocking_result, types }
    }
}
