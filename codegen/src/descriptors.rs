//! What all generators read: files with their descriptors.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use crate::{Error, editions, encoded};

/// Field numbers of `google.protobuf.FileDescriptorSet` and `FileDescriptorProto`.
const SET_FILE: u64 = 1;
const FILE_SOURCE_INFO: u64 = 9;

/// A set of files, complete with everything that they import.
#[derive(Clone, Debug, Default)]
pub struct Descriptors {
    files: Vec<File>,
    sources: Vec<PathBuf>,
    used_protoc: bool,
}

/// One `.proto` file.
#[derive(Clone, Debug)]
pub struct File {
    /// The descriptor, with comments. Editions are expressed as the proto3 that means the same.
    pub descriptor: FileDescriptorProto,
    /// The descriptor as the compiler wrote it, custom options included, but without comments and positions.
    pub encoded: Vec<u8>,
    /// Whether code is asked for, not only needed by another file.
    pub requested: bool,
}

impl File {
    /// A file from its encoded descriptor.
    ///
    /// # Errors
    /// When `descriptor` is malformed.
    pub fn decode(descriptor: &[u8], requested: bool) -> Result<Self, Error> {
        let mut file = File {
            descriptor: FileDescriptorProto::decode(descriptor)
                .map_err(|error| Error::new(format!("malformed descriptor: {error}")))?,
            encoded: encoded::without(descriptor, FILE_SOURCE_INFO)?,
            requested,
        };
        editions::lower(&mut file.descriptor, &file.encoded)?;
        Ok(file)
    }

    /// The descriptor as the compiler wrote it, with comments.
    pub(crate) fn encode_with_comments(&self) -> Vec<u8> {
        let mut descriptor = self.encoded.clone();
        if let Some(info) = &self.descriptor.source_code_info {
            encoded::append(&mut descriptor, FILE_SOURCE_INFO, &info.encode_to_vec());
        }
        descriptor
    }
}

impl Descriptors {
    /// A set from files; imports may come in any order.
    #[must_use]
    pub fn new(mut files: Vec<File>) -> Self {
        // By name, so that the output does not depend on the order in which files were given.
        files.sort_by(|a, b| a.descriptor.name().cmp(b.descriptor.name()));
        Descriptors { files, ..Descriptors::default() }
    }

    /// A set from an encoded `google.protobuf.FileDescriptorSet`, as `protoc --descriptor_set_out` writes it.
    /// `requested` tells by the name of a file whether code is asked for.
    ///
    /// # Errors
    /// When `set` is malformed.
    pub fn decode(set: &[u8], requested: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let mut files = Vec::new();
        for field in encoded::fields(set)?.iter().filter(|field| field.number == SET_FILE) {
            let mut file = File::decode(field.content, false)?;
            file.requested = requested(file.descriptor.name());
            files.push(file);
        }
        Ok(Descriptors::new(files))
    }

    pub(crate) fn with_sources(mut self, sources: Vec<PathBuf>, used_protoc: bool) -> Self {
        (self.sources, self.used_protoc) = (sources, used_protoc);
        self
    }

    /// All files, by name.
    #[must_use]
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The files on disk that were read, imports included; empty for descriptors that came from elsewhere.
    pub fn sources(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(PathBuf::as_path)
    }

    /// Whether an installed `protoc` was called.
    #[must_use]
    pub fn used_protoc(&self) -> bool {
        self.used_protoc
    }

    /// An encoded `google.protobuf.FileDescriptorSet` of the files of `package` and all that they import,
    /// imports first, without comments.
    #[must_use]
    pub fn encode_package(&self, package: &str) -> Vec<u8> {
        self.encode_with_imports(|file| file.descriptor.package() == package)
    }

    /// An encoded `google.protobuf.FileDescriptorSet` of the requested files and all that they import,
    /// imports first, without comments.
    #[must_use]
    pub fn encode_requested(&self) -> Vec<u8> {
        self.encode_with_imports(|file| file.requested)
    }

    fn encode_with_imports(&self, which: impl Fn(&File) -> bool) -> Vec<u8> {
        let mut set = Vec::new();
        for file in self.with_imports(which) {
            encoded::append(&mut set, SET_FILE, &file.encoded);
        }
        set
    }

    /// Some files and all that they import, imports first.
    pub(crate) fn with_imports(&self, which: impl Fn(&File) -> bool) -> Vec<&File> {
        let by_name: HashMap<_, _> = self.files.iter().map(|file| (file.descriptor.name(), file)).collect();
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        for file in self.files.iter().filter(|file| which(file)) {
            add_with_imports(file, &by_name, &mut seen, &mut files);
        }
        files
    }
}

fn add_with_imports<'a>(
    file: &'a File,
    by_name: &HashMap<&str, &'a File>,
    seen: &mut BTreeSet<&'a str>,
    files: &mut Vec<&'a File>,
) {
    if !seen.insert(file.descriptor.name()) {
        return;
    }
    for import in file.descriptor.dependency.iter().filter_map(|name| by_name.get(name.as_str())) {
        add_with_imports(import, by_name, seen, files);
    }
    files.push(file);
}

impl TryFrom<FileDescriptorSet> for Descriptors {
    type Error = Error;

    /// All files are requested. Custom options are lost already in a decoded set; prefer [`Descriptors::decode`].
    fn try_from(set: FileDescriptorSet) -> Result<Self, Error> {
        Descriptors::decode(&set.encode_to_vec(), |_| true)
    }
}
