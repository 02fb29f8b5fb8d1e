//! Editions: recognising them, and expressing them as proto3 for generators that know no features.
//!
//! An edition is a set of defaults for features, and each element may override them. What changes the code of messages
//! is whether a field has presence, whether it is packed, and how a message is delimited; proto3 can say all of
//! that per field. Spec: the protobuf documentation, "Feature Settings for Editions".

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FieldOptions, FileDescriptorProto};

use crate::Error;

/// The oldest and the newest edition that is understood, as numbers of `google.protobuf.Edition` (2023 and 2024).
pub(crate) const OLDEST: i32 = 1000;
pub(crate) const NEWEST: i32 = 1001;

/// The edition that a source file declares (`edition = "2023";`) and the offset of that statement.
pub(crate) fn declared(source: &str) -> Option<(String, usize)> {
    let start = skip_space(source);
    let rest = start.strip_prefix("edition")?;
    let rest = skip_space(skip_space(rest).strip_prefix('=')?);
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (edition, _) = rest[1..].split_once(quote)?;
    Some((edition.to_owned(), source.len() - start.len()))
}

/// `text` from the first character that is neither space nor comment.
fn skip_space(text: &str) -> &str {
    let mut rest = text.trim_start_matches('\u{FEFF}').trim_start();
    loop {
        rest = if let Some(comment) = rest.strip_prefix("//") {
            comment.split_once('\n').map_or("", |(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map_or("", |(_, after)| after)
        } else {
            return rest;
        }
        .trim_start();
    }
}

// The fields of descriptors that carry features, which `prost-types` does not have.

#[derive(Clone, Copy, PartialEq, Message)]
struct Features {
    #[prost(int32, optional, tag = "1")]
    field_presence: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    repeated_field_encoding: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    message_encoding: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct FileFeatures {
    #[prost(message, repeated, tag = "4")]
    messages: Vec<MessageFeatures>,
    #[prost(message, optional, tag = "8")]
    options: Option<FileOptionFeatures>,
    #[prost(int32, optional, tag = "14")]
    edition: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct FileOptionFeatures {
    #[prost(message, optional, tag = "50")]
    features: Option<Features>,
}

#[derive(Clone, PartialEq, Message)]
struct MessageFeatures {
    #[prost(message, repeated, tag = "2")]
    fields: Vec<FieldFeatures>,
    #[prost(message, repeated, tag = "3")]
    messages: Vec<MessageFeatures>,
    #[prost(message, optional, tag = "7")]
    options: Option<MessageOptionFeatures>,
    #[prost(message, repeated, tag = "8")]
    oneofs: Vec<OneofFeatures>,
}

#[derive(Clone, PartialEq, Message)]
struct MessageOptionFeatures {
    #[prost(message, optional, tag = "12")]
    features: Option<Features>,
}

#[derive(Clone, PartialEq, Message)]
struct FieldFeatures {
    #[prost(message, optional, tag = "8")]
    options: Option<FieldOptionFeatures>,
}

#[derive(Clone, PartialEq, Message)]
struct FieldOptionFeatures {
    #[prost(message, optional, tag = "21")]
    features: Option<Features>,
}

#[derive(Clone, PartialEq, Message)]
struct OneofFeatures {
    #[prost(message, optional, tag = "2")]
    options: Option<OneofOptionFeatures>,
}

#[derive(Clone, PartialEq, Message)]
struct OneofOptionFeatures {
    #[prost(message, optional, tag = "1")]
    features: Option<Features>,
}

// Values of google.protobuf.FeatureSet.
const IMPLICIT: i32 = 2;
const LEGACY_REQUIRED: i32 = 3;
const EXPANDED: i32 = 2;
const DELIMITED: i32 = 2;

impl Features {
    /// These features where they are set, otherwise those of the element around. What is set nowhere has the
    /// default of editions 2023 and 2024: explicit presence, packed, length-prefixed.
    fn over(own: Option<Features>, around: Features) -> Features {
        let own = own.unwrap_or_default();
        Features {
            field_presence: own.field_presence.or(around.field_presence),
            repeated_field_encoding: own.repeated_field_encoding.or(around.repeated_field_encoding),
            message_encoding: own.message_encoding.or(around.message_encoding),
        }
    }
}

/// Rewrites a file of an edition into the proto3 that means the same; other files are left alone. `encoded` is the
/// descriptor as the compiler wrote it.
pub(crate) fn lower(file: &mut FileDescriptorProto, encoded: &[u8]) -> Result<(), Error> {
    match file.syntax() {
        "" | "proto2" | "proto3" => return Ok(()),
        "editions" => {}
        syntax => return Err(Error::in_file(file.name(), format!("unknown syntax {syntax:?}"))),
    }
    let raw = FileFeatures::decode(encoded)
        .map_err(|error| Error::new(format!("malformed descriptor: {error}")))?;
    let edition = raw.edition.unwrap_or_default();
    if !(OLDEST..=NEWEST).contains(&edition) {
        return Err(Error::in_file(
            file.name(),
            format!("edition number {edition} is not supported; supported are \"2023\" and \"2024\""),
        ));
    }
    let around = Features::over(raw.options.and_then(|options| options.features), Features::default());
    for (message, raw) in file.message_type.iter_mut().zip(&raw.messages) {
        lower_message(message, raw, around);
    }
    file.syntax = Some("proto3".to_owned());
    Ok(())
}

fn lower_message(message: &mut DescriptorProto, raw: &MessageFeatures, around: Features) {
    if message.options.as_ref().is_some_and(|options| options.map_entry()) {
        // The encoding of maps is the same everywhere.
        return;
    }
    let around = Features::over(raw.options.as_ref().and_then(|options| options.features), around);
    let maps: Vec<String> = message
        .nested_type
        .iter()
        .filter(|nested| nested.options.as_ref().is_some_and(|options| options.map_entry()))
        .map(|nested| format!(".{}", nested.name()))
        .collect();
    for (field, raw_field) in message.field.iter_mut().zip(&raw.fields) {
        let oneof = field.oneof_index.and_then(|index| raw.oneofs.get(index as usize));
        let oneof = oneof.and_then(|oneof| oneof.options.as_ref()).and_then(|options| options.features);
        let own = raw_field.options.as_ref().and_then(|options| options.features);
        let is_map = maps.iter().any(|entry| field.type_name().ends_with(entry.as_str()));
        if !is_map {
            lower_field(field, Features::over(own, Features::over(oneof, around)));
        }
    }
    for (nested, raw) in message.nested_type.iter_mut().zip(&raw.messages) {
        lower_message(nested, raw, around);
    }
}

fn lower_field(field: &mut FieldDescriptorProto, features: Features) {
    if field.label() == Label::Repeated {
        if features.repeated_field_encoding == Some(EXPANDED) {
            field.options.get_or_insert_with(FieldOptions::default).packed = Some(false);
        }
    } else if field.oneof_index.is_none() {
        match features.field_presence {
            // Messages have presence whatever the features say.
            Some(IMPLICIT) if field.r#type() != Type::Message => {}
            Some(LEGACY_REQUIRED) => field.set_label(Label::Required),
            _ => field.proto3_optional = Some(true),
        }
    }
    if field.r#type() == Type::Message && features.message_encoding == Some(DELIMITED) {
        field.set_type(Type::Group);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoded;

    #[test]
    fn an_edition_is_recognised_behind_comments() {
        assert_eq!(declared("edition = \"2023\";"), Some(("2023".into(), 0)));
        assert_eq!(declared("// a\n/* b\n*/ edition='2024' ;"), Some(("2024".into(), 13)));
        for other in
            ["", "syntax = \"proto3\";", "// edition = \"2023\";", "message edition {}", "edition \"2023\";"]
        {
            assert_eq!(declared(other), None, "{other}");
        }
    }

    fn field(name: &str, kind: Type, label: Label) -> FieldDescriptorProto {
        FieldDescriptorProto {
            name: Some(name.into()),
            r#type: Some(kind as i32),
            label: Some(label as i32),
            ..FieldDescriptorProto::default()
        }
    }

    /// A file with one message, and features for the file and for the field with the given index.
    fn lowered(
        fields: Vec<FieldDescriptorProto>,
        file: Features,
        own: &[(usize, Features)],
    ) -> FileDescriptorProto {
        let mut descriptor = FileDescriptorProto {
            name: Some("x.proto".into()),
            syntax: Some("editions".into()),
            message_type: vec![DescriptorProto { field: fields, ..DescriptorProto::default() }],
            ..FileDescriptorProto::default()
        };
        let count = descriptor.message_type[0].field.len();
        let raw = FileFeatures {
            messages: vec![MessageFeatures {
                fields: (0..count)
                    .map(|index| FieldFeatures {
                        options: own
                            .iter()
                            .find(|(at, _)| *at == index)
                            .map(|(_, features)| FieldOptionFeatures { features: Some(*features) }),
                    })
                    .collect(),
                ..MessageFeatures::default()
            }],
            options: Some(FileOptionFeatures { features: Some(file) }),
            edition: Some(OLDEST),
        };
        lower(&mut descriptor, &raw.encode_to_vec()).unwrap();
        descriptor
    }

    #[test]
    fn presence_is_explicit_unless_a_feature_says_otherwise() {
        let required = Features { field_presence: Some(LEGACY_REQUIRED), ..Features::default() };
        let implicit = Features { field_presence: Some(IMPLICIT), ..Features::default() };
        let fields = ["a", "b", "c"].map(|name| field(name, Type::Int32, Label::Optional)).to_vec();
        let file = lowered(fields.clone(), Features::default(), &[(1, implicit), (2, required)]);
        assert_eq!(file.syntax(), "proto3");
        let fields_out = &file.message_type[0].field;
        assert_eq!(
            fields_out.iter().map(|field| field.proto3_optional()).collect::<Vec<_>>(),
            [true, false, false]
        );
        assert_eq!(fields_out[2].label(), Label::Required);
        let file = lowered(fields, implicit, &[]);
        assert!(!file.message_type[0].field[0].proto3_optional());
        let file = lowered(vec![field("m", Type::Message, Label::Optional)], implicit, &[]);
        assert!(file.message_type[0].field[0].proto3_optional());
    }

    #[test]
    fn expanded_lists_and_delimited_messages_keep_their_encoding() {
        let expanded = Features { repeated_field_encoding: Some(EXPANDED), ..Features::default() };
        let delimited = Features { message_encoding: Some(DELIMITED), ..Features::default() };
        let fields =
            vec![field("a", Type::Int32, Label::Repeated), field("b", Type::Message, Label::Optional)];
        let file = lowered(fields, Features::default(), &[(0, expanded), (1, delimited)]);
        let fields = &file.message_type[0].field;
        assert_eq!(fields[0].options.as_ref().unwrap().packed, Some(false));
        assert_eq!(fields[1].r#type(), Type::Group);
    }

    #[test]
    fn an_edition_from_the_future_is_refused() {
        let mut file =
            FileDescriptorProto { syntax: Some("editions".into()), ..FileDescriptorProto::default() };
        let raw = FileFeatures { edition: Some(NEWEST + 1), ..FileFeatures::default() }.encode_to_vec();
        assert!(
            lower(&mut file, &raw).unwrap_err().to_string().contains("edition number 1002 is not supported")
        );
        let mut proto3 =
            FileDescriptorProto { syntax: Some("proto3".into()), ..FileDescriptorProto::default() };
        assert!(lower(&mut proto3, &encoded::without(&[], 1).unwrap()).is_ok());
    }
}
