//! Fields of messages, as type checkers see them.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto};

use crate::Error;
use crate::python::stub::Scope;

/// The types of one field, in terms of the names that a stub imports.
pub(crate) struct FieldType {
    /// What reading gives.
    pub(crate) read: String,
    /// What the constructor takes.
    pub(crate) construct: String,
    /// Whether it can be assigned to; others are changed in place.
    pub(crate) assignable: bool,
}

impl FieldType {
    /// The types of a field of a message, or of an extension.
    pub(crate) fn of(field: &FieldDescriptorProto, scope: &Scope<'_>) -> Result<Self, Error> {
        let repeated = field.label() == Label::Repeated;
        if let Some(entry) = map_entry(field, scope)? {
            return FieldType::of_map(entry, scope);
        }
        let element = element(field, scope)?;
        Ok(match (field.r#type(), repeated) {
            (Type::Message | Type::Group, false) => FieldType {
                construct: format!("{element} | _Mapping[_str, _Any]"),
                read: element,
                assignable: false,
            },
            (Type::Message | Type::Group, true) => FieldType {
                construct: format!("_Iterable[{element} | _Mapping[_str, _Any]]"),
                read: format!("_RepeatedComposite[{element}]"),
                assignable: false,
            },
            (Type::Enum, false) => {
                FieldType { construct: format!("{element} | _str"), read: element, assignable: true }
            }
            (Type::Enum, true) => FieldType {
                construct: format!("_Iterable[{element} | _str]"),
                read: format!("_RepeatedScalar[{element}]"),
                assignable: false,
            },
            (_, false) => FieldType { construct: element.clone(), read: element, assignable: true },
            (_, true) => FieldType {
                construct: format!("_Iterable[{element}]"),
                read: format!("_RepeatedScalar[{element}]"),
                assignable: false,
            },
        })
    }

    fn of_map(entry: &DescriptorProto, scope: &Scope<'_>) -> Result<Self, Error> {
        let [key, value] = &entry.field[..] else {
            return Err(Error::new(format!("malformed descriptor: map entry {}", entry.name())));
        };
        let arguments = format!("[{}, {}]", element(key, scope)?, element(value, scope)?);
        let kind = if value.r#type() == Type::Message { "_MessageMap" } else { "_ScalarMap" };
        Ok(FieldType {
            read: format!("{kind}{arguments}"),
            construct: format!("_Mapping{arguments}"),
            assignable: false,
        })
    }
}

/// The message behind a map, if the field is one.
fn map_entry<'a>(
    field: &FieldDescriptorProto,
    scope: &Scope<'a>,
) -> Result<Option<&'a DescriptorProto>, Error> {
    if field.r#type() != Type::Message || field.label() != Label::Repeated {
        return Ok(None);
    }
    Ok(scope.find(field.type_name())?.map_entry)
}

/// The type of one value.
fn element(field: &FieldDescriptorProto, scope: &Scope<'_>) -> Result<String, Error> {
    Ok(match field.r#type() {
        Type::Double | Type::Float => "_float".to_owned(),
        Type::Bool => "_bool".to_owned(),
        Type::String => "_str".to_owned(),
        Type::Bytes => "_bytes".to_owned(),
        Type::Message | Type::Group => scope.message(field.type_name())?,
        Type::Enum => scope.enum_value(field.type_name())?,
        _ => "_int".to_owned(),
    })
}

/// Whether `HasField` may be asked for it.
pub(crate) fn has_presence(field: &FieldDescriptorProto, is_proto2: bool) -> bool {
    let is_message = matches!(field.r#type(), Type::Message | Type::Group);
    let explicit = is_message || is_proto2 || field.oneof_index.is_some() || field.proto3_optional();
    field.label() != Label::Repeated && (explicit || field.label() == Label::Required)
}
