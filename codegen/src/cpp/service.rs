//! The class that servers derive from.

use std::fmt::Write;

use super::ServiceCode;
use super::name::{MethodNames, class as class_of};
use crate::layout::{comment, list, paragraphs, wrap};
use crate::service::{Kind, Method};

/// The whole class.
pub(crate) fn class(code: &ServiceCode<'_>) -> String {
    let class = &code.names.service;
    let about = "A server derives from it and overrides methods with coroutines, which run on the server's loop. What a method \
                 takes by reference lives as long as its coroutine. A method that is not overridden answers UNIMPLEMENTED.";
    let mut text = comment(&paragraphs(&code.service.place.comment, about, 0), 0);
    let _ = write!(
        text,
        "class {class} {{
 public:
  virtual ~{class}() = default;

  /** The name of the service. */
  static constexpr const char *service_name = \"{}\";

",
        code.service.full_name
    );
    for (method, names) in code.methods() {
        text.push_str(&function(code, method, names));
    }
    text.push_str(&register_with(code));
    text.push_str("};\n");
    text
}

fn function(code: &ServiceCode<'_>, method: &Method<'_>, names: &MethodNames) -> String {
    let (request, response) = (class_of(method.input, code), class_of(method.output, code));
    let outcome = match method.kind {
        Kind::Unary | Kind::ClientStreaming => format!("::spanwire::result<{response}>"),
        Kind::ServerStreaming | Kind::Bidi => "::spanwire::status".to_owned(),
    };
    let mut parameters = vec![match method.kind.client_streams() {
        true => format!("::spanwire::reader_of<{request}> & /*requests*/"),
        false => format!("{request} /*request*/"),
    }];
    if method.kind.server_streams() {
        parameters.push(format!("::spanwire::writer_of<{response}> & /*answers*/"));
    }
    parameters.push("::spanwire::context & /*context*/".to_owned());
    let deprecated = if method.deprecated { " Deprecated." } else { "" };
    format!(
        "{}{}\n{}\n  }}\n\n",
        comment(&paragraphs(&method.place.comment, &format!("`{}`.{deprecated}", method.path), 2), 2),
        list(&format!("virtual ::spanwire::task<{outcome}> {}", names.function), &parameters, " {", 2),
        list(
            &format!("return ::spanwire::generated::unimplemented<{outcome}>"),
            &[format!("\"{}\"", method.path)],
            ";",
            4
        )
    )
}

fn register_with(code: &ServiceCode<'_>) -> String {
    let doc = comment(
        &wrap("Adds all methods to a server, before it starts. The service must outlive the server.", 2),
        2,
    );
    if code.service.methods.is_empty() {
        return format!(
            "{doc}  ::spanwire::status register_with(::spanwire::server & /*server*/) {{ return {{}}; }}\n"
        );
    }
    let mut rows = String::new();
    for (method, names) in code.methods() {
        let arguments = [
            "server".to_owned(),
            format!("\"{}\"", method.path),
            "this".to_owned(),
            format!("&{}::{}", code.names.service, names.function),
        ];
        let _ = writeln!(rows, "{}", list("::spanwire::generated::add", &arguments, ",", 8));
    }
    format!(
        "{doc}  ::spanwire::status register_with(::spanwire::server &server) {{
    const ::spanwire::status added[] = {{
{rows}    }};
    for (const ::spanwire::status &each : added) {{
      if (!each.ok()) return each;
    }}
    return {{}};
  }}
"
    )
}
