//! Names in C: `shop.v1.Orders` and its method `Get` give `shop_v1_orders_get`, in all files of a program.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use heck::ToSnakeCase;

use crate::Error;
use crate::keyword::{escape, is_reserved};
use crate::service::{Kind, Method, Place, Service};

/// The members of a service's struct that are no methods.
const MEMBERS: [&str; 5] = ["self", "credit", "manual_grant", "on_writable", "on_cancelled"];

/// The names of one service.
pub(crate) struct ServiceNames {
    /// `shop_v1_orders`, with which all of them begin.
    pub(crate) prefix: String,
    /// In the order of the methods.
    pub(crate) methods: Vec<MethodNames>,
}

/// The names of one method.
pub(crate) struct MethodNames {
    /// `shop_v1_orders_get`, with which those of its functions begin.
    pub(crate) function: String,
    /// `SHOP_V1_ORDERS_GET_PATH`.
    pub(crate) path: String,
    /// The member of the service's struct.
    pub(crate) member: String,
    /// Those of the members for what follows a request: `upload_message`, `upload_end`.
    pub(crate) message_member: String,
    pub(crate) end_member: String,
}

/// All names of a program, each with what has it.
pub(crate) struct Names {
    taken: BTreeMap<String, String>,
}

impl Names {
    /// With the names that others take: each with what takes it.
    pub(crate) fn new(others: impl Iterator<Item = (String, String)>) -> Self {
        Names { taken: others.collect() }
    }

    /// Takes the names of a service.
    ///
    /// # Errors
    /// When something else has one of them.
    pub(crate) fn take_service(&mut self, service: &Service<'_>) -> Result<ServiceNames, Error> {
        let package = service.file.package().split('.').filter(|part| !part.is_empty());
        let parts: Vec<String> = package.chain([service.name]).map(|part| snake(part, "service")).collect();
        let prefix = parts.join("_");
        let who = format!("service {}", service.full_name);
        for suffix in ["service", "register", "dispatch"] {
            self.take(format!("{prefix}_{suffix}"), &who, service, &service.place)?;
        }
        let mut methods = Vec::new();
        let mut members = BTreeMap::new();
        for method in &service.methods {
            let names = MethodNames::new(&prefix, method);
            let who = format!("method {}", method.path);
            for suffix in suffixes(method.kind) {
                self.take(format!("{}{suffix}", names.function), &who, service, &method.place)?;
            }
            for member in names.members(method.kind) {
                if let Some(other) = members.insert(member.to_owned(), who.clone()) {
                    let message = format!(
                        "{other} and {who} both need the member {member} of {prefix}_service in C: rename one of them"
                    );
                    return Err(service.error(&method.place, message));
                }
            }
            methods.push(names);
        }
        Ok(ServiceNames { prefix, methods })
    }

    fn take(&mut self, name: String, who: &str, service: &Service<'_>, place: &Place) -> Result<(), Error> {
        let problem = match self.taken.entry(name) {
            Entry::Vacant(free) if !is_reserved(free.key()) => {
                free.insert(who.to_owned());
                return Ok(());
            }
            Entry::Vacant(reserved) => format!("{who} needs the name {}, which C has", reserved.key()),
            Entry::Occupied(taken) => {
                format!("{} and {who} both need the name {} in C", taken.get(), taken.key())
            }
        };
        Err(service.error(place, format!("{problem}: rename one of them")))
    }
}

/// What the functions of a method have behind its name.
fn suffixes(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Unary => &["", "_blocking", "_response", "_respond"],
        Kind::ServerStreaming => &["", "_message", "_server_send"],
        Kind::ClientStreaming => &["", "_send", "_message", "_respond"],
        Kind::Bidi => &["", "_send", "_message", "_server_send"],
    }
}

impl MethodNames {
    fn new(prefix: &str, method: &Method<'_>) -> Self {
        let snake = snake(method.name, "method");
        let member = if MEMBERS.contains(&snake.as_str()) { format!("{snake}_") } else { escape(&snake) };
        let function = format!("{prefix}_{snake}");
        MethodNames {
            path: format!("{}_PATH", function.to_uppercase()),
            message_member: format!("{snake}_message"),
            end_member: format!("{snake}_end"),
            function,
            member,
        }
    }

    fn members(&self, kind: Kind) -> Vec<&str> {
        let mut members = vec![self.member.as_str()];
        if kind.client_streams() {
            members.extend([self.message_member.as_str(), self.end_member.as_str()]);
        }
        members
    }
}

/// `name` in snake case; `fallback` if it consists of underscores only.
fn snake(name: &str, fallback: &str) -> String {
    let snake = name.to_snake_case();
    if snake.is_empty() { fallback.to_owned() } else { snake }
}
