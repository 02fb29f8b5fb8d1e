//! Names that do not clash.

use std::collections::{BTreeSet, HashMap};

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::FileDescriptorProto;

use crate::Descriptors;

/// The Rust names that are taken in the module of one package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    types: BTreeSet<String>,
    modules: BTreeSet<String>,
}

/// The names of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServiceNames {
    pub(crate) interface: String,
    pub(crate) server: String,
    pub(crate) client: String,
    pub(crate) methods: String,
}

impl Names {
    /// The names that messages, enums and packages take, by package.
    pub(crate) fn of_packages(descriptors: &Descriptors) -> HashMap<String, Names> {
        let mut packages: HashMap<String, Names> = HashMap::new();
        for file in descriptors.files() {
            packages.entry(file.descriptor.package().to_owned()).or_default().add(&file.descriptor);
        }
        let all: Vec<String> = packages.keys().cloned().collect();
        for (package, names) in &mut packages {
            let below = all.iter().filter_map(|other| match package.is_empty() {
                true => Some(other.as_str()),
                false => other.strip_prefix(package.as_str())?.strip_prefix('.'),
            });
            names
                .modules
                .extend(below.filter_map(|path| path.split('.').next()).map(|part| part.to_snake_case()));
        }
        packages
    }

    fn add(&mut self, file: &FileDescriptorProto) {
        self.types.extend(file.message_type.iter().map(|message| message.name().to_upper_camel_case()));
        self.types.extend(file.enum_type.iter().map(|item| item.name().to_upper_camel_case()));
        self.modules.extend(file.message_type.iter().map(|message| message.name().to_snake_case()));
    }

    /// Takes the names for a service whose Rust name is `name`: `Orders` gives `Orders`, `OrdersServer`,
    /// `OrdersClient` and `orders_methods`, unless one of them is taken; then `OrdersService` is tried, and so on.
    pub(crate) fn take_service(&mut self, name: &str) -> ServiceNames {
        let mut base = name.trim_start_matches("r#").to_owned();
        loop {
            // A service `Self` is the trait `Self_`; `SelfServer` needs no such escape.
            let stem = base.trim_end_matches('_');
            let names = ServiceNames {
                server: format!("{stem}Server"),
                client: format!("{stem}Client"),
                interface: base.clone(),
                methods: format!("{}_methods", base.to_snake_case()),
            };
            let types = [&names.interface, &names.server, &names.client];
            if types.iter().all(|name| !self.types.contains(*name)) && !self.modules.contains(&names.methods)
            {
                self.types.extend(types.map(String::clone));
                self.modules.insert(names.methods.clone());
                return names;
            }
            base.push_str("Service");
        }
    }
}

/// `name` as it is or, if it is taken, with the first free number behind it; takes it.
pub(crate) fn take(taken: &mut BTreeSet<String>, name: &str) -> String {
    let mut unique = name.to_owned();
    for number in 2.. {
        if taken.insert(unique.clone()) {
            break;
        }
        unique = format!("{}_{number}", name.trim_start_matches("r#"));
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_evades_names_that_are_taken() {
        let mut names = Names::default();
        names.types.insert("OrdersClient".into());
        assert_eq!(names.take_service("Orders").interface, "OrdersService");
        assert_eq!(names.take_service("Shop").client, "ShopClient");
        // The interface of this one is the server of the one before.
        assert_eq!(names.take_service("ShopServer").interface, "ShopServerService");
        names.modules.insert("user_methods".into());
        assert_eq!(names.take_service("User").methods, "user_service_methods");
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut taken = BTreeSet::new();
        assert_eq!(
            ["get", "get", "r#type", "r#type", "get"].map(|name| take(&mut taken, name)),
            ["get", "get_2", "r#type", "type_2", "get_3"]
        );
    }
}
