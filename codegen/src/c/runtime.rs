//! The libraries for messages: their names for types, and how generated code packs and unpacks with them.

use crate::service::Type;
use crate::{Error, encoded};

/// Who encodes the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Runtime {
    #[default]
    ProtobufC,
    Nanopb,
    /// Nobody: messages are bytes.
    Bytes,
}

impl Runtime {
    pub(crate) const NAMES: &'static str = "protobuf-c, nanopb, bytes";

    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "protobuf-c" => Runtime::ProtobufC,
            "nanopb" => Runtime::Nanopb,
            "bytes" => Runtime::Bytes,
            _ => return None,
        })
    }

    /// Who makes the messages, for the first line of a file.
    pub(crate) fn messages(self) -> &'static str {
        match self {
            Runtime::ProtobufC => "messages by protobuf-c",
            Runtime::Nanopb => "messages by nanopb",
            Runtime::Bytes => "messages as bytes",
        }
    }

    /// The header with the messages of a `.proto` file, named without that ending.
    pub(crate) fn header(self, stem: &str) -> Option<String> {
        match self {
            Runtime::ProtobufC => Some(format!("{stem}.pb-c.h")),
            Runtime::Nanopb => Some(format!("{stem}.pb.h")),
            Runtime::Bytes => None,
        }
    }

    /// Headers that only the source file needs.
    pub(crate) fn source_headers(self) -> &'static [&'static str] {
        match self {
            Runtime::Nanopb => &["pb_decode.h", "pb_encode.h"],
            Runtime::ProtobufC | Runtime::Bytes => &[],
        }
    }

    /// The C type of a message; of a message that arrived, without a library.
    pub(crate) fn type_name(self, message: Type<'_>) -> Result<String, Error> {
        Ok(match self {
            Runtime::ProtobufC => protobuf_c_names(message)?.0,
            Runtime::Nanopb => message.full_name.replace('.', "_"),
            Runtime::Bytes => "spanwire_bytes".to_owned(),
        })
    }

    /// The parameter for a message that is sent.
    pub(crate) fn sent(self, message: Type<'_>, name: &str) -> Result<String, Error> {
        match self {
            Runtime::Bytes => Ok(format!("const spanwire_buffer *{name}")),
            _ => Ok(format!("const {} *{name}", self.type_name(message)?)),
        }
    }

    /// The parameter for how a message is sent; bytes have it in their buffer.
    pub(crate) fn flags(self) -> Option<String> {
        (self != Runtime::Bytes).then(|| "uint32_t flags".to_owned())
    }

    /// Statements that pack the message in the parameter `name`, and the pointer to the buffer that they leave.
    pub(crate) fn pack(self, message: Type<'_>, name: &str, flags: &str) -> (String, String) {
        let arguments = match self {
            Runtime::ProtobufC => format!("(const ProtobufCMessage *){name}"),
            Runtime::Nanopb => format!("{}_fields, {name}", message.full_name.replace('.', "_")),
            Runtime::Bytes => return (String::new(), name.to_owned()),
        };
        let statements = format!(
            "  spanwire_buffer buffer;
  spanwire_result packed = pack_message({arguments}, {flags}, &buffer);
  if (packed < 0) {{
    return packed;
  }}
"
        );
        (statements, "&buffer".to_owned())
    }

    /// The argument by which helpers know the type of a message.
    pub(crate) fn descriptor(self, message: Type<'_>) -> Result<String, Error> {
        Ok(match self {
            Runtime::ProtobufC => format!("&{}__descriptor", protobuf_c_names(message)?.1),
            Runtime::Nanopb => format!("{}_fields", message.full_name.replace('.', "_")),
            Runtime::Bytes => String::new(),
        })
    }
}

/// The type and the stem of the functions that protoc-c makes of a message.
fn protobuf_c_names(message: Type<'_>) -> Result<(String, String), Error> {
    let package = match c_package(&message.file.encoded)? {
        Some(package) => package,
        None => message.package().to_owned(),
    };
    let parts: Vec<&str> = package
        .split('.')
        .chain(message.name_in_package().split('.'))
        .filter(|part| !part.is_empty())
        .collect();
    let join =
        |change: fn(&str) -> String| parts.iter().map(|part| change(part)).collect::<Vec<_>>().join("__");
    Ok((join(camel), join(lower)))
}

/// The option `(pb_c_file).c_package`, which replaces the package in C.
fn c_package(file: &[u8]) -> Result<Option<String>, Error> {
    // FileDescriptorProto.options, FileOptions.(pb_c_file), ProtobufCFileOptions.c_package
    let mut content = vec![file];
    for number in [8, 1019, 6] {
        let mut inner = Vec::new();
        for message in content {
            inner.extend(
                encoded::fields(message)?.iter().filter(|field| field.number == number).map(|f| f.content),
            );
        }
        content = inner;
    }
    Ok(content.last().map(|name| String::from_utf8_lossy(name).into_owned()))
}

/// As protoc-c names types: underscores go, and what follows them is upper case.
fn camel(name: &str) -> String {
    name.split('_')
        .map(|part| {
            let mut letters = part.chars();
            letters
                .next()
                .map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        })
        .collect()
}

/// As protoc-c names functions: an underscore before each capital that follows no capital.
fn lower(name: &str) -> String {
    let mut text = String::new();
    let mut after_capital = true;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !after_capital {
            text.push('_');
        }
        after_capital = letter.is_ascii_uppercase();
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_protoc_c() {
        for (name, upper, lower_case) in [
            ("GetOrder", "GetOrder", "get_order"),
            ("HTTPGet", "HTTPGet", "httpget"),
            ("snake_case2", "SnakeCase2", "snake_case2"),
            ("v1", "V1", "v1"),
            ("a_B", "AB", "a__b"),
        ] {
            assert_eq!((camel(name).as_str(), lower(name).as_str()), (upper, lower_case));
        }
    }

    #[test]
    fn the_package_of_protobuf_c_is_found_in_the_options() {
        let nested = |numbers: [u64; 3]| {
            numbers.iter().rev().fold(b"shop".to_vec(), |content, &number| {
                let mut outer = Vec::new();
                encoded::append(&mut outer, number, &content);
                outer
            })
        };
        assert_eq!(c_package(&nested([8, 1019, 6])).unwrap().as_deref(), Some("shop"));
        assert_eq!(c_package(&nested([8, 1020, 6])).unwrap(), None);
    }
}
