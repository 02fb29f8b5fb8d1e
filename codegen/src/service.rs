//! Services with all that their code refers to, for languages whose messages another generator makes.

use std::collections::HashMap;

use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, FileDescriptorProto, MethodDescriptorProto};

use crate::descriptors::File;
use crate::{Descriptors, Error};

// Field numbers of FileDescriptorProto and ServiceDescriptorProto, of which the paths of locations consist.
const FILE_SERVICE: i32 = 6;
const SERVICE_METHOD: i32 = 2;

/// A service of a requested file.
pub(crate) struct Service<'a> {
    pub(crate) file: &'a FileDescriptorProto,
    pub(crate) name: &'a str,
    /// With the package.
    pub(crate) full_name: String,
    pub(crate) place: Place,
    pub(crate) methods: Vec<Method<'a>>,
}

/// A method of a service.
pub(crate) struct Method<'a> {
    pub(crate) name: &'a str,
    /// `/package.Service/Method`.
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) input: Type<'a>,
    pub(crate) output: Type<'a>,
    pub(crate) deprecated: bool,
    pub(crate) place: Place,
}

/// What the source says beside the descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The lines of the comment; empty if there is none.
    pub(crate) comment: Vec<String>,
    /// Line and column, counted from 1.
    pub(crate) position: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidi,
}

/// A message type.
#[derive(Clone, Copy)]
pub(crate) struct Type<'a> {
    /// The file that defines it.
    pub(crate) file: &'a File,
    /// With package and outer messages, without a dot in front.
    pub(crate) full_name: &'a str,
}

impl Kind {
    pub(crate) fn client_streams(self) -> bool {
        matches!(self, Kind::ClientStreaming | Kind::Bidi)
    }

    pub(crate) fn server_streams(self) -> bool {
        matches!(self, Kind::ServerStreaming | Kind::Bidi)
    }
}

impl<'a> Type<'a> {
    pub(crate) fn package(&self) -> &'a str {
        self.file.descriptor.package()
    }

    /// Without the package.
    pub(crate) fn name_in_package(&self) -> &'a str {
        self.full_name.strip_prefix(self.package()).unwrap_or(self.full_name).trim_start_matches('.')
    }
}

impl Service<'_> {
    /// An error about the place of the service or of one of its methods.
    pub(crate) fn error(&self, place: &Place, message: String) -> Error {
        match place.position {
            Some(position) => Error::at(self.file.name(), position, message),
            None => Error::in_file(self.file.name(), message),
        }
    }
}

/// The services of all requested files, by file.
pub(crate) fn services(descriptors: &Descriptors) -> Result<Vec<Service<'_>>, Error> {
    let mut names = HashMap::new();
    for file in descriptors.files() {
        collect(file.descriptor.package(), &file.descriptor.message_type, file, &mut names);
    }
    let mut services = Vec::new();
    for file in descriptors.files().iter().filter(|file| file.requested) {
        let file = &file.descriptor;
        for (index, service) in (0..).zip(&file.service) {
            let full_name = join(file.package(), service.name());
            let mut methods = Vec::new();
            for (method, number) in service.method.iter().zip(0..) {
                let place = place(file, &[FILE_SERVICE, index, SERVICE_METHOD, number]);
                methods.push(Method::new(file, &full_name, method, place, &names)?);
            }
            let place = place(file, &[FILE_SERVICE, index]);
            services.push(Service { file, name: service.name(), full_name, place, methods });
        }
    }
    Ok(services)
}

/// A message's full name as fields refer to it, and where it is.
type Messages<'a> = HashMap<String, &'a File>;

fn collect<'a>(outer: &str, messages: &'a [DescriptorProto], file: &'a File, names: &mut Messages<'a>) {
    for message in messages {
        let name = join(outer, message.name());
        collect(&name, &message.nested_type, file, names);
        names.insert(name, file);
    }
}

fn join(outer: &str, name: &str) -> String {
    if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") }
}

impl<'a> Method<'a> {
    fn new(
        file: &'a FileDescriptorProto,
        service: &str,
        method: &'a MethodDescriptorProto,
        place: Place,
        names: &Messages<'a>,
    ) -> Result<Self, Error> {
        let find = |name: &'a str| {
            let full_name = name.trim_start_matches('.');
            names.get(full_name).map(|&file| Type { file, full_name }).ok_or_else(|| {
                Error::in_file(file.name(), format!("the descriptor of message {full_name} is missing"))
            })
        };
        Ok(Method {
            name: method.name(),
            path: format!("/{service}/{}", method.name()),
            kind: match (method.client_streaming(), method.server_streaming()) {
                (false, false) => Kind::Unary,
                (false, true) => Kind::ServerStreaming,
                (true, false) => Kind::ClientStreaming,
                (true, true) => Kind::Bidi,
            },
            input: find(method.input_type())?,
            output: find(method.output_type())?,
            deprecated: method.options.as_ref().is_some_and(|options| options.deprecated()),
            place,
        })
    }
}

/// The place of the element that `path` leads to.
fn place(file: &FileDescriptorProto, path: &[i32]) -> Place {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let Some(location) = locations.into_iter().find(|location| location.path == path) else {
        return Place::default();
    };
    let position = match location.span[..] {
        [line, column, ..] => usize::try_from(line).ok().zip(usize::try_from(column).ok()),
        _ => None,
    };
    Place { comment: comment(location), position: position.map(|(line, column)| (line + 1, column + 1)) }
}

/// The lines of the comments before and behind an element.
pub(crate) fn comment(location: &Location) -> Vec<String> {
    let mut comment = lines(location.leading_comments());
    let trailing = lines(location.trailing_comments());
    if !comment.is_empty() && !trailing.is_empty() {
        comment.push(String::new());
    }
    comment.extend(trailing);
    comment
}

/// The lines of a comment without empty ones at either end.
fn lines(comment: &str) -> Vec<String> {
    let clean = |line: &str| {
        let line: String = line.chars().filter(|&c| is_allowed(c)).collect();
        line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()
    };
    let mut lines: Vec<String> = comment.lines().map(clean).skip_while(String::is_empty).collect();
    lines.truncate(lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1));
    lines
}

/// Not control characters, and no invisible marks that reorder text: compilers warn of both.
fn is_allowed(c: char) -> bool {
    c == '\t' || !(c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'))
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn empty_lines_stay_only_between_others() {
        assert_eq!(lines("\n First.\n\n   indented \n\n"), ["First.", "", "  indented"]);
        assert!(lines(" \n").is_empty());
    }

    #[test]
    fn characters_that_compilers_warn_of_are_dropped() {
        assert_eq!(lines(" a\rb\u{202E}c\0\n"), ["abc"]);
    }
}
