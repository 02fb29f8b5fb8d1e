//! Names in Python.

use std::collections::BTreeMap;

use heck::ToSnakeCase;

use crate::Error;
use crate::service::Service;

/// What the bodies of generated classes use themselves, so that no method may hide it.
const USED: [&str; 3] = ["abstractmethod", "overload", "spanwire"];

/// Whether `word` is a keyword of Python.
pub(crate) fn is_keyword(word: &str) -> bool {
    KEYWORDS.binary_search(&word).is_ok()
}

/// `name`, or `name_` where that is a keyword.
pub(crate) fn escape(name: &str) -> String {
    if is_keyword(name) { format!("{name}_") } else { name.to_owned() }
}

/// Sorted. Soft keywords (`match`, `type`) are names like others.
const KEYWORDS: &[&str] = &[
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
    "del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is",
    "lambda", "nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// The names of one method.
pub(crate) struct MethodNames {
    /// In clients and servers: `get`.
    pub(crate) function: String,
    /// Of the method's description: `ORDERS_GET`.
    pub(crate) constant: String,
}

/// The names that a file has at its top level, each with what has it.
#[derive(Default)]
pub(crate) struct Names {
    taken: BTreeMap<String, String>,
}

impl Names {
    /// Takes the names of a service's classes and constants; returns those of its methods, in their order.
    ///
    /// Methods are in snake case. Those that would be the same keep their names of the `.proto`.
    ///
    /// # Errors
    /// When something else has one of the names.
    pub(crate) fn take_service(&mut self, service: &Service<'_>) -> Result<Vec<MethodNames>, Error> {
        for suffix in ["Client", "SyncClient", "Base", "SyncBase"] {
            let class = format!("{}{suffix}", service.name);
            let who = format!("service {}", service.full_name);
            if let Some(other) = self.taken.insert(class.clone(), who.clone()) {
                let message = format!("{other} and {who} both need the class {class}: rename one of them");
                return Err(service.error(&service.place, message));
            }
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for method in &service.methods {
            *counts.entry(snake(method.name)).or_default() += 1;
        }
        let mut names = Vec::new();
        for method in &service.methods {
            let snake = snake(method.name);
            let alone = counts.get(&snake) == Some(&1);
            if !alone && method.name.starts_with('_') {
                let message = format!(
                    "method {} is called {snake} in Python, and another one is, too: rename one of them",
                    method.path
                );
                return Err(service.error(&method.place, message));
            }
            let name = if alone { snake } else { method.name.to_owned() };
            let reserved = USED.contains(&name.as_str()) || name.ends_with("_pb2") || is_keyword(&name);
            let function = if reserved { format!("{name}_") } else { name.clone() };
            let upper = if alone { name.to_uppercase() } else { name };
            let candidates = [
                format!("{}_{upper}", self::snake(service.name).to_uppercase()),
                format!("{}_{}", service.name, method.name),
            ];
            let Some(constant) = candidates.into_iter().find(|name| !self.taken.contains_key(name)) else {
                let message =
                    format!("method {} and another one both need one name: rename one", method.path);
                return Err(service.error(&method.place, message));
            };
            self.taken.insert(constant.clone(), format!("method {}", method.path));
            names.push(MethodNames { function, constant });
        }
        Ok(names)
    }
}

/// `name` in snake case; `method_`, which is no other's, if it consists of underscores only.
fn snake(name: &str) -> String {
    let snake = name.to_snake_case();
    if snake.is_empty() { "method_".to_owned() } else { snake }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_can_be_searched() {
        assert!(KEYWORDS.is_sorted());
        assert_eq!((escape("None").as_str(), escape("match").as_str()), ("None_", "match"));
    }
}
