//! A service in Rust: the trait that servers implement, the server, the client, and constants for the methods.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use heck::ToShoutySnakeCase;
use prost_build::{Comments, Method, Service, ServiceGenerator};

use super::name::{Names, ServiceNames, take};
use crate::Descriptors;

/// Names that a client has besides its methods.
const CLIENT_NAMES: [&str; 2] = ["new", "clone"];

/// What prost calls for each service.
pub(crate) struct Services {
    names: HashMap<String, Names>,
    runtime: String,
}

impl Services {
    pub(crate) fn new(descriptors: &Descriptors, runtime: &str) -> Self {
        Services { names: Names::of_packages(descriptors), runtime: runtime.to_owned() }
    }
}

impl ServiceGenerator for Services {
    fn generate(&mut self, service: Service, buf: &mut String) {
        let names = self.names.entry(service.package.clone()).or_default().take_service(&service.name);
        let code = ServiceCode::new(&service, names, &self.runtime);
        buf.push_str(&code.interface());
        buf.push_str(&code.server());
        buf.push_str(&code.client());
        buf.push_str(&code.methods());
    }
}

/// The kind of a method, in the words of the runtime crate.
struct Kind {
    /// The variant of `Kind`.
    variant: &'static str,
    /// The functions of `Handler` and `Channel`.
    function: &'static str,
    /// The type that a client's call has.
    call: &'static str,
}

fn kind(method: &Method) -> Kind {
    let (variant, function, call) = match (method.client_streaming, method.server_streaming) {
        (false, false) => ("Unary", "unary", "UnaryCall"),
        (false, true) => ("ServerStreaming", "server_streaming", "ServerStreamingCall"),
        (true, false) => ("ClientStreaming", "client_streaming", "ClientStreamingCall"),
        (true, true) => ("Bidi", "bidi", "BidiCall"),
    };
    Kind { variant, function, call }
}

/// A method with the names it has in the three places where it appears.
struct MethodCode<'a> {
    method: &'a Method,
    kind: Kind,
    path: String,
    in_interface: String,
    in_client: String,
    constant: String,
}

struct ServiceCode<'a> {
    service: &'a Service,
    names: ServiceNames,
    full_name: String,
    methods: Vec<MethodCode<'a>>,
    runtime: &'a str,
    /// The type parameter of the server; not the name of the trait.
    parameter: &'static str,
}

impl<'a> ServiceCode<'a> {
    fn new(service: &'a Service, names: ServiceNames, runtime: &'a str) -> Self {
        let dot = if service.package.is_empty() { "" } else { "." };
        let full_name = format!("{}{dot}{}", service.package, service.proto_name);
        let mut in_interface = BTreeSet::new();
        let mut in_client: BTreeSet<String> = CLIENT_NAMES.map(str::to_owned).into();
        let mut constants = BTreeSet::from(["SERVICE_NAME".to_owned()]);
        let methods = service
            .methods
            .iter()
            .map(|method| {
                // A name of underscores only has nothing left in snake case.
                let name = if method.name.is_empty() { "method" } else { &method.name };
                MethodCode {
                    method,
                    kind: kind(method),
                    path: format!("/{full_name}/{}", method.proto_name),
                    in_interface: take(&mut in_interface, name),
                    in_client: match CLIENT_NAMES.contains(&name) {
                        true => take(&mut in_client, &format!("{name}_")),
                        false => take(&mut in_client, name),
                    },
                    constant: take(&mut constants, &name.to_shouty_snake_case()),
                }
            })
            .collect();
        let parameter = if names.interface == "T" { "U" } else { "T" };
        ServiceCode { service, names, full_name, methods, runtime, parameter }
    }

    /// The trait.
    fn interface(&self) -> String {
        let mut code = doc(&self.service.comments, &format!("The service `{}`.", self.full_name));
        let name = &self.names.interface;
        let _ = writeln!(
            code,
            "///\n/// A server implements it with `async fn`s; a method that it leaves out answers UNIMPLEMENTED.\n\
             #[allow(clippy::all)]\n\
             pub trait {name}: ::core::marker::Send + ::core::marker::Sync + 'static {{"
        );
        for method in &self.methods {
            code.push_str(&self.interface_method(method));
        }
        code.push_str("}\n");
        code
    }

    fn interface_method(&self, method: &MethodCode<'_>) -> String {
        let MethodCode { method: Method { input_type, output_type, .. }, path, in_interface, .. } = method;
        let runtime = self.runtime;
        let request = match method.method.client_streaming {
            true => format!("requests: &mut {runtime}::Streaming<{input_type}>"),
            false => format!("request: {input_type}"),
        };
        let request_name = request.split(':').next().unwrap_or_default();
        let (replies, replies_name, output) = match method.method.server_streaming {
            true => (format!("replies: &mut {runtime}::Sending<{output_type}>, "), "replies, ", "()"),
            false => (String::new(), "", output_type.as_str()),
        };
        let doc = doc(&method.method.comments, &format!("The method `{path}`."));
        format!(
            "{doc}fn {in_interface}(&self, {request}, {replies}context: &mut {runtime}::Context) \
             -> impl ::core::future::Future<Output = ::core::result::Result<{output}, {runtime}::Status>> \
             + ::core::marker::Send {{\n\
             let _ = ({request_name}, {replies_name}context);\n\
             async {{ ::core::result::Result::Err({runtime}::Status::unimplemented(\
             \"{path} is not implemented\")) }}\n}}\n"
        )
    }

    /// The server: a newtype that knows the handlers of the methods.
    fn server(&self) -> String {
        let ServiceCode {
            names: ServiceNames { interface, server, .. },
            full_name,
            runtime,
            parameter: t,
            ..
        } = self;
        let mut handlers = String::new();
        for MethodCode { method, kind, in_interface, .. } in &self.methods {
            // What the handler owns, and how the implementation borrows it.
            let (owned, lent) = match (method.client_streaming, method.server_streaming) {
                (false, false) => ("request", "request"),
                (false, true) => ("request, mut replies", "request, &mut replies"),
                (true, false) => ("mut requests", "&mut requests"),
                (true, true) => ("mut requests, mut replies", "&mut requests, &mut replies"),
            };
            let _ = writeln!(
                handlers,
                "(\"{}\", {runtime}::server::Handler::{}(::std::sync::Arc::clone(&self.0), \
                 |service, {owned}, mut context| async move {{\n\
                 let result = <{t} as {interface}>::{in_interface}(&service, {lent}, &mut context).await;\n\
                 (result, context)\n}})),",
                method.proto_name, kind.function,
            );
        }
        format!(
            "/// Serves an implementation of [`{interface}`].
pub struct {server}<{t}>(::std::sync::Arc<{t}>);
impl<{t}: {interface}> {server}<{t}> {{
    /// Serves `service`.
    pub fn new(service: {t}) -> Self {{
        Self(::std::sync::Arc::new(service))
    }}
    /// Serves an implementation that is used elsewhere, too.
    pub fn from_arc(service: ::std::sync::Arc<{t}>) -> Self {{
        Self(service)
    }}
}}
impl<{t}> ::core::clone::Clone for {server}<{t}> {{
    fn clone(&self) -> Self {{
        Self(::std::sync::Arc::clone(&self.0))
    }}
}}
impl<{t}> ::core::fmt::Debug for {server}<{t}> {{
    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{
        f.write_str(\"{server}\")
    }}
}}
impl<{t}: {interface}> {runtime}::server::Service for {server}<{t}> {{
    fn name(&self) -> &'static str {{
        \"{full_name}\"
    }}
    fn methods(&self) -> ::std::vec::Vec<(&'static str, {runtime}::server::Handler)> {{
        ::std::vec::Vec::from([
            {handlers}
        ])
    }}
}}
"
        )
    }

    /// The client: one function per method.
    fn client(&self) -> String {
        let ServiceCode { names: ServiceNames { client, methods: module, .. }, full_name, runtime, .. } =
            self;
        let unused = if self.methods.is_empty() { "#[allow(dead_code)]\n" } else { "" };
        let mut code = format!(
            "/// Calls the service `{full_name}`. Cheap to clone; clones share the channel.
#[derive(Clone, Debug)]
pub struct {client} {{
    {unused}channel: {runtime}::Channel,
}}
#[allow(clippy::all)]
impl {client} {{
    /// A client that calls over `channel`.
    pub fn new(channel: {runtime}::Channel) -> Self {{
        Self {{ channel }}
    }}
"
        );
        for method in &self.methods {
            let MethodCode { method, kind: Kind { function, call, .. }, path, in_client, constant, .. } =
                method;
            let Method { input_type, output_type, .. } = method;
            let (parameter, argument) = match method.client_streaming {
                true => (String::new(), ""),
                false => (format!(", request: {input_type}"), ", request"),
            };
            let deprecated = if method.options.deprecated() { "#[deprecated]\n" } else { "" };
            let doc = doc(&method.comments, &format!("Calls `{path}`."));
            let _ = writeln!(
                code,
                "{doc}{deprecated}pub fn {in_client}(&self{parameter}) -> {runtime}::{call}<{input_type}, {output_type}> \
                 {{\nself.channel.{function}(&{module}::{constant}{argument})\n}}"
            );
        }
        code.push_str("}\n");
        code
    }

    /// The constants.
    fn methods(&self) -> String {
        let ServiceCode { names: ServiceNames { methods: module, .. }, full_name, runtime, .. } = self;
        let mut code = format!(
            "/// The methods of the service `{full_name}`.
pub mod {module} {{
    /// The name of the service.
    pub const SERVICE_NAME: &str = \"{full_name}\";
"
        );
        for MethodCode { path, kind, constant, .. } in &self.methods {
            let _ = writeln!(
                code,
                "/// `{path}`\npub const {constant}: {runtime}::Method = \
                 {runtime}::Method::new(\"{path}\", {runtime}::Kind::{});",
                kind.variant
            );
        }
        code.push_str("}\n");
        code
    }
}

/// The comments of an item, or `default` if it has none.
fn doc(comments: &Comments, default: &str) -> String {
    if comments.leading.is_empty() && comments.trailing.is_empty() {
        return format!("/// {default}\n");
    }
    let mut text = String::new();
    comments.append_with_indent(0, &mut text);
    text
}
