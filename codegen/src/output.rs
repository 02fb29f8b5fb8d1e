//! Generated files against the disk.

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::{Error, GeneratedFile};

/// Writes the files below `folder`, and says which on `stdout`. Files that have their content already are not touched.
///
/// # Errors
/// When a file or `stdout` cannot be written.
pub fn write(folder: &Path, files: &[GeneratedFile], stdout: &mut dyn Write) -> Result<(), Error> {
    let mut written = 0;
    for file in files {
        let path = folder.join(&file.path);
        if fs::read(&path).is_ok_and(|old| old == file.content.as_bytes()) {
            continue;
        }
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, &file.content))
            .map_err(|error| Error::in_file(&path, format!("cannot write: {error}")))?;
        say(stdout, format_args!("wrote {}", path.display()))?;
        written += 1;
    }
    if files.is_empty() {
        let why = "nothing to write: the sources have nothing that code is generated for";
        say(stdout, format_args!("{}: {why}", folder.display()))?;
    } else if written == 0 {
        say(stdout, format_args!("{}: all {} files are up to date", folder.display(), files.len()))?;
    }
    Ok(())
}

fn say(stdout: &mut dyn Write, line: fmt::Arguments<'_>) -> Result<(), Error> {
    writeln!(stdout, "{line}").map_err(|error| Error::new(format!("cannot write what was done: {error}")))
}

/// Prints on `stdout` how the files below `folder` differ from the generated ones; returns how many do.
///
/// # Errors
/// When a file that is there cannot be read, or `stdout` not be written.
pub fn compare(folder: &Path, files: &[GeneratedFile], stdout: &mut dyn Write) -> Result<usize, Error> {
    let mut differences = 0;
    for file in files {
        let path = folder.join(&file.path);
        let difference = match fs::read(&path) {
            Ok(old) => first_difference(&String::from_utf8_lossy(&old), &file.content),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(": missing".to_owned()),
            Err(error) => return Err(Error::in_file(&path, format!("cannot read: {error}"))),
        };
        if let Some(difference) = difference {
            say(stdout, format_args!("{}{difference}", path.display()))?;
            differences += 1;
        }
    }
    Ok(differences)
}

/// `:line: ` and both versions of the first line that differs.
fn first_difference(old: &str, new: &str) -> Option<String> {
    if old == new {
        return None;
    }
    // Split, not `lines`: a missing newline at the end or a carriage return is a difference, too.
    let (mut old, mut new) = (old.split('\n'), new.split('\n'));
    let mut number = 0;
    loop {
        number += 1;
        let (on_disk, generated) = (old.next(), new.next());
        if on_disk != generated {
            let show =
                |line: Option<&str>| line.map_or("(end of file)".to_owned(), |line| format!("{line:?}"));
            return Some(format!(
                ":{number}: differs\n  on disk:   {}\n  generated: {}",
                show(on_disk),
                show(generated)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn the_first_line_that_differs_is_shown() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(
            first_difference("a\nb\nc\n", "a\nx\ny\n").unwrap(),
            ":2: differs\n  on disk:   \"b\"\n  generated: \"x\""
        );
        assert_eq!(
            first_difference("a\n", "a").unwrap(),
            ":2: differs\n  on disk:   \"\"\n  generated: (end of file)"
        );
    }
}
