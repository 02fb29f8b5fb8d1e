//! `orders_spanwire.py`: typed clients and servers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::python::literal::{docstring, signature, string};
use crate::python::module::Module;
use crate::python::name::{MethodNames, Names};
use crate::python::{FileCode, Styles};
use crate::service::{Kind, Method, Service, Type};
use crate::{Error, GeneratedFile};

/// Asyncio, or threads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Async,
    Sync,
}

/// A method with all names that its code needs.
struct MethodCode<'a> {
    method: &'a Method<'a>,
    names: MethodNames,
    request: String,
    response: String,
}

/// The module with the services of one file.
pub(crate) fn generate(code: &FileCode<'_>, services: &[Service<'_>]) -> Result<GeneratedFile, Error> {
    let Styles { asynchronous, sync } = code.python.styles;
    let modules = modules(services)?;
    let mut names = Names::default();
    let mut body = String::new();
    for service in services {
        let names = names.take_service(service)?;
        let methods = service.methods.iter().zip(names);
        let methods = methods
            .map(|(method, names)| {
                let request = message(code, service, method, method.input, &modules)?;
                let response = message(code, service, method, method.output, &modules)?;
                Ok(MethodCode { method, names, request, response })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        body.push_str(if body.is_empty() { "\n" } else { "\n\n" });
        for method in &methods {
            body.push_str(&method.constant());
        }
        for style in [(asynchronous, Style::Async), (sync, Style::Sync)]
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, s)| s)
        {
            body.push_str(&style.client(service, &methods));
            body.push_str(&style.base(service, &methods));
        }
    }

    let mut text = code.first_lines();
    let doc = format!("Clients and servers for the services in {}.", code.file.descriptor.name());
    text.push_str(&docstring(&[doc], 0));
    text.push_str("from __future__ import annotations\n\n");
    text.push_str(&standard_imports(&body));
    text.push_str("\nimport spanwire\n");
    if sync {
        text.push_str("import spanwire.sync\n");
    }
    text.push('\n');
    for (proto, alias) in &modules {
        text.push_str(&code.import(proto, alias)?);
    }
    text.push_str(&body);
    Ok(GeneratedFile { path: code.module.path("_spanwire.py"), content: text })
}

/// The modules of the messages, by their file, each under a name of its own.
fn modules<'a>(services: &[Service<'a>]) -> Result<BTreeMap<&'a str, String>, Error> {
    let methods = services.iter().flat_map(|service| &service.methods);
    let protos: BTreeSet<&str> = methods
        .flat_map(|method| [method.input, method.output])
        .map(|of| of.file.descriptor.name())
        .collect();
    let list = protos.iter().map(|proto| Module::of(proto)).collect::<Result<Vec<_>, _>>()?;
    let is_alone =
        |module: &Module| list.iter().filter(|other| other.messages() == module.messages()).count() == 1;
    let alias = |module: &Module| if is_alone(module) { module.messages() } else { module.unique() };
    Ok(protos.into_iter().zip(&list).map(|(proto, module)| (proto, alias(module))).collect())
}

/// The class of a message.
fn message(
    code: &FileCode<'_>,
    service: &Service<'_>,
    method: &Method<'_>,
    of: Type<'_>,
    modules: &BTreeMap<&str, String>,
) -> Result<String, Error> {
    let path = &code.types.find(of.full_name)?.path;
    if path.ends_with('_') && !of.full_name.ends_with('_') && !code.python.writes_messages(of.file) {
        let message = format!(
            "message {} has the name of a keyword of Python, and its module is not generated here",
            of.full_name
        );
        return Err(service.error(&method.place, message));
    }
    Ok(format!("{}.{path}", modules[of.file.descriptor.name()]))
}

/// Imports of those names that `body` uses.
fn standard_imports(body: &str) -> String {
    let mut text = String::new();
    for (from, names) in [
        ("abc", &["abstractmethod"][..]),
        ("collections.abc", &["AsyncIterable", "AsyncIterator", "Iterable", "Iterator"]),
        ("typing", &["Unpack", "overload"]),
    ] {
        let used = |name: &&str| {
            [format!("@{name}\n"), format!(" {name}["), format!(": {name}[")]
                .iter()
                .any(|use_| body.contains(use_))
        };
        let names: Vec<&str> = names.iter().copied().filter(used).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "from {from} import {}", names.join(", "));
        }
    }
    text
}

impl MethodCode<'_> {
    fn constant(&self) -> String {
        let kind = match self.method.kind {
            Kind::Unary => "unary",
            Kind::ServerStreaming => "server_streaming",
            Kind::ClientStreaming => "client_streaming",
            Kind::Bidi => "bidi",
        };
        let arguments = [string(&self.method.path), self.request.clone(), self.response.clone()];
        signature(&format!("{} = spanwire.Method.{kind}", self.names.constant), &arguments, "", 0)
    }

    fn doc(&self, what: &str) -> String {
        let mut lines = self.method.place.comment.clone();
        if lines.is_empty() {
            lines.push(format!("{what} `{}`.", self.method.path));
        }
        if self.method.deprecated {
            lines.extend([String::new(), "Deprecated.".to_owned()]);
        }
        docstring(&lines, 8)
    }
}

impl Style {
    /// `Sync` in the names of classes.
    fn infix(self) -> &'static str {
        if self == Style::Async { "" } else { "Sync" }
    }

    /// The module of its classes.
    fn module(self) -> &'static str {
        if self == Style::Async { "spanwire" } else { "spanwire.sync" }
    }

    fn iterator(self) -> &'static str {
        if self == Style::Async { "AsyncIterator" } else { "Iterator" }
    }

    fn client(self, service: &Service<'_>, methods: &[MethodCode<'_>]) -> String {
        let name = format!("{}{}Client", service.name, self.infix());
        let mut text = format!("\n\nclass {name}({}.Client):\n", self.module());
        text.push_str(&class_doc(service, &format!("A client of `{}`.", service.full_name)));
        for method in methods {
            text.push('\n');
            text.push_str(&match (self, method.method.kind) {
                (Style::Sync, Kind::Unary) => method.sync_unary(),
                (Style::Sync, Kind::ClientStreaming) => method.sync_client_streaming(),
                _ => method.call(self),
            });
        }
        text
    }

    fn base(self, service: &Service<'_>, methods: &[MethodCode<'_>]) -> String {
        let name = format!("{}{}Base", service.name, self.infix());
        let mut text = format!("\n\nclass {name}({}.Service):\n", self.module());
        let about = format!("What a server of `{}` implements.", service.full_name);
        text.push_str(&class_doc(service, &about));
        let _ = writeln!(text, "\n    __spanwire_service__ = {}", string(&service.full_name));
        let pairs = methods.iter().map(|method| {
            format!("        ({}, {}),\n", string(&method.names.function), method.names.constant)
        });
        let pairs: String = pairs.collect();
        let tuple = if pairs.is_empty() { "()".to_owned() } else { format!("(\n{pairs}    )") };
        let _ = writeln!(text, "    __spanwire_methods__ = {tuple}");
        for method in methods {
            text.push('\n');
            text.push_str(&method.handler(self));
        }
        text
    }
}

/// The service's comment, with what the class is.
fn class_doc(service: &Service<'_>, about: &str) -> String {
    let mut lines = vec![about.to_owned()];
    if !service.place.comment.is_empty() {
        lines.push(String::new());
        lines.extend(service.place.comment.iter().cloned());
    }
    docstring(&lines, 4)
}

impl MethodCode<'_> {
    /// A method of a client that returns the call.
    fn call(&self, style: Style) -> String {
        let Self { request, response, .. } = self;
        let module = style.module();
        let iterables = self.iterables(style);
        let (parameter, argument, result) = match self.method.kind {
            Kind::Unary => {
                (format!("request: {request}"), "request", format!("{module}.UnaryCall[{response}]"))
            }
            Kind::ServerStreaming => (
                format!("request: {request}"),
                "request",
                format!("{module}.ServerStreamingCall[{response}]"),
            ),
            Kind::ClientStreaming => (
                format!("requests: {iterables} | None = None"),
                "requests",
                format!("{module}.ClientStreamingCall[{request}, {response}]"),
            ),
            Kind::Bidi => (
                format!("requests: {iterables} | None = None"),
                "requests",
                format!("{module}.BidiCall[{request}, {response}]"),
            ),
        };
        let constant = &self.names.constant;
        format!(
            "{}{}        return self._channel.call({constant}, {argument}, **options)\n",
            self.client_def(&parameter, &result, ":"),
            self.doc("Calls"),
        )
    }

    fn sync_unary(&self) -> String {
        format!(
            "{}{}        return self._channel.unary({}, request, **options)\n",
            self.client_def(&format!("request: {}", self.request), &self.response, ":"),
            self.doc("Calls"),
            self.names.constant,
        )
    }

    /// With messages it returns the answer, without them the call.
    fn sync_client_streaming(&self) -> String {
        let Self { request, response, .. } = self;
        let iterable = self.iterables(Style::Sync);
        let call = format!("spanwire.sync.ClientStreamingCall[{request}, {response}]");
        let both = format!("{response} | {call}");
        format!(
            "    @overload\n{}    @overload\n{}{}{}        return self._channel.client_streaming({}, requests, **options)\n",
            self.client_def(&format!("requests: {iterable}"), response, ": ..."),
            self.client_def("requests: None = None", &call, ": ..."),
            self.client_def(&format!("requests: {iterable} | None = None"), &both, ":"),
            self.doc("Calls"),
            self.names.constant,
        )
    }

    fn iterables(&self, style: Style) -> String {
        let request = &self.request;
        match style {
            Style::Async => format!("AsyncIterable[{request}] | Iterable[{request}]"),
            Style::Sync => format!("Iterable[{request}]"),
        }
    }

    /// The start of a client's method.
    fn client_def(&self, parameter: &str, result: &str, end: &str) -> String {
        let parameters = ["self", parameter, "**options: Unpack[spanwire.CallOptions]"].map(str::to_owned);
        signature(&format!("def {}", self.names.function), &parameters, &format!(" -> {result}{end}"), 4)
    }

    /// A method that a server implements.
    fn handler(&self, style: Style) -> String {
        let kind = self.method.kind;
        let iterator = style.iterator();
        let request = match kind.client_streams() {
            true => format!("requests: {iterator}[{}]", self.request),
            false => format!("request: {}", self.request),
        };
        let response = match kind.server_streams() {
            true => format!("{iterator}[{}]", self.response),
            false => self.response.clone(),
        };
        // A method that yields is an `async def` only where it is implemented.
        let word = if style == Style::Async && !kind.server_streams() { "async def" } else { "def" };
        let context = format!("context: {}.Context", style.module());
        let parameters = ["self".to_owned(), request, context, "/".to_owned()];
        let head = format!("{word} {}", self.names.function);
        format!(
            "    @abstractmethod\n{}{}",
            signature(&head, &parameters, &format!(" -> {response}:"), 4),
            self.doc("Answers")
        )
    }
}
