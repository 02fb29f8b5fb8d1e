//! Generated files against the disk.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use spanwire_codegen::{Error, GeneratedFile};

use crate::Failure;

/// Writes the files below `folder`, and says which. Files that have their content already are not touched.
pub(crate) fn write(folder: &Path, files: &[GeneratedFile], stdout: &mut dyn Write) -> Result<(), Failure> {
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
        writeln!(stdout, "wrote {}", path.display())?;
        written += 1;
    }
    if files.is_empty() {
        writeln!(
            stdout,
            "{}: nothing to write: the sources have nothing that code is generated for",
            folder.display()
        )?;
    } else if written == 0 {
        writeln!(stdout, "{}: all {} files are up to date", folder.display(), files.len())?;
    }
    Ok(())
}

/// Prints how the files below `folder` differ from the generated ones; returns how many do.
pub(crate) fn compare(
    folder: &Path,
    files: &[GeneratedFile],
    stdout: &mut dyn Write,
) -> Result<usize, Failure> {
    let mut differences = 0;
    for file in files {
        let path = folder.join(&file.path);
        let difference = match fs::read(&path) {
            Ok(old) => first_difference(&String::from_utf8_lossy(&old), &file.content),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(": missing".to_owned()),
            Err(error) => return Err(Error::in_file(&path, format!("cannot read: {error}")).into()),
        };
        if let Some(difference) = difference {
            writeln!(stdout, "{}{difference}", path.display())?;
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
