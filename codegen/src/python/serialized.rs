//! The descriptor as Python embeds it, and what its pure-Python implementation must be told besides.

use crate::Error;
use crate::encoded::{self, Field, fields};

/// Field numbers of `FileDescriptorProto`, `DescriptorProto` and `FieldDescriptorProto`.
const FILE_MESSAGE: u64 = 4;
const FILE_EXTENSION: u64 = 7;
const MESSAGE_FIELD: u64 = 2;
const MESSAGE_MESSAGE: u64 = 3;
const MESSAGE_EXTENSION: u64 = 6;
const FIELD_JSON_NAME: u64 = 10;

/// The name of an element is its first field, whatever it is.
const NAME: u64 = 1;

/// The first number of an extension of options.
const FIRST_CUSTOM_OPTION: u64 = 1000;

/// `file` without the JSON names that follow from the names: with the very bytes that protoc embeds, so that a file
/// may be registered by both.
pub(crate) fn compact(file: &[u8]) -> Result<Vec<u8>, Error> {
    rewrite(file, |number, content| match number {
        FILE_MESSAGE => Ok(Some(compact_message(content)?)),
        FILE_EXTENSION => Ok(Some(compact_field(content)?)),
        _ => Ok(None),
    })
}

fn compact_message(message: &[u8]) -> Result<Vec<u8>, Error> {
    rewrite(message, |number, content| match number {
        MESSAGE_MESSAGE => Ok(Some(compact_message(content)?)),
        MESSAGE_FIELD | MESSAGE_EXTENSION => Ok(Some(compact_field(content)?)),
        _ => Ok(None),
    })
}

fn compact_field(field: &[u8]) -> Result<Vec<u8>, Error> {
    let list = fields(field)?;
    let json_name = list.iter().find(|field| field.number == FIELD_JSON_NAME);
    match json_name {
        Some(json_name) if json_name.content == default_json_name(name(&list)).as_bytes() => {
            encoded::without(field, FIELD_JSON_NAME)
        }
        _ => Ok(field.to_owned()),
    }
}

/// The message with some of its fields replaced.
fn rewrite(
    message: &[u8],
    replace: impl Fn(u64, &[u8]) -> Result<Option<Vec<u8>>, Error>,
) -> Result<Vec<u8>, Error> {
    let mut output = Vec::with_capacity(message.len());
    for field in fields(message)? {
        match replace(field.number, field.content)? {
            Some(content) => encoded::append(&mut output, field.number, &content),
            None => output.extend_from_slice(field.whole),
        }
    }
    Ok(output)
}

/// In lower camel case, as compilers have it.
fn default_json_name(name: &str) -> String {
    let mut upper = false;
    let mut json_name = String::new();
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else {
            json_name.push(if upper { c.to_ascii_uppercase() } else { c });
            upper = false;
        }
    }
    json_name
}

fn name<'a>(list: &[Field<'a>]) -> &'a str {
    let name = list.iter().find(|field| field.number == NAME).map_or(&b""[..], |field| field.content);
    std::str::from_utf8(name).unwrap_or_default()
}

/// What descriptors in pure Python do not find out by themselves. Each element is an expression that leads to its
/// descriptor.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Where an element is in the file: its first byte, and the one behind its last.
    pub(crate) spans: Vec<(String, usize, usize)>,
    /// Encoded options, if custom ones are among them: when those are read for the first time, the extension may be
    /// unknown yet.
    pub(crate) options: Vec<(String, Vec<u8>)>,
    /// Extensions, which protobuf before 4.22 does not register by itself.
    pub(crate) extensions: Vec<String>,
}

impl Facts {
    /// Those of an encoded file.
    pub(crate) fn of(file: &[u8]) -> Result<Self, Error> {
        let mut facts = Facts::default();
        facts.collect(Element::File, "DESCRIPTOR", file, 0)?;
        Ok(facts)
    }

    /// `start` is where `content` is in the file.
    fn collect(&mut self, element: Element, path: &str, content: &[u8], start: usize) -> Result<(), Error> {
        let mut end = start;
        for field in fields(content)? {
            end += field.whole.len();
            if field.number == element.options() {
                let custom = fields(field.content)?.iter().any(|option| option.number >= FIRST_CUSTOM_OPTION);
                if custom {
                    self.options.push((path.to_owned(), field.content.to_owned()));
                }
            }
            let Some((_, child, map)) =
                element.children().iter().find(|(number, ..)| *number == field.number)
            else {
                continue;
            };
            let path = format!("{path}.{map}[\"{}\"]", name(&fields(field.content)?));
            let child_start = end - field.content.len();
            if child.has_span() {
                self.spans.push((path.clone(), child_start, end));
            }
            if *map == EXTENSIONS {
                self.extensions.push(path.clone());
            }
            self.collect(*child, &path, field.content, child_start)?;
        }
        Ok(())
    }
}

const EXTENSIONS: &str = "extensions_by_name";

/// What descriptors describe.
#[derive(Clone, Copy)]
enum Element {
    File,
    Message,
    Field,
    Oneof,
    Enum,
    EnumValue,
    Service,
    Method,
}

impl Element {
    /// The field number of its options.
    fn options(self) -> u64 {
        match self {
            Element::File | Element::Field => 8,
            Element::Message => 7,
            Element::Enum | Element::EnumValue | Element::Service => 3,
            Element::Method => 4,
            Element::Oneof => 2,
        }
    }

    /// What is inside of it: field number, kind, and the attribute that has them by name.
    fn children(self) -> &'static [(u64, Element, &'static str)] {
        match self {
            Element::File => &[
                (FILE_MESSAGE, Element::Message, "message_types_by_name"),
                (5, Element::Enum, "enum_types_by_name"),
                (6, Element::Service, "services_by_name"),
                (FILE_EXTENSION, Element::Field, EXTENSIONS),
            ],
            Element::Message => &[
                (MESSAGE_FIELD, Element::Field, "fields_by_name"),
                (MESSAGE_MESSAGE, Element::Message, "nested_types_by_name"),
                (4, Element::Enum, "enum_types_by_name"),
                (MESSAGE_EXTENSION, Element::Field, EXTENSIONS),
                (8, Element::Oneof, "oneofs_by_name"),
            ],
            Element::Enum => &[(2, Element::EnumValue, "values_by_name")],
            Element::Service => &[(2, Element::Method, "methods_by_name")],
            Element::Field | Element::Oneof | Element::EnumValue | Element::Method => &[],
        }
    }

    /// Whether Python wants to know where it is.
    fn has_span(self) -> bool {
        matches!(self, Element::Message | Element::Enum | Element::Service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(parts: &[(u64, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        for (number, content) in parts {
            encoded::append(&mut message, *number, content);
        }
        message
    }

    #[test]
    fn json_names_that_follow_are_dropped_everywhere() {
        let plain = with(&[(NAME, b"order_id")]);
        let derived = with(&[(NAME, b"order_id"), (FIELD_JSON_NAME, b"orderId")]);
        let own = with(&[(NAME, b"order_id"), (FIELD_JSON_NAME, b"id")]);
        let file = |field: &[u8]| {
            let message = with(&[(MESSAGE_FIELD, field), (MESSAGE_EXTENSION, field)]);
            with(&[(FILE_MESSAGE, &with(&[(MESSAGE_MESSAGE, &message)])), (FILE_EXTENSION, field)])
        };
        assert_eq!(compact(&file(&derived)).unwrap(), file(&plain));
        assert_eq!(compact(&file(&own)).unwrap(), file(&own));
    }

    #[test]
    fn facts_say_where_elements_are() {
        let options = with(&[(FIRST_CUSTOM_OPTION, b"x")]);
        let field = with(&[(NAME, b"id"), (Element::Field.options(), &options)]);
        let message = with(&[(NAME, b"Order"), (MESSAGE_FIELD, &field), (MESSAGE_EXTENSION, &field)]);
        let file = with(&[(NAME, b"a.proto"), (FILE_MESSAGE, &message)]);
        let facts = Facts::of(&file).unwrap();
        let order = "DESCRIPTOR.message_types_by_name[\"Order\"]";
        assert_eq!(facts.spans, [(order.to_owned(), file.len() - message.len(), file.len())]);
        assert_eq!(facts.options[0], (format!("{order}.fields_by_name[\"id\"]"), options));
        assert_eq!(facts.extensions, [format!("{order}.extensions_by_name[\"id\"]")]);
    }
}
