//! `orders_pb2.py`: messages that work with every protobuf from 3.20 on.
//!
//! The classes are built when the module is imported, from the descriptor, by functions of the protobuf package that
//! all of these versions have. Nothing asks for the version that a compiler was made with.

use std::fmt::Write;

use prost_types::DescriptorProto;

use crate::descriptors::File;
use crate::python::FileCode;
use crate::python::literal::{bytes, string};
use crate::python::name::{escape, is_keyword};
use crate::python::serialized::{Facts, compact};
use crate::{Error, GeneratedFile};

/// The module with the messages of a file.
pub(crate) fn generate(code: &FileCode<'_>) -> Result<GeneratedFile, Error> {
    let File { descriptor, encoded, .. } = code.file;
    let serialized = compact(encoded)?;
    let mut text = code.first_lines();
    // Types are in the stub; this here is what types cannot say.
    text.push_str("# type: ignore\n");
    let _ = write!(
        text,
        "from google.protobuf import descriptor as _descriptor
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder
"
    );
    for import in code.imports()? {
        text.push_str(&import);
    }
    if code.has_edition()? {
        text.push_str(&edition(descriptor.name()));
    }
    let _ = write!(
        text,
        "
DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
{}
)
_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
",
        bytes(&serialized, 4)
    );
    text.push_str(&facts(&Facts::of(&serialized)?));
    text.push_str(&aliases(code));
    Ok(GeneratedFile { path: code.module.path("_pb2.py"), content: text })
}

/// Older versions would read an edition as proto2 or proto3, and lose the presence of fields without a word.
fn edition(proto: &str) -> String {
    let message = string(&format!("{proto} has an edition, which needs protobuf 5.26 or newer, not "));
    format!(
        "import google.protobuf as _protobuf

if _protobuf.__version__.startswith((\"3.\", \"4.\")):
    raise ImportError({message} + _protobuf.__version__)
"
    )
}

/// What the implementation in pure Python must be told.
fn facts(facts: &Facts) -> String {
    let mut text = String::from("if not _descriptor._USE_C_DESCRIPTORS:\n");
    let mut tell = |element: &str, fact: &str| {
        let _ = write!(text, "    _element = {element}\n    {fact}\n");
    };
    for extension in &facts.extensions {
        tell(extension, "_element.containing_type._concrete_class.RegisterExtension(_element)");
    }
    for (element, options) in &facts.options {
        let options = bytes(options, 8);
        tell(
            element,
            &format!("_element._options, _element._serialized_options = None, (\n{options}\n    )"),
        );
    }
    for (element, start, end) in &facts.spans {
        tell(element, &format!("_element._serialized_start, _element._serialized_end = {start}, {end}"));
    }
    if text.lines().count() > 1 { text } else { String::new() }
}

/// Types that have the name of a keyword have a name that can be written, too.
fn aliases(code: &FileCode<'_>) -> String {
    let mut text = String::new();
    let file = &code.file.descriptor;
    let top = file.message_type.iter().map(DescriptorProto::name);
    for name in top.chain(file.enum_type.iter().map(|item| item.name())).filter(|name| is_keyword(name)) {
        let _ = writeln!(text, "{} = globals()[{}]", escape(name), string(name));
    }
    for message in &file.message_type {
        nested_aliases(message, &escape(message.name()), &mut text);
    }
    text
}

fn nested_aliases(message: &DescriptorProto, class: &str, text: &mut String) {
    let nested = message.nested_type.iter().map(DescriptorProto::name);
    for name in nested.chain(message.enum_type.iter().map(|item| item.name())).filter(|name| is_keyword(name))
    {
        let _ = writeln!(text, "{class}.{} = getattr({class}, {})", escape(name), string(name));
    }
    for nested in &message.nested_type {
        nested_aliases(nested, &format!("{class}.{}", escape(nested.name())), text);
    }
}
