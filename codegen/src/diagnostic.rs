//! What went wrong, and where: `file:line:column: message`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Why code could not be generated: one or more [`Diagnostic`]s, shown one per line.
///
/// `Debug` shows the same text as `Display`, so that a build script may return it from `main`.
pub struct Error {
    diagnostics: Vec<Diagnostic>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file that is wrong, as a path that can be opened from the current folder where possible.
    pub file: Option<PathBuf>,
    /// Line and column in that file, both counted from 1, the column in characters.
    pub position: Option<(usize, usize)>,
    /// What is wrong, on one line.
    pub message: String,
}

impl Error {
    /// An error that is about no file.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Diagnostic { file: None, position: None, message: message.into() }.into()
    }

    /// An error about a file as a whole.
    #[must_use]
    pub fn in_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Diagnostic { file: Some(file.into()), position: None, message: message.into() }.into()
    }

    /// An error at a line and a column, both counted from 1.
    #[must_use]
    pub fn at(file: impl Into<PathBuf>, position: (usize, usize), message: impl Into<String>) -> Self {
        Diagnostic { file: Some(file.into()), position: Some(position), message: message.into() }.into()
    }

    /// All that is wrong; never empty.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The lines of `text`, each one a finished message (a compiler's own output).
    pub(crate) fn from_lines(text: &str) -> Option<Self> {
        let diagnostics: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .map(|line| Diagnostic { file: None, position: None, message: line.trim_end().to_owned() })
            .collect();
        (!diagnostics.is_empty()).then_some(Error { diagnostics })
    }

    /// Turns protox's error into ours. `locate` finds the path of a file that is named as in an `import`.
    pub(crate) fn from_protox(error: &protox::Error, locate: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let name = error.file();
        let path = name.map(|name| locate(name).unwrap_or_else(|| PathBuf::from(name)));
        let source = path.as_deref().and_then(|path| fs::read_to_string(path).ok());
        let related = miette::Diagnostic::related(error).into_iter().flatten();
        let diagnostics = std::iter::once(error as &dyn miette::Diagnostic)
            .chain(related)
            .map(|item| diagnose(item, path.as_deref(), source.as_deref()))
            .collect();
        Error { diagnostics }
    }
}

/// One diagnostic of protox. Without a label the mistake is that the file ends too early, or it concerns the
/// file as a whole; an editor can still open a position at the end or at the start.
fn diagnose(item: &dyn miette::Diagnostic, path: Option<&Path>, source: Option<&str>) -> Diagnostic {
    let labels: Vec<_> = item.labels().into_iter().flatten().collect();
    // Where two places are named (a name and its first use), protox calls the wrong one "found here" or lists it last.
    let label = labels.iter().find(|label| label.label() == Some("found here")).or_else(|| labels.last());
    let message = item.to_string().replace('\n', " ");
    let offset = match label {
        Some(label) => label.offset(),
        None if message.ends_with("reached end of file") => source.map_or(0, |text| text.trim_end().len()),
        None => 0,
    };
    let message = match item.help() {
        Some(help) => format!("{message} ({})", help.to_string().replace('\n', " ")),
        None => message,
    };
    Diagnostic {
        file: path.map(Path::to_owned),
        position: source.map(|text| position(text, offset)),
        message,
    }
}

/// The line and column, both counted from 1, of the byte at `offset` in `text`; columns count characters.
/// An offset beyond the end means the end.
#[must_use]
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    // Continuation bytes of UTF-8 begin with the bits 10.
    let column = before[line_start..].iter().filter(|&&byte| byte & 0xC0 != 0x80).count() + 1;
    (line, column)
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Error { diagnostics: vec![diagnostic] }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", file.display())?;
            if let Some((line, column)) = self.position {
                write!(f, "{line}:{column}:")?;
            }
            f.write_str(" ")?;
        }
        f.write_str(&self.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            diagnostic.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_counts_lines_and_characters_from_one() {
        assert_eq!(position("", 0), (1, 1));
        assert_eq!(position("ab\ncd", 3), (2, 1));
        assert_eq!(position("äö=x", 5), (1, 4));
        assert_eq!(position("ab\n", 99), (2, 1));
    }

    #[test]
    fn an_error_shows_one_line_for_each_diagnostic() {
        let error = Error {
            diagnostics: vec![
                Diagnostic { file: Some("a.proto".into()), position: Some((3, 5)), message: "bad".into() },
                Diagnostic { file: Some("b.proto".into()), position: None, message: "worse".into() },
                Diagnostic { file: None, position: None, message: "worst".into() },
            ],
        };
        assert_eq!(error.to_string(), "a.proto:3:5: bad\nb.proto: worse\nworst");
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
