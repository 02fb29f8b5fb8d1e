//! The struct of handlers that a program fills in.

use std::fmt::Write;

use super::ServiceCode;
use super::name::MethodNames;
use super::runtime::Runtime;
use crate::Error;
use crate::layout::{comment, list, paragraphs, wrap};
use crate::service::{Method, Type};

/// Messages of a stream that may wait, where the program does not say.
pub(crate) const CREDIT: u32 = 16;

/// The struct of handlers.
pub(crate) fn structure(code: &ServiceCode<'_>) -> Result<String, Error> {
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
