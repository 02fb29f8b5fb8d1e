//! What the tests of all languages share.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use spanwire_codegen::{Descriptors, GeneratedFile, Generator, compile};

/// A folder below `tests`.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

pub(crate) fn descriptors(files: &[&str]) -> Descriptors {
    compile(files, &[folder("protos")]).unwrap()
}

pub(crate) fn generate(language: &str, files: &[&str], options: &[&str]) -> Vec<GeneratedFile> {
    let mut generator = Generator::new(language).unwrap();
    options.iter().for_each(|option| generator.set(option).unwrap());
    generator.generate(&descriptors(files)).unwrap()
}

/// The error for one file with this text.
pub(crate) fn error(language: &str, options: &[&str], text: &str) -> String {
    let temporary = tempfile::tempdir().unwrap();
    fs::write(temporary.path().join("a.proto"), text).unwrap();
    let descriptors = compile(&["a.proto"], &[temporary.path()]).unwrap();
    let mut generator = Generator::new(language).unwrap();
    options.iter().for_each(|option| generator.set(option).unwrap());
    generator.generate(&descriptors).unwrap_err().to_string()
}

/// The content of one of the files.
pub(crate) fn file<'a>(files: &'a [GeneratedFile], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).content
}

/// Fails unless `files` are what is committed in a folder below `tests/golden`. With `SPANWIRE_UPDATE_GOLDEN` in the
/// environment they are written there first.
pub(crate) fn assert_golden(name: &str, files: &[GeneratedFile]) {
    let golden = folder("golden").join(name);
    if std::env::var_os("SPANWIRE_UPDATE_GOLDEN").is_some() {
        fs::remove_dir_all(&golden).ok();
        for file in files {
            let path = golden.join(&file.path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, &file.content).unwrap();
        }
    }
    let mut committed = BTreeSet::new();
    list(&golden, "", &mut committed);
    let generated: BTreeSet<String> = files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(committed, generated);
    for file in files {
        let old = fs::read_to_string(golden.join(&file.path)).unwrap().replace("\r\n", "\n");
        assert!(
            old == file.content,
            "{name}/{} differs; set SPANWIRE_UPDATE_GOLDEN=1 and look at the diff",
            file.path
        );
    }
}

fn list(folder: &Path, prefix: &str, paths: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            list(&entry.path(), &format!("{path}/"), paths);
        } else {
            paths.insert(path);
        }
    }
}
