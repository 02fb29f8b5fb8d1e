//! The generator for Python: messages for the protobuf package, and typed clients and servers for `spanwire`.

mod field;
mod literal;
mod module;
mod name;
mod pb2;
mod serialized;
mod service;
mod stub;
mod stub_message;
mod types;

use std::collections::BTreeMap;

use crate::descriptors::File;
use crate::service::services;
use crate::{Descriptors, Error, GeneratedFile, Language, encoded};
use module::{Imports, Module};
use types::Types;

/// The field of `FileDescriptorProto`.
const FILE_SYNTAX: u64 = 12;

/// Generates Python.
#[derive(Clone, Debug)]
pub(crate) struct Python {
    /// Whether messages are generated, beside services.
    pb2: bool,
    /// Which clients and servers are.
    styles: Styles,
    /// Whether files are generated that others only import.
    imports: bool,
    /// How generated modules import each other.
    style_of_imports: Imports,
    /// Folders (or files) whose modules are installed.
    external: Vec<String>,
}

/// For asyncio and for threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Styles {
    pub(crate) asynchronous: bool,
    pub(crate) sync: bool,
}

impl Default for Python {
    fn default() -> Self {
        Python {
            pb2: true,
            styles: Styles { asynchronous: true, sync: true },
            imports: true,
            style_of_imports: Imports::Relative,
            external: vec!["google/protobuf".to_owned()],
        }
    }
}

impl Language for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn set_option(&mut self, key: &str, value: &str) -> Result<(), Error> {
        let flag = || match value {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Error::new(format!("option {key}: wants true or false, not {value:?}"))),
        };
        match key {
            "pb2" => self.pb2 = flag()?,
            "async" => self.styles.asynchronous = flag()?,
            "sync" => self.styles.sync = flag()?,
            "imports" => self.imports = flag()?,
            "package" => {
                if !value.is_empty() && !value.split('.').all(module::is_identifier) {
                    return Err(Error::new(format!("option package: {value:?} is no package in Python")));
                }
                self.style_of_imports = Imports::Below(value.to_owned());
            }
            "extern" => self.external.push(value.trim_end_matches('/').to_owned()),
            _ => {
                return Err(Error::new(format!(
                    "python has no option {key:?}; there are: async, extern, imports, package, pb2, sync"
                )));
            }
        }
        Ok(())
    }

    fn for_plugin(&mut self) {
        self.imports = false;
    }

    fn generate(&self, descriptors: &Descriptors) -> Result<Vec<GeneratedFile>, Error> {
        let types = Types::of(descriptors);
        let mut codes = BTreeMap::new();
        let mut paths = BTreeMap::new();
        for file in descriptors.files() {
            let proto = file.descriptor.name();
            let module = Module::of(proto)?;
            if let Some(other) = paths.insert(module.path(""), proto) {
                let message = format!("{other} and {proto} both need the module {}", module.unique());
                return Err(Error::in_file(proto, message + ": rename one of them"));
            }
            codes.insert(proto, FileCode { python: self, file, module, types: &types });
        }

        let mut files = Vec::new();
        for code in codes.values().filter(|code| self.writes_messages(code.file)) {
            files.push(pb2::generate(code)?);
            files.push(stub::generate(code)?);
        }
        if self.styles.asynchronous || self.styles.sync {
            let list = services(descriptors)?;
            for services in list.chunk_by(|a, b| a.file.name() == b.file.name()) {
                if let Some(code) = codes.get(services[0].file.name()) {
                    files.push(service::generate(code, services)?);
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

impl Python {
    /// Whether the messages of a file are generated.
    fn writes_messages(&self, file: &File) -> bool {
        self.pb2 && (file.requested || self.imports) && !self.is_external(file.descriptor.name())
    }

    fn is_external(&self, proto: &str) -> bool {
        self.external.iter().any(|path| {
            proto.strip_prefix(path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

/// A file with all that its code refers to.
pub(crate) struct FileCode<'a> {
    python: &'a Python,
    file: &'a File,
    module: Module,
    types: &'a Types<'a>,
}

impl FileCode<'_> {
    /// The comments at the top: who wrote it, and that neither linters nor formatters have a say.
    fn first_lines(&self) -> String {
        let proto = self.file.descriptor.name();
        format!("# @generated by spanwire from {proto}\n# ruff: noqa\n# fmt: off\n")
    }

    /// Whether the file declares an edition.
    fn has_edition(&self) -> Result<bool, Error> {
        let fields = encoded::fields(&self.file.encoded)?;
        Ok(fields.iter().any(|field| field.number == FILE_SYNTAX && field.content == b"editions"))
    }

    /// The imports of the messages of the files that this one imports, in their order.
    fn imports(&self) -> Result<Vec<String>, Error> {
        let file = &self.file.descriptor;
        let mut lines = Vec::new();
        for (index, proto) in (0..).zip(&file.dependency) {
            let module = Module::of(proto)?;
            lines.push(self.import(proto, &format!("_{}", module.unique()))?);
            if file.public_dependency.contains(&index) {
                let from = module.import_from(&self.module, self.imports_of(proto));
                let separator = if from.is_empty() || from.ends_with('.') { "" } else { "." };
                lines.push(format!("from {from}{separator}{} import *\n", module.messages()));
            }
        }
        Ok(lines)
    }

    /// The import of the messages of a file under a name.
    fn import(&self, proto: &str, alias: &str) -> Result<String, Error> {
        let module = Module::of(proto)?;
        let name = module.messages();
        let name = if name == alias { name } else { format!("{name} as {alias}") };
        Ok(match module.import_from(&self.module, self.imports_of(proto)).as_str() {
            "" => format!("import {name}\n"),
            from => format!("from {from} import {name}\n"),
        })
    }

    fn imports_of(&self, proto: &str) -> &Imports {
        const INSTALLED: &Imports = &Imports::Below(String::new());
        if self.python.is_external(proto) { INSTALLED } else { &self.python.style_of_imports }
    }
}
