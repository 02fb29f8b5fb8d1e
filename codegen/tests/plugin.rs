//! The plugin as protoc and buf call it.
#![allow(clippy::unwrap_used)] // Tests and their helpers: a panic is the failure.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use prost::Message;
use prost_types::compiler::{CodeGeneratorRequest, CodeGeneratorResponse};

fn request(files: &[&str], parameter: &str) -> CodeGeneratorRequest {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protos");
    let set = protox::compile(files, [protos]).unwrap();
    CodeGeneratorRequest {
        file_to_generate: files.iter().map(|&file| file.to_owned()).collect(),
        parameter: (!parameter.is_empty()).then(|| parameter.to_owned()),
        proto_file: set.file,
        ..CodeGeneratorRequest::default()
    }
}

fn run(input: &[u8]) -> Output {
    run_plugin(env!("CARGO_BIN_EXE_protoc-gen-spanwire-rust"), input)
}

fn run_plugin(program: &str, input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn respond(request: &CodeGeneratorRequest) -> CodeGeneratorResponse {
    let output = run(&request.encode_to_vec());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    CodeGeneratorResponse::decode(output.stdout.as_slice()).unwrap()
}

#[test]
fn the_answer_is_what_the_library_generates() {
    let response = respond(&request(&["orders.proto"], ""));
    assert_eq!(response.error, None);
    let names: Vec<_> = response.file.iter().map(|file| file.name()).collect();
    assert_eq!(names, ["shop.v1.rs"], "no imports, and no mod.rs that another call could overwrite");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rust/shop.v1.rs");
    let golden = std::fs::read_to_string(golden).unwrap();
    assert_eq!(response.file[0].content(), golden);
}

#[test]
fn plugins_of_other_languages_answer_what_the_library_generates() {
    for (program, parameter, golden, names) in [
        (
            env!("CARGO_BIN_EXE_protoc-gen-spanwire-c"),
            "",
            "c/protobuf-c",
            &["orders.spanwire.c", "orders.spanwire.h"][..],
        ),
        (
            env!("CARGO_BIN_EXE_protoc-gen-spanwire-c"),
            "runtime=bytes",
            "c/bytes",
            &["orders.spanwire.c", "orders.spanwire.h"],
        ),
        (env!("CARGO_BIN_EXE_protoc-gen-spanwire-cpp"), "", "cpp", &["orders.spanwire.hpp"]),
        (
            env!("CARGO_BIN_EXE_protoc-gen-spanwire-python"),
            "",
            "python",
            &["orders_pb2.py", "orders_pb2.pyi", "orders_spanwire.py"],
        ),
    ] {
        let output = run_plugin(program, &request(&["orders.proto"], parameter).encode_to_vec());
        let response = CodeGeneratorResponse::decode(output.stdout.as_slice()).unwrap();
        assert_eq!((response.error.as_deref(), response.supported_features()), (None, 1 | 2));
        assert_eq!(response.file.iter().map(|file| file.name()).collect::<Vec<_>>(), names);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(golden);
        for file in &response.file {
            assert_eq!(file.content(), std::fs::read_to_string(folder.join(file.name())).unwrap());
        }
        let version = Command::new(program).arg("--version").output().unwrap();
        let name = Path::new(program).file_stem().unwrap().to_string_lossy();
        let version = String::from_utf8(version.stdout).unwrap();
        assert_eq!(version, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn optional_fields_and_editions_are_announced() {
    let output = run(&request(&["orders.proto"], "").encode_to_vec());
    let response = CodeGeneratorResponse::decode(output.stdout.as_slice()).unwrap();
    assert_eq!(response.supported_features(), 1 | 2);
}

#[test]
fn options_are_separated_by_commas() {
    let response = respond(&request(&["orders.proto"], "bytes=.,mod_file=mod.rs"));
    let names: Vec<_> = response.file.iter().map(|file| file.name()).collect();
    assert_eq!(names, ["mod.rs", "shop.v1.rs"]);
    assert!(response.file[1].content().contains("bytes::Bytes"));
}

#[test]
fn a_wrong_option_is_part_of_the_answer() {
    let response = respond(&request(&["orders.proto"], "colour=red"));
    assert!(response.error().starts_with("rust has no option \"colour\""));
    assert!(response.file.is_empty());
}

#[test]
fn input_that_is_no_request_fails() {
    let output = run(b"\xFFnonsense");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).starts_with("protoc-gen-spanwire-rust: malformed descriptor")
    );
}

#[test]
fn arguments_are_refused_with_an_explanation() {
    let output = Command::new(env!("CARGO_BIN_EXE_protoc-gen-spanwire-rust")).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("called by protoc or buf"));
}

/// What `protoc` is to plugins, this crate is to those of others.
#[test]
fn a_request_has_what_plugins_need_and_the_answer_is_read() {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let descriptors = spanwire_codegen::compile(&["google/rpc/status.proto"], &[&protos]).unwrap();
    let bytes = spanwire_codegen::plugin::request(&descriptors, "mod_file=");
    let request = CodeGeneratorRequest::decode(bytes.as_slice()).unwrap();
    // What it imports is generated by whoever has the plugin's runtime.
    assert_eq!(request.file_to_generate, ["google/rpc/status.proto"]);
    assert_eq!(request.parameter(), "mod_file=");
    let names: Vec<_> = request.proto_file.iter().map(|file| file.name()).collect();
    assert_eq!(names, ["google/protobuf/any.proto", "google/rpc/status.proto"]);
    let comments = request.proto_file[1].source_code_info.as_ref().unwrap();
    assert!(comments.location.iter().any(|location| location.leading_comments.is_some()));

    let files = spanwire_codegen::plugin::files(&run(&bytes).stdout).unwrap();
    assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["google.rpc.rs"]);
    let bytes = spanwire_codegen::plugin::request(&descriptors, "colour=red");
    let error = spanwire_codegen::plugin::files(&run(&bytes).stdout).unwrap_err();
    assert!(error.to_string().starts_with("rust has no option"), "{error}");
    assert!(spanwire_codegen::plugin::files(&[1]).unwrap_err().to_string().contains("malformed"));
}

#[test]
fn a_request_asks_for_imports_too() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("a.proto", "syntax = \"proto3\"; import \"b.proto\"; message A { B b = 1; }"),
        ("b.proto", "syntax = \"proto3\"; message B {}"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let descriptors = spanwire_codegen::compile(&["a.proto"], &[folder.path()]).unwrap();
    let bytes = spanwire_codegen::plugin::request(&descriptors, "");
    let request = CodeGeneratorRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(request.file_to_generate, ["b.proto", "a.proto"]);
}
