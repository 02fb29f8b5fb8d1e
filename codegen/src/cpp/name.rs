//! Names in C++: the service `Orders` gives the classes `OrdersClient` and `OrdersService`, and methods keep theirs.

use std::collections::BTreeMap;

use prost_types::{DescriptorProto, EnumDescriptorProto};

use super::ServiceCode;
use crate::keyword::{escape, escape_cpp};
use crate::service::{Method, Place, Service, Type};
use crate::{Descriptors, Error};

/// Members of the generated classes that are no methods.
const MEMBERS: [&str; 3] = ["channel_", "register_with", "service_name"];

/// The names of one service.
pub(crate) struct ServiceNames {
    pub(crate) client: String,
    pub(crate) service: String,
    /// In the order of the methods.
    pub(crate) methods: Vec<MethodNames>,
}

/// The names of one method.
pub(crate) struct MethodNames {
    pub(crate) function: String,
    pub(crate) blocking: String,
}

/// The names in the namespace of each package, each with what has it.
pub(crate) struct Names {
    taken: BTreeMap<(String, String), String>,
}

impl Names {
    /// With the names of all messages and enums.
    pub(crate) fn of(descriptors: &Descriptors) -> Self {
        let mut names = Names { taken: BTreeMap::new() };
        for file in descriptors.files().iter().map(|file| &file.descriptor) {
            names.add(file.package(), &[], &file.message_type, &file.enum_type);
        }
        names
    }

    fn add(
        &mut self,
        package: &str,
        outer: &[&str],
        messages: &[DescriptorProto],
        enums: &[EnumDescriptorProto],
    ) {
        let kinds = messages.iter().map(|item| ("message", item.name()));
        for (kind, name) in kinds.chain(enums.iter().map(|item| ("enum", item.name()))) {
            let class = [outer, &[name]].concat();
            let full = [&[package], class.as_slice()].concat().join(".");
            let who = format!("{kind} {}", full.trim_start_matches('.'));
            self.taken.insert((package.to_owned(), class.join("_")), who);
        }
        for message in messages {
            let outer = [outer, &[message.name()]].concat();
            self.add(package, &outer, &message.nested_type, &message.enum_type);
        }
    }

    /// Takes the names of a service.
    ///
    /// # Errors
    /// When something else has one of them.
    pub(crate) fn take_service(&mut self, service: &Service<'_>) -> Result<ServiceNames, Error> {
        let names = ServiceNames {
            client: format!("{}Client", service.name),
            service: format!("{}Service", service.name),
            methods: service.methods.iter().map(MethodNames::new).collect(),
        };
        let who = format!("service {}", service.full_name);
        for class in [&names.client, &names.service] {
            let key = (service.file.package().to_owned(), class.clone());
            if let Some(other) = self.taken.insert(key, who.clone()) {
                return Err(clash(&other, &who, class, service, &service.place));
            }
        }
        let mut members: BTreeMap<&str, String> =
            MEMBERS.iter().map(|&name| (name, format!("the class {}", names.service))).collect();
        for class in [&names.client, &names.service] {
            members.insert(class, format!("the class {class}"));
        }
        for (method, of_method) in service.methods.iter().zip(&names.methods) {
            let who = format!("method {}", method.path);
            for name in [&of_method.function, &of_method.blocking] {
                if let Some(other) = members.insert(name, who.clone()) {
                    return Err(clash(&other, &who, name, service, &method.place));
                }
            }
        }
        Ok(names)
    }
}

fn clash(one: &str, other: &str, name: &str, service: &Service<'_>, place: &Place) -> Error {
    service.error(place, format!("{one} and {other} both need the name {name} in C++: rename one of them"))
}

impl MethodNames {
    fn new(method: &Method<'_>) -> Self {
        MethodNames { function: escape(method.name), blocking: format!("{}Blocking", method.name) }
    }
}

/// The namespace of a package, empty without one: `shop::v1`.
pub(crate) fn namespace(package: &str) -> String {
    let parts: Vec<String> = package.split('.').filter(|part| !part.is_empty()).map(escape_cpp).collect();
    parts.join("::")
}

/// The class of a message, as the classes of a service name it: from the global namespace, unless it is in the
/// namespace of the service and no method hides it.
pub(crate) fn class(message: Type<'_>, code: &ServiceCode<'_>) -> String {
    let class = escape_cpp(&message.name_in_package().replace('.', "_"));
    let hidden = code.names.methods.iter().any(|names| [&names.function, &names.blocking].contains(&&class));
    if message.package() == code.service.file.package() && !hidden {
        return class;
    }
    let namespace = namespace(message.package());
    if namespace.is_empty() { format!("::{class}") } else { format!("::{namespace}::{class}") }
}
