//! The class of a message in a stub.

use std::fmt::Write;

use prost_types::{DescriptorProto, FieldDescriptorProto};

use crate::Error;
use crate::python::field::{FieldType, has_presence};
use crate::python::literal::{docstring, signature, string};
use crate::python::name::{escape, is_keyword};
use crate::python::stub::Scope;

// Field numbers of DescriptorProto.
const MESSAGE_FIELD: i32 = 2;
const MESSAGE_MESSAGE: i32 = 3;
const MESSAGE_ENUM: i32 = 4;
const MESSAGE_EXTENSION: i32 = 6;

/// What every message has: a field of that name is there at run time, but cannot be declared. Sorted.
const MEMBERS: [&str; 22] = [
    "ByteSize",
    "Clear",
    "ClearExtension",
    "ClearField",
    "CopyFrom",
    "DESCRIPTOR",
    "DiscardUnknownFields",
    "Extensions",
    "FindInitializationErrors",
    "FromString",
    "HasExtension",
    "HasField",
    "IsInitialized",
    "ListFields",
    "MergeFrom",
    "MergeFromString",
    "ParseFromString",
    "SerializePartialToString",
    "SerializeToString",
    "SetInParent",
    "UnknownFields",
    "WhichOneof",
];

/// The class; `outer` is what stands before its name elsewhere, `path` leads to it in the descriptor.
pub(crate) fn class(
    scope: &Scope<'_>,
    message: &DescriptorProto,
    outer: &str,
    path: &[i32],
    indent: usize,
) -> Result<String, Error> {
    let space = " ".repeat(indent);
    let name = escape(message.name());
    let deprecated = message.options.as_ref().is_some_and(|options| options.deprecated());
    let mut text = format!("{space}@_final\n{space}class {name}(_Message):\n");
    text.push_str(&docstring(&scope.doc(path, deprecated), indent + 4));

    let below = |number: i32, index: i32| [path, &[number, index]].concat();
    let outer = format!("{outer}{name}.");
    for (index, item) in (0..).zip(&message.enum_type) {
        text.push_str(&scope.enum_class(item, &outer, &below(MESSAGE_ENUM, index), indent + 4));
    }
    for (index, nested) in (0..).zip(&message.nested_type) {
        if !nested.options.as_ref().is_some_and(|options| options.map_entry()) {
            text.push_str(&class(scope, nested, &outer, &below(MESSAGE_MESSAGE, index), indent + 4)?);
            text.push('\n');
        }
    }
    for field in &message.field {
        let _ = writeln!(
            text,
            "{space}    {}_FIELD_NUMBER: _Final = {}",
            field.name().to_uppercase(),
            field.number()
        );
    }
    for (index, item) in (0..).zip(&message.field) {
        text.push_str(&field(scope, item, &below(MESSAGE_FIELD, index), indent + 4)?);
    }
    for (index, extension) in (0..).zip(&message.extension) {
        text.push_str(&scope.extension(extension, &below(MESSAGE_EXTENSION, index), indent + 4)?);
    }
    text.push_str(&constructor(scope, message, indent + 4)?);
    text.push_str(&questions(scope, message, indent + 4));
    Ok(text)
}

/// A field as an attribute.
fn field(
    scope: &Scope<'_>,
    field: &FieldDescriptorProto,
    path: &[i32],
    indent: usize,
) -> Result<String, Error> {
    let name = field.name();
    if is_keyword(name) || MEMBERS.binary_search(&name).is_ok() {
        return Ok(String::new());
    }
    let space = " ".repeat(indent);
    let deprecated = field.options.as_ref().is_some_and(|options| options.deprecated());
    let doc = scope.doc(path, deprecated);
    let FieldType { read, assignable, .. } = FieldType::of(field, scope)?;
    Ok(if assignable {
        format!("{space}{name}: {read}\n{}", docstring(&doc, indent))
    } else if doc.is_empty() {
        format!("{space}@_property\n{space}def {name}(self) -> {read}: ...\n")
    } else {
        format!("{space}@_property\n{space}def {name}(self) -> {read}:\n{}", docstring(&doc, indent + 4))
    })
}

fn constructor(scope: &Scope<'_>, message: &DescriptorProto, indent: usize) -> Result<String, Error> {
    let own = |name: &str| message.field.iter().any(|field| field.name() == name);
    let mut parameters = vec![if own("self") { "_self" } else { "self" }.to_owned()];
    for (index, field) in message.field.iter().filter(|field| !is_keyword(field.name())).enumerate() {
        if index == 0 {
            parameters.push("*".to_owned());
        }
        let construct = FieldType::of(field, scope)?.construct;
        parameters.push(format!("{}: {construct} | None = ...", field.name()));
    }
    if message.field.iter().any(|field| is_keyword(field.name())) {
        // Those can be given by `**{"from": …}` only.
        parameters.push("**fields: _Any".to_owned());
    }
    Ok(signature("def __init__", &parameters, " -> None: ...", indent))
}

/// `HasField`, `ClearField` and `WhichOneof`, which know what they may be asked for.
fn questions(scope: &Scope<'_>, message: &DescriptorProto, indent: usize) -> String {
    let members = |index: usize| {
        message.field.iter().filter(move |field| field.oneof_index.map(|own| own as usize) == Some(index))
    };
    // Not those that compilers make for optional fields.
    let oneofs: Vec<(&str, Vec<&str>)> = message
        .oneof_decl
        .iter()
        .enumerate()
        .filter(|(index, _)| !members(*index).any(FieldDescriptorProto::proto3_optional))
        .map(|(index, oneof)| (oneof.name(), members(index).map(FieldDescriptorProto::name).collect()))
        .collect();
    let names = oneofs.iter().map(|(name, _)| *name);
    let fields = message.field.iter();
    let present = fields.clone().filter(|field| has_presence(field, scope.is_proto2()));
    let present: Vec<&str> = present.map(FieldDescriptorProto::name).chain(names.clone()).collect();
    let all: Vec<&str> = fields.map(FieldDescriptorProto::name).chain(names).collect();

    let method = |head: &str, parameter: &str, tail: &str| {
        signature(head, &["self".to_owned(), parameter.to_owned()], tail, indent)
    };
    let mut text = method("def HasField", &format!("field_name: {}", literal(&present)), " -> _bool: ...");
    text.push_str(&method("def ClearField", &format!("field_name: {}", literal(&all)), " -> None: ..."));
    if oneofs.is_empty() {
        text.push_str(&method("def WhichOneof", "oneof_group: _Never", " -> None: ..."));
    }
    for (name, fields) in &oneofs {
        if oneofs.len() > 1 {
            let _ = writeln!(text, "{}@_overload", " ".repeat(indent));
        }
        text.push_str(&method(
            "def WhichOneof",
            &format!("oneof_group: {}", literal(&[name])),
            &format!(" -> {} | None: ...", literal(fields)),
        ));
    }
    text
}

/// The type of one of these strings.
fn literal(words: &[&str]) -> String {
    if words.is_empty() {
        return "_Never".to_owned();
    }
    format!("_Literal[{}]", words.iter().map(|word| string(word)).collect::<Vec<_>>().join(", "))
}
