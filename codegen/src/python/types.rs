//! Messages and enums of all files, as Python names them.

use std::collections::HashMap;

use prost_types::DescriptorProto;

use crate::descriptors::File;
use crate::python::name::escape;
use crate::{Descriptors, Error};

/// A message or an enum.
#[derive(Clone, Debug)]
pub(crate) struct Type<'a> {
    /// The name of the file that defines it.
    pub(crate) file: &'a str,
    /// Within its module: `Order.State`.
    pub(crate) path: String,
    /// The entry of a map, which no code names: its key and its value are the two fields.
    pub(crate) map_entry: Option<&'a DescriptorProto>,
}

/// All of them by full name.
#[derive(Debug, Default)]
pub(crate) struct Types<'a> {
    by_name: HashMap<String, Type<'a>>,
    files: Vec<&'a str>,
}

impl<'a> Types<'a> {
    pub(crate) fn of(descriptors: &'a Descriptors) -> Self {
        let mut types = Types::default();
        for file in descriptors.files() {
            types.files.push(file.descriptor.name());
            let package = file.descriptor.package();
            let package = if package.is_empty() { String::new() } else { format!("{package}.") };
            for message in &file.descriptor.message_type {
                types.add_message(file, &package, "", message);
            }
            for item in &file.descriptor.enum_type {
                types.add(file, &package, "", item.name(), None);
            }
        }
        types
    }

    /// `scope` and `outer` are what stands before the name in the `.proto` and in Python.
    fn add_message(&mut self, file: &'a File, scope: &str, outer: &str, message: &'a DescriptorProto) {
        let is_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
        self.add(file, scope, outer, message.name(), is_entry.then_some(message));
        let scope = format!("{scope}{}.", message.name());
        let outer = format!("{outer}{}.", escape(message.name()));
        for nested in &message.nested_type {
            self.add_message(file, &scope, &outer, nested);
        }
        for item in &message.enum_type {
            self.add(file, &scope, &outer, item.name(), None);
        }
    }

    fn add(
        &mut self,
        file: &'a File,
        scope: &str,
        outer: &str,
        name: &str,
        map_entry: Option<&'a DescriptorProto>,
    ) {
        let path = format!("{outer}{}", escape(name));
        let file = file.descriptor.name();
        self.by_name.insert(format!("{scope}{name}"), Type { file, path, map_entry });
    }

    /// The names of the files.
    pub(crate) fn files(&self) -> &[&'a str] {
        &self.files
    }

    /// The type with this full name, with or without a dot in front.
    pub(crate) fn find(&self, name: &str) -> Result<&Type<'a>, Error> {
        let name = name.trim_start_matches('.');
        self.by_name.get(name).ok_or_else(|| Error::new(format!("the descriptor of {name} is missing")))
    }
}
