//! Where everything is that descriptors declare: which file has a symbol or an extension, and what that file imports.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::Bytes;
use prost::{DecodeError, Message};

/// See the [module](self). Files are kept as they came, so that nothing in them is lost.
#[derive(Debug, Default)]
pub(super) struct Index {
    files: Vec<File>,
    by_name: HashMap<String, usize>,
    symbols: HashMap<String, usize>,
    /// By the full name of the message that is extended, then by number.
    extensions: HashMap<String, BTreeMap<i32, usize>>,
    messages: Vec<String>,
}

#[derive(Debug)]
struct File {
    encoded: Bytes,
    imports: Vec<String>,
}

impl Index {
    /// Adds the files of an encoded `google.protobuf.FileDescriptorSet`. One whose name is known already is left out.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn add(&mut self, set: Bytes) -> Result<(), DecodeError> {
        for encoded in FileDescriptorSet::decode(set)?.file {
            let file = FileDescriptor::decode(encoded.clone())?;
            let number = self.files.len();
            if self.by_name.contains_key(&file.name) {
                continue;
            }
            self.by_name.insert(file.name, number);
            let mut scope = Scope { index: self, file: number, name: file.package };
            scope.messages(file.messages);
            scope.groups(file.enums, Members::Beside);
            scope.groups(file.services, Members::Within);
            scope.extensions(file.extensions);
            self.files.push(File { encoded, imports: file.imports });
        }
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn file_with_symbol(&self, name: &str) -> Option<usize> {
        self.symbols.get(name).copied()
    }

    pub(super) fn file_with_extension(&self, message: &str, number: i32) -> Option<usize> {
        self.extensions.get(message)?.get(&number).copied()
    }

    /// The numbers of the extensions of a message; `None` if there is no such message.
    pub(super) fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        match self.extensions.get(message) {
            Some(numbers) => Some(numbers.keys().copied().collect()),
            None => self.messages.iter().any(|known| known == message).then(Vec::new),
        }
    }

    /// A file, and everything that it imports, directly or not, but for what was `sent` before.
    pub(super) fn with_imports(&self, file: usize, sent: &mut Vec<bool>) -> Vec<Bytes> {
        sent.resize(self.files.len(), false);
        // The file that was asked for is told in any case.
        sent[file] = true;
        let (mut found, mut open) = (Vec::new(), VecDeque::from([file]));
        while let Some(file) = open.pop_front() {
            let File { encoded, imports } = &self.files[file];
            found.push(encoded.clone());
            let imports = imports.iter().filter_map(|name| self.by_name.get(name));
            open.extend(imports.filter(|import| !std::mem::replace(&mut sent[**import], true)));
        }
        found
    }
}

/// A place where names are declared.
struct Scope<'a> {
    index: &'a mut Index,
    file: usize,
    name: String,
}

/// Where the members of something are declared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    Within,
    /// Values of enums are siblings of their enum.
    Beside,
}

impl Scope<'_> {
    fn declare(&mut self, name: &str) -> String {
        let full = if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) };
        self.index.symbols.entry(full.clone()).or_insert(self.file);
        full
    }

    fn inner(&mut self, name: String) -> Scope<'_> {
        Scope { index: self.index, file: self.file, name }
    }

    fn names(&mut self, named: &[Named]) {
        for Named { name } in named {
            self.declare(name);
        }
    }

    fn messages(&mut self, messages: Vec<MessageType>) {
        for message in messages {
            let name = self.declare(&message.name);
            self.index.messages.push(name.clone());
            let mut inner = self.inner(name);
            inner.names(&message.fields);
            inner.names(&message.oneofs);
            inner.groups(message.enums, Members::Beside);
            inner.extensions(message.extensions);
            inner.messages(message.messages);
        }
    }

    fn groups(&mut self, groups: Vec<Group>, members: Members) {
        for Group { name, members: named } in groups {
            let full = self.declare(&name);
            match members {
                Members::Within => self.inner(full).names(&named),
                Members::Beside => self.names(&named),
            }
        }
    }

    fn extensions(&mut self, extensions: Vec<Extension>) {
        for Extension { name, extendee, number } in extensions {
            self.declare(&name);
            // Compilers write full names with a dot in front.
            let message = extendee.trim_start_matches('.').to_owned();
            self.index.extensions.entry(message).or_default().entry(number).or_insert(self.file);
        }
    }
}

// What is read of descriptors, with the numbers of `google/protobuf/descriptor.proto`.

#[derive(Clone, PartialEq, Message)]
struct FileDescriptorSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct FileDescriptor {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    package: String,
    #[prost(string, repeated, tag = "3")]
    imports: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    messages: Vec<MessageType>,
    #[prost(message, repeated, tag = "5")]
    enums: Vec<Group>,
    #[prost(message, repeated, tag = "6")]
    services: Vec<Group>,
    #[prost(message, repeated, tag = "7")]
    extensions: Vec<Extension>,
}

#[derive(Clone, PartialEq, Message)]
struct MessageType {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<Named>,
    #[prost(message, repeated, tag = "3")]
    messages: Vec<MessageType>,
    #[prost(message, repeated, tag = "4")]
    enums: Vec<Group>,
    #[prost(message, repeated, tag = "6")]
    extensions: Vec<Extension>,
    #[prost(message, repeated, tag = "8")]
    oneofs: Vec<Named>,
}

/// An enum with its values, or a service with its methods.
#[derive(Clone, PartialEq, Message)]
struct Group {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    members: Vec<Named>,
}

#[derive(Clone, PartialEq, Message)]
struct Extension {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    extendee: String,
    #[prost(int32, tag = "3")]
    number: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Named {
    #[prost(string, tag = "1")]
    name: String,
}
