//! The files that are meant by files and folders, as on a command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// The files to compile, and where to search imports.
#[derive(Debug, PartialEq, Eq)]
pub struct Sources {
    /// For [`compile`](crate::compile), sorted.
    pub files: Vec<PathBuf>,
    /// For the same.
    pub includes: Vec<PathBuf>,
}

/// Expands folders to the `.proto` files below them, hidden folders left out. Without `includes`, given folders
/// and the folders of given files are searched for imports.
///
/// # Errors
/// When a folder cannot be read, or has no `.proto` files.
pub fn find(given: &[PathBuf], includes: Vec<PathBuf>) -> Result<Sources, Error> {
    let mut sources = Sources { files: Vec::new(), includes };
    let infer = sources.includes.is_empty();
    for path in given {
        let include = if path.is_dir() {
            let before = sources.files.len();
            walk(path, &mut sources.files)
                .map_err(|error| Error::in_file(path, format!("cannot read: {error}")))?;
            if sources.files.len() == before {
                return Err(Error::in_file(path, "no .proto files in this folder"));
            }
            path.clone()
        } else {
            sources.files.push(path.clone());
            path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
        };
        if infer && !sources.includes.contains(&include) {
            sources.includes.push(include);
        }
    }
    sources.files.sort();
    sources.files.dedup();
    Ok(sources)
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
            continue;
        }
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
