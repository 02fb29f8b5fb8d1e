//! Which method is called, and of which kind it is.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;

use crate::Status;

/// The four kinds of gRPC methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One request, one response.
    Unary,
    /// One request, any number of responses.
    ServerStreaming,
    /// Any number of requests, one response.
    ClientStreaming,
    /// Any number of messages each way, independently.
    Bidi,
}

impl Kind {
    /// Whether the client sends exactly one message.
    #[must_use]
    pub const fn one_request(self) -> bool {
        matches!(self, Kind::Unary | Kind::ServerStreaming)
    }

    /// Whether the server sends exactly one message when the status is OK.
    #[must_use]
    pub const fn one_response(self) -> bool {
        matches!(self, Kind::Unary | Kind::ClientStreaming)
    }
}

/// A method: its path (`/package.Service/Method`) and its kind. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Method {
    path: Path,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Path {
    Static(&'static str),
    Shared(Arc<str>),
    /// In the form of the request line, for a method that is called often.
    Parsed(PathAndQuery),
}

impl Path {
    fn as_str(&self) -> &str {
        match self {
            Path::Static(path) => path,
            Path::Shared(path) => path,
            Path::Parsed(path) => path.as_str(),
        }
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Path {}

impl std::hash::Hash for Path {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Method {
    /// A method with a path known when compiling; generated code makes constants of these.
    #[must_use]
    pub const fn new(path: &'static str, kind: Kind) -> Self {
        Method { path: Path::Static(path), kind }
    }

    /// A method whose path is known only at run time, such as one that a proxy received.
    #[must_use]
    pub fn dynamic(path: impl Into<Arc<str>>, kind: Kind) -> Self {
        Method { path: Path::Shared(path.into()), kind }
    }

    /// Like [`Method::dynamic`]; each call of it spares the work of reading the path.
    pub(crate) fn parsed(path: &str, kind: Kind) -> Self {
        match PathAndQuery::try_from(path) {
            Ok(parsed) if parsed.as_str() == path => Method { path: Path::Parsed(parsed), kind },
            // The call says what is wrong with it.
            _ => Method::dynamic(path, kind),
        }
    }

    /// The path, `/package.Service/Method`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.as_str()
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The path for the request line. Costs no allocation for a static path.
    pub(crate) fn to_http(&self) -> Result<PathAndQuery, Status> {
        let parsed = match &self.path {
            Path::Static(path) => PathAndQuery::from_maybe_shared(Bytes::from_static(path.as_bytes())),
            Path::Shared(path) => PathAndQuery::try_from(&**path),
            Path::Parsed(path) => Ok(path.clone()),
        };
        match parsed {
            Ok(path) if path.as_str().starts_with('/') => Ok(path),
            _ => Err(Status::invalid_argument(format!(
                "method path {:?} is not of the form /package.Service/Method",
                self.path()
            ))),
        }
    }

    /// `package.Service`, or an empty text if the path has not two parts.
    #[must_use]
    pub fn service(&self) -> &str {
        split(self.path()).0
    }

    /// `Method`, or the whole path if it has not two parts.
    #[must_use]
    pub fn name(&self) -> &str {
        split(self.path()).1
    }
}

/// Some methods, by name: `/package.Service/Method`, or all of a service, `/package.Service/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    /// # Errors
    /// The rest of a sentence that begins with the text, which is not of these forms.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (service, name) = split(text);
        let whole =
            text.starts_with('/') && !service.is_empty() && !service.contains('/') && !name.is_empty();
        if !whole || service.contains('*') || (name.contains('*') && name != "*") {
            return Err("must be a method: /package.Service/Method, or /package.Service/*");
        }
        Ok(Pattern(text.to_owned()))
    }

    /// Reads several.
    ///
    /// # Errors
    /// Which of them is not of these forms.
    pub(crate) fn all(texts: &[String]) -> Result<Vec<Self>, String> {
        let parse = |text: &String| Pattern::parse(text).map_err(|problem| format!("{text:?} {problem}"));
        texts.iter().map(parse).collect()
    }

    /// Whether `path` is one of them.
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(service) => path.strip_prefix(service).is_some_and(|name| !name.contains('/')),
            None => path == self.0,
        }
    }
}

fn split(path: &str) -> (&str, &str) {
    path.strip_prefix('/').unwrap_or(path).rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_splits_into_service_and_name() {
        let method = Method::new("/shop.v1.Orders/Get", Kind::Unary);
        assert_eq!((method.service(), method.name()), ("shop.v1.Orders", "Get"));
        assert_eq!(Method::new("odd", Kind::Bidi).name(), "odd");
    }

    #[test]
    fn patterns_are_a_method_or_all_of_a_service() {
        let matches = |pattern: &str, path: &str| Pattern::parse(pattern).unwrap().matches(path);
        assert!(matches("/shop.v1.Orders/Get", "/shop.v1.Orders/Get"));
        assert!(!matches("/shop.v1.Orders/Get", "/shop.v1.Orders/GetAll"));
        assert!(matches("/shop.v1.Orders/*", "/shop.v1.Orders/Get"));
        for other in
            ["/shop.v1.OrdersToo/Get", "/shop.v1.Orders/a/b", "/shop.v1.Orders", "shop.v1.Orders/Get"]
        {
            assert!(!matches("/shop.v1.Orders/*", other), "{other}");
        }
        for wrong in ["", "*", "/*", "/*/*", "/a", "//a", "/a/", "a/b", "/a/b/c", "/a/b*", "/a*/b", "/a/**"] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
