//! Refused operations as errors of JavaScript. The public package makes `TypeError`s of those with the code `InvalidArg`.

use napi::{Error, Status};
use spanwire::bridge::OpError;

/// The error of a refused operation.
pub(crate) fn op_error(error: &OpError) -> Error {
    match error {
        OpError::Argument(text) => argument(in_javascript(text)),
        other => Error::new(Status::GenericFailure, other.to_string()),
    }
}

/// An argument cannot be used; the text says which and why.
pub(crate) fn argument(text: impl AsRef<str>) -> Error {
    Error::new(Status::InvalidArg, text.as_ref())
}

/// The engine names settings `like_this`, JavaScript `likeThis`.
pub(crate) fn in_javascript(text: &str) -> String {
    let name_end = text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    if !rest.starts_with(':') {
        return text.replace("max_send_message_bytes", "maxSendMessageBytes");
    }
    format!("{}{}", camel(name), rest.replacen(": -1 cannot", ": Infinity cannot", 1))
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
        name
    })
}

/// `like_this`, of `likeThis`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
