//! `orders_pb2.pyi`: what type checkers and editors know of the messages.
//!
//! It refers to everything from elsewhere by names that begin with an underscore, which no element of a `.proto` hides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;

use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};

use crate::python::FileCode;
use crate::python::field::FieldType;
use crate::python::literal::docstring;
use crate::python::module::Module;
use crate::python::name::{escape, is_keyword};
use crate::python::stub_message;
use crate::python::types::Type;
use crate::service::comment;
use crate::{Error, GeneratedFile};

// Field numbers of FileDescriptorProto and of what is in it, of which the paths of locations consist.
const FILE_MESSAGE: i32 = 4;
const FILE_ENUM: i32 = 5;
const FILE_EXTENSION: i32 = 7;
const ENUM_VALUE: i32 = 2;

/// What enums have at run time, as far as it is the same in all versions.
const ENUM_TYPE: &str = "\
_E = _TypeVar(\"_E\")

class _EnumType(type):
    DESCRIPTOR: _EnumDescriptor
    def Name(cls, number: _int) -> _str: ...
    def Value(cls: type[_E], name: _str) -> _E: ...
    def keys(cls) -> list[_str]: ...
    def values(cls: type[_E]) -> list[_E]: ...
    def items(cls: type[_E]) -> list[tuple[_str, _E]]: ...

";

/// Names that values of an enum cannot have in its class: those of `_EnumType` and of `int`.
const ENUM_MEMBERS: [&str; 20] = [
    "DESCRIPTOR",
    "Name",
    "Value",
    "ValueType",
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "conjugate",
    "denominator",
    "from_bytes",
    "imag",
    "is_integer",
    "items",
    "keys",
    "mro",
    "numerator",
    "real",
    "to_bytes",
    "values",
    "_E",
];

/// Where the names that a stub uses come from.
const IMPORTS: [(&str, &[&str]); 7] = [
    ("builtins", &["bool", "bytes", "float", "int", "property", "str"]),
    ("collections.abc", &["Iterable", "Mapping"]),
    ("google.protobuf.descriptor", &["EnumDescriptor", "FileDescriptor"]),
    (
        "google.protobuf.internal.containers",
        &["MessageMap", "RepeatedCompositeFieldContainer", "RepeatedScalarFieldContainer", "ScalarMap"],
    ),
    ("google.protobuf.internal.extension_dict", &["_ExtensionFieldDescriptor"]),
    ("google.protobuf.message", &["Message"]),
    (
        "typing",
        &["Any", "ClassVar", "Final", "Literal", "Never", "TypeAlias", "TypeVar", "final", "overload"],
    ),
];

/// What elements of one file refer to.
pub(crate) struct Scope<'a> {
    code: &'a FileCode<'a>,
    comments: HashMap<&'a [i32], &'a Location>,
    /// Names inside of classes, which hide those of the module.
    inner: BTreeSet<&'a str>,
}

/// The stub of the messages of a file.
pub(crate) fn generate(code: &FileCode<'_>) -> Result<GeneratedFile, Error> {
    let file = &code.file.descriptor;
    let scope = Scope::new(code);
    let mut body = String::from("DESCRIPTOR: _FileDescriptor\n");
    // Behind it, because those modules have one, too.
    code.imports()?.iter().filter(|line| line.ends_with("import *\n")).for_each(|line| body.push_str(line));
    body.push('\n');
    for (index, item) in (0..).zip(&file.enum_type) {
        body.push_str(&scope.enum_class(item, "", &[FILE_ENUM, index], 0));
    }
    for (index, message) in (0..).zip(&file.message_type) {
        body.push_str(&stub_message::class(&scope, message, "", &[FILE_MESSAGE, index], 0)?);
        body.push('\n');
    }
    for (index, extension) in (0..).zip(&file.extension) {
        body.push_str(&scope.extension(extension, &[FILE_EXTENSION, index], 0)?);
    }
    let tops = file.message_type.iter().map(DescriptorProto::name);
    for top in tops.chain(file.enum_type.iter().map(|item| item.name())) {
        let top = escape(top);
        if scope.inner.contains(top.as_str()) {
            let _ = writeln!(body, "_module_{top}: _TypeAlias = {top}");
        }
    }
    let enum_type = if has_word(&body, "_EnumType") { ENUM_TYPE } else { "" };
    let body = format!("{enum_type}{}\n", body.trim_end());
    let content = code.first_lines() + &scope.imports(&body)? + "\n" + &body;
    Ok(GeneratedFile { path: code.module.path("_pb2.pyi"), content })
}

impl<'a> Scope<'a> {
    fn new(code: &'a FileCode<'a>) -> Self {
        let file = &code.file.descriptor;
        let locations = file.source_code_info.iter().flat_map(|info| &info.location);
        let mut inner = BTreeSet::new();
        file.message_type.iter().for_each(|message| collect_inner(message, &mut inner));
        inner.extend(file.enum_type.iter().flat_map(|item| &item.value).map(|value| value.name()));
        Scope { code, comments: locations.map(|location| (&location.path[..], location)).collect(), inner }
    }

    pub(crate) fn is_proto2(&self) -> bool {
        matches!(self.code.file.descriptor.syntax(), "" | "proto2")
    }

    /// The comment of the element that `path` leads to.
    pub(crate) fn doc(&self, path: &[i32], deprecated: bool) -> Vec<String> {
        let mut lines = self.comments.get(path).map(|location| comment(location)).unwrap_or_default();
        if deprecated {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push("Deprecated.".to_owned());
        }
        lines
    }

    pub(crate) fn find(&self, name: &str) -> Result<&'a Type<'a>, Error> {
        self.code.types.find(name)
    }

    /// The class of a message.
    pub(crate) fn message(&self, name: &str) -> Result<String, Error> {
        let found = self.find(name)?;
        if found.file != self.code.file.descriptor.name() {
            return Ok(format!("_{}.{}", Module::of(found.file)?.unique(), found.path));
        }
        Ok(self.local(&found.path))
    }

    /// The name of a type of this file, by its path.
    fn local(&self, path: &str) -> String {
        let top = path.split('.').next().unwrap_or_default();
        if self.inner.contains(top) { format!("_module_{path}") } else { path.to_owned() }
    }

    /// The type of the values of an enum.
    pub(crate) fn enum_value(&self, name: &str) -> Result<String, Error> {
        let class = self.message(name)?;
        // Stubs by others have a type of their own for the values.
        let external = self.code.python.is_external(self.find(name)?.file);
        Ok(if external { format!("{class}.ValueType") } else { class })
    }

    /// An enum, and constants for its values beside it; `outer` is the class around.
    pub(crate) fn enum_class(
        &self,
        item: &EnumDescriptorProto,
        outer: &str,
        path: &[i32],
        indent: usize,
    ) -> String {
        let space = " ".repeat(indent);
        let name = escape(item.name());
        let class = self.local(&format!("{outer}{name}"));
        let doc = docstring(
            &self.doc(path, item.options.as_ref().is_some_and(|options| options.deprecated())),
            indent + 4,
        );
        let mut text = format!("{space}@_final\n{space}class {name}(_int, metaclass=_EnumType):\n{doc}");
        let _ = writeln!(text, "{space}    ValueType: _TypeAlias = {class}");
        let mut constants = String::new();
        for (index, value) in (0..).zip(&item.value).filter(|(_, value)| !is_keyword(value.name())) {
            let deprecated = value.options.as_ref().is_some_and(|options| options.deprecated());
            let doc = self.doc(&[path, &[ENUM_VALUE, index]].concat(), deprecated);
            if !ENUM_MEMBERS.contains(&value.name()) {
                let _ = writeln!(text, "{space}    {}: _ClassVar[{class}]", value.name());
                text.push_str(&docstring(&doc, indent + 4));
            }
            let kind = if outer.is_empty() { "_Final" } else { "_ClassVar" };
            let _ = writeln!(constants, "{space}{}: {kind}[{class}]", value.name());
            constants.push_str(&docstring(&doc, indent));
        }
        text + "\n" + &constants + "\n"
    }

    /// An extension, and the constant with its number.
    pub(crate) fn extension(
        &self,
        field: &FieldDescriptorProto,
        path: &[i32],
        indent: usize,
    ) -> Result<String, Error> {
        if is_keyword(field.name()) {
            return Ok(String::new());
        }
        let space = " ".repeat(indent);
        let of = FieldType::of(field, self)?.read;
        let kind = format!("_Extension[{}, {of}]", self.message(field.extendee())?);
        let kind = if indent == 0 { kind } else { format!("_ClassVar[{kind}]") };
        let deprecated = field.options.as_ref().is_some_and(|options| options.deprecated());
        Ok(format!(
            "{space}{}_FIELD_NUMBER: _Final = {}\n{space}{}: {kind}\n{}",
            field.name().to_uppercase(),
            field.number(),
            field.name(),
            docstring(&self.doc(path, deprecated), indent)
        ))
    }

    /// The imports that `body` needs.
    fn imports(&self, body: &str) -> Result<String, Error> {
        let mut modules = BTreeMap::new();
        for proto in self.code.types.files() {
            let alias = format!("_{}", Module::of(proto)?.unique());
            if has_word(body, &alias) {
                modules.insert(alias.clone(), self.code.import(proto, &alias)?);
            }
        }
        let mut text = String::new();
        for (from, names) in IMPORTS {
            let names: Vec<String> = names
                .iter()
                .map(|name| (name, alias(name)))
                .filter(|(_, alias)| has_word(body, alias))
                .map(|(name, alias)| format!("{name} as {alias}"))
                .collect();
            if from == "google.protobuf.internal.extension_dict" && !names.is_empty() {
                text.insert_str(0, "# pyright: reportPrivateUsage=false\n");
            }
            if !names.is_empty() {
                let _ = writeln!(text, "from {from} import {}", names.join(", "));
            }
        }
        Ok(text + &modules.into_values().collect::<String>())
    }
}

/// The name under which a stub imports a name.
fn alias(name: &str) -> String {
    match name {
        "RepeatedCompositeFieldContainer" => "_RepeatedComposite".to_owned(),
        "RepeatedScalarFieldContainer" => "_RepeatedScalar".to_owned(),
        "_ExtensionFieldDescriptor" => "_Extension".to_owned(),
        name => format!("_{name}"),
    }
}

/// The names that the class of a message and those in it define.
fn collect_inner<'a>(message: &'a DescriptorProto, names: &mut BTreeSet<&'a str>) {
    names.extend(message.field.iter().chain(&message.extension).map(FieldDescriptorProto::name));
    for item in &message.enum_type {
        names.insert(item.name());
        names.extend(item.value.iter().map(|value| value.name()));
    }
    for nested in &message.nested_type {
        names.insert(nested.name());
        collect_inner(nested, names);
    }
}

/// Whether `text` has `word` as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        !text[..start].ends_with(is_part) && !text[start + word.len()..].starts_with(is_part)
    })
}
