//! Files that declare an edition, with and without an installed `protoc`.
#![allow(clippy::unwrap_used)] // Tests and their helpers: a panic is the failure.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use prost::Message;
use tempfile::TempDir;

const EDITION: &str = "// Comment.\nedition = \"2023\";\npackage e;\nmessage M {\n  int32 explicit = 1;\n}\nservice S { rpc Get(M) returns (M); }\n";

fn spanwire(folder: &TempDir, path: &Path, protoc: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanwire"));
    command.args(["gen", "e.proto", "--out", "out"]).current_dir(folder.path()).env("PATH", path);
    match protoc {
        Some(protoc) => command.env("PROTOC", protoc),
        None => command.env_remove("PROTOC"),
    };
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with `e.proto` and a script `bin/protoc`.
fn folder(script: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e.proto"), EDITION).unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("protoc"), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(bin.join("protoc"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The descriptors that a real protoc makes of `e.proto`: those of the same file as proto3, marked as an edition.
fn edition_set(folder: &TempDir) {
    let source = EDITION.replace("edition = \"2023\"", "syntax = \"proto3\"");
    let as_proto3 = folder.path().join("proto3");
    fs::create_dir(&as_proto3).unwrap();
    fs::write(as_proto3.join("e.proto"), source).unwrap();
    let descriptors = spanwire_codegen::compile(&["e.proto"], &[as_proto3]).unwrap();
    let mut descriptor = descriptors.files()[0].descriptor.clone();
    descriptor.syntax = Some("editions".into());
    let mut file = descriptor.encode_to_vec();
    file.extend([14 << 3, 0xE8, 7]); // FileDescriptorProto.edition = EDITION_2023 (1000)
    let mut set = vec![1 << 3 | 2];
    prost::encode_length_delimiter(file.len(), &mut set).unwrap();
    set.extend(file);
    fs::write(folder.path().join("set.bin"), set).unwrap();
}

/// Records its arguments and writes the prepared descriptors.
const WORKING: &str = "\
printf '%s\\n' \"$@\" > arguments.txt
for argument in \"$@\"; do
  case $argument in --descriptor_set_out=*) out=${argument#*=};; esac
done
/bin/cp set.bin \"$out\"";

#[test]
fn an_edition_is_compiled_by_the_protoc_on_path() {
    let folder = folder(WORKING);
    edition_set(&folder);
    let result = spanwire(&folder, &folder.path().join("bin"), None);
    assert!(result.status.success(), "{}", stderr(&result));
    let arguments = fs::read_to_string(folder.path().join("arguments.txt")).unwrap();
    let arguments: Vec<_> =
        arguments.lines().filter(|line| !line.starts_with("--descriptor_set_out=")).collect();
    assert_eq!(arguments, ["--include_imports", "--include_source_info", "-I", ".", "./e.proto"]);
    let code = fs::read_to_string(folder.path().join("out/e.rs")).unwrap();
    assert!(
        code.contains("pub explicit: ::core::option::Option<i32>"),
        "fields of editions have presence: {code}"
    );
    assert!(code.contains("pub trait S"), "{code}");
}

#[test]
fn the_variable_wins_over_path() {
    let folder = folder(WORKING);
    edition_set(&folder);
    let result = spanwire(&folder, Path::new("/nowhere"), Some(&folder.path().join("bin/protoc")));
    assert!(result.status.success(), "{}", stderr(&result));
}

#[test]
fn without_protoc_one_line_says_what_to_do() {
    let folder = folder("");
    let result = spanwire(&folder, Path::new("/nowhere"), None);
    assert_eq!(result.status.code(), Some(1));
    assert_eq!(
        stderr(&result),
        "./e.proto:2:1: edition \"2023\" needs protoc, and there is none on PATH or in $PROTOC: install protoc, or \
         write syntax = \"proto3\"\n"
    );
}

#[test]
fn errors_of_protoc_are_passed_on() {
    let folder = folder("echo 'e.proto:5:3: \"Missing\" is not defined.' >&2; exit 1");
    let result = spanwire(&folder, &folder.path().join("bin"), None);
    assert_eq!(result.status.code(), Some(1));
    assert_eq!(stderr(&result), "e.proto:5:3: \"Missing\" is not defined.\n");
}

#[test]
fn a_protoc_that_cannot_be_run_is_named() {
    let folder = folder("");
    let result = spanwire(&folder, Path::new("/nowhere"), Some(Path::new("/nowhere/protoc")));
    assert_eq!(result.status.code(), Some(1));
    assert!(stderr(&result).starts_with("cannot run protoc (/nowhere/protoc): "), "{}", stderr(&result));
}
