//! Modules: where the code of a `.proto` file is, and how other modules import it.

use crate::Error;
use crate::python::name::is_keyword;

/// The module of a `.proto` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// `shop`, `v1` for `shop/v1/orders.proto`.
    packages: Vec<String>,
    /// `orders`.
    name: String,
}

/// How modules that are generated together import each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Imports {
    /// `from ..money import money_pb2`.
    #[default]
    Relative,
    /// `from shop.money import money_pb2`, below this package or, if it is empty, below none.
    Below(String),
}

impl Module {
    /// The module of a file, by the rules of protoc.
    ///
    /// # Errors
    /// When it could not be imported.
    pub(crate) fn of(proto: &str) -> Result<Self, Error> {
        let stem = proto.strip_suffix(".proto").unwrap_or(proto).replace('-', "_").replace('.', "/");
        let mut packages: Vec<String> = stem.split('/').map(str::to_owned).collect();
        let name = packages.pop().unwrap_or_default();
        // The ending that modules have makes a name of any word.
        let wrong = packages.iter().find(|part| !is_identifier(part) || is_keyword(part));
        if let Some(part) = wrong.or(Some(&name).filter(|name| !is_identifier(name))) {
            let message = format!("{part:?} cannot be part of a module's name in Python: rename it");
            return Err(Error::in_file(proto, message));
        }
        Ok(Module { packages, name })
    }

    /// The path of a file with this ending (`_pb2.py`).
    pub(crate) fn path(&self, ending: &str) -> String {
        let folders: String = self.packages.iter().map(|package| format!("{package}/")).collect();
        format!("{folders}{}{ending}", self.name)
    }

    /// `orders_pb2`.
    pub(crate) fn messages(&self) -> String {
        format!("{}_pb2", self.name)
    }

    /// `shop_v1_orders_pb2`, which no other module has.
    pub(crate) fn unique(&self) -> String {
        self.path("_pb2").replace('/', "_")
    }

    /// What an import of the messages says in `importer` behind `from`; empty if there is no package to import from.
    pub(crate) fn import_from(&self, importer: &Module, imports: &Imports) -> String {
        match imports {
            Imports::Relative => {
                let shared = self.packages.iter().zip(&importer.packages).take_while(|(a, b)| a == b).count();
                let up = importer.packages.len() - shared + 1;
                ".".repeat(up) + &self.packages[shared..].join(".")
            }
            Imports::Below(package) => {
                let package = Some(package.as_str()).filter(|package| !package.is_empty());
                package
                    .into_iter()
                    .chain(self.packages.iter().map(String::as_str))
                    .collect::<Vec<_>>()
                    .join(".")
            }
        }
    }
}

/// Whether Python reads `word` as one name, keywords included; ASCII only, as file names travel.
pub(crate) fn is_identifier(word: &str) -> bool {
    let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    word.chars().next().is_some_and(|first| !first.is_ascii_digit()) && word.chars().all(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(proto: &str) -> Module {
        Module::of(proto).unwrap()
    }

    #[test]
    fn imports_are_relative_to_the_importer() {
        let from = |to: &str, importer: &str| module(to).import_from(&module(importer), &Imports::Relative);
        assert_eq!(from("money.proto", "orders.proto"), ".");
        assert_eq!(from("shop/v1/money.proto", "shop/v1/orders.proto"), ".");
        assert_eq!(from("shop/money/money.proto", "shop/v1/orders.proto"), "..money");
        assert_eq!(from("money/v1/money.proto", "shop/v1/orders.proto"), "...money.v1");
        assert_eq!(from("money.proto", "shop/v1/orders.proto"), "...");
        assert_eq!(from("shop/v1/orders.proto", "all.proto"), ".shop.v1");
    }

    #[test]
    fn imports_below_a_package_are_absolute() {
        let from = |to: &str, package: &str| {
            module(to).import_from(&module("shop/orders.proto"), &Imports::Below(package.to_owned()))
        };
        assert_eq!(from("money/money.proto", "my.gen"), "my.gen.money");
        assert_eq!(from("money/money.proto", ""), "money");
        assert_eq!(from("money.proto", ""), "");
    }

    #[test]
    fn names_are_those_of_protoc() {
        assert_eq!(module("a/b-c.proto").path("_pb2.py"), "a/b_c_pb2.py");
        assert_eq!(module("a/b.c.proto").path("_pb2.py"), "a/b/c_pb2.py");
        assert_eq!(module("a/class.proto").unique(), "a_class_pb2");
        for wrong in ["class/a.proto", "1/a.proto", "1.proto", "a b.proto", "ä.proto", "a//b.proto", ".proto"]
        {
            assert!(Module::of(wrong).is_err(), "{wrong}");
        }
    }
}
