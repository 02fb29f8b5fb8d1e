//! From `.proto` files to descriptors.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::descriptors::File;
use crate::{Descriptors, Error, editions, position, protoc};

/// Compiles `.proto` files, which are searched for, as their imports are, below the `includes` in order. The imports
/// `google/protobuf/*.proto` are built in. Without includes the folder of each file is one.
///
/// Files that declare an edition are compiled by an installed `protoc` (`$PROTOC`, or the one on PATH).
///
/// # Errors
/// When a file is missing or wrong, with its position; or when an edition needs a `protoc` and there is none.
pub fn compile(files: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<Descriptors, Error> {
    let files: Vec<PathBuf> = files.iter().map(|file| file.as_ref().to_owned()).collect();
    let mut includes: Vec<PathBuf> = includes.iter().map(|include| include.as_ref().to_owned()).collect();
    if includes.is_empty() {
        includes = folders(&files);
    }
    if let Some(missing) = includes.iter().find(|include| !include.is_dir()) {
        return Err(Error::in_file(missing, "the include folder does not exist"));
    }
    let locate = |name: &str| includes.iter().map(|include| include.join(name)).find(|path| path.is_file());
    let names = files.iter().map(|file| name_of(file, &includes)).collect::<Result<BTreeSet<_>, _>>()?;

    match run_protox(&names, &includes) {
        Ok(descriptors) => Ok(descriptors),
        Err(error) => {
            let Some((path, edition, at)) = error.file().and_then(locate).and_then(declared_edition) else {
                return Err(Error::from_protox(&error, locate));
            };
            let Some(protoc) = protoc::find() else {
                return Err(Error::at(path, at, no_protoc(&edition)));
            };
            // By the paths below the includes, so that protoc agrees on the names.
            let paths: Vec<PathBuf> = names.iter().filter_map(|name| locate(name)).collect();
            let descriptors = protoc::compile(&protoc, &paths, &includes, |name| names.contains(name))?;
            let sources =
                descriptors.files().iter().filter_map(|file| locate(file.descriptor.name())).collect();
            Ok(descriptors.with_sources(sources, true))
        }
    }
}

fn no_protoc(edition: &str) -> String {
    format!(
        "edition \"{edition}\" needs protoc, and there is none on PATH or in ${}: install protoc, or write \
         syntax = \"proto3\"",
        protoc::VARIABLE
    )
}

fn run_protox(names: &BTreeSet<String>, includes: &[PathBuf]) -> Result<Descriptors, protox::Error> {
    let mut compiler = protox::Compiler::new(includes)?;
    compiler.include_imports(true).include_source_info(true).open_files(names)?;
    let pool = compiler.descriptor_pool();
    let mut files = Vec::new();
    let mut sources = Vec::new();
    for file in compiler.files() {
        sources.extend(file.path().map(Path::to_owned));
        if let Some(descriptor) = pool.get_file_by_name(file.name()) {
            let file =
                File::decode(&descriptor.encode_to_vec(), !file.is_import()).map_err(protox::Error::new)?;
            files.push(file);
        }
    }
    sources.sort();
    Ok(Descriptors::new(files).with_sources(sources, false))
}

/// The folders of the files, in order, each once.
fn folders(files: &[PathBuf]) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for file in files {
        let folder = match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// The name by which an `import` would find this file: its path below the first include that holds it.
fn name_of(file: &Path, includes: &[PathBuf]) -> Result<String, Error> {
    if !file.is_file() {
        // A name as in an import will do.
        let name = file.to_string_lossy().replace('\\', "/");
        if includes.iter().any(|include| include.join(&name).is_file()) {
            return Ok(name);
        }
        return Err(Error::in_file(file, "no such file"));
    }
    let absolute = absolute(file);
    for include in includes {
        if let Ok(below) = absolute.strip_prefix(self::absolute(include)) {
            let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            let name = parts.join("/");
            if let Some(first) =
                includes.iter().map(|include| include.join(&name)).find(|path| path.is_file())
                && self::absolute(&first) != absolute
            {
                return Err(Error::in_file(
                    file,
                    format!("{} hides it: both are {name:?} below an include folder", first.display()),
                ));
            }
            return Ok(name);
        }
    }
    let includes: Vec<_> = includes.iter().map(|include| include.display().to_string()).collect();
    Err(Error::in_file(file, format!("not below any include folder ({})", includes.join(", "))))
}

/// The path from the root without `.` and `..`, links left as they are.
fn absolute(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}

fn declared_edition(path: PathBuf) -> Option<(PathBuf, String, (usize, usize))> {
    let source = fs::read_to_string(&path).ok()?;
    let (edition, offset) = editions::declared(&source)?;
    Some((path, edition, position(&source, offset)))
}
