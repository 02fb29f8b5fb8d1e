//! The generated Rust, compared with what is committed in `tests/golden/rust`.
//!
//! `SPANWIRE_UPDATE_GOLDEN=1 cargo test -p spanwire-codegen --test golden` writes it anew.
#![allow(clippy::unwrap_used)] // Tests and their helpers: a panic is the failure.

mod common;

use std::fs;

use common::{assert_golden, descriptors, file};
use spanwire_codegen::{Descriptors, GeneratedFile, Generator, compile};

const FILES: [&str; 3] = ["orders.proto", "edge/type.proto", "no_package.proto"];

fn generate(files: &[&str], options: &[&str]) -> Vec<GeneratedFile> {
    common::generate("rust", files, options)
}

#[test]
fn generated_rust_is_as_committed() {
    assert_golden("rust", &generate(&FILES, &[]));
}

#[test]
fn generated_rust_is_rust() {
    for file in generate(&FILES, &[]) {
        if let Err(error) = syn::parse_file(&file.content) {
            panic!("{}: {error}", file.path);
        }
    }
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut reversed = FILES;
    reversed.reverse();
    assert_eq!(generate(&FILES, &[]), generate(&reversed, &[]));
}

#[test]
fn imported_packages_are_generated_unless_rust_code_exists_for_them() {
    let paths = |options: &[&str]| {
        generate(&["orders.proto"], options).into_iter().map(|file| file.path).collect::<Vec<_>>()
    };
    assert_eq!(paths(&[]), ["mod.rs", "money.rs", "shop.v1.rs"]);
    assert_eq!(paths(&["imports=false", "mod_file="]), ["shop.v1.rs"]);
    assert_eq!(paths(&["extern_path=.money=::money"]), ["mod.rs", "shop.v1.rs"]);
    let files = generate(&["orders.proto"], &["extern_path=.money=::money"]);
    assert!(file(&files, "shop.v1.rs").contains("Option<::money::Amount>"));
}

#[test]
fn options_reach_the_code() {
    let options = [
        "bytes=.",
        "btree_map=.shop",
        "type_attribute=.shop.v1.GetOrder=#[derive(serde::Serialize)]",
        "field_attribute=.shop.v1.GetOrder.id=#[serde(default)]",
        "runtime=crate",
        "descriptor_set=false",
    ];
    let files = generate(&["orders.proto"], &options);
    let code = file(&files, "shop.v1.rs");
    for expected in [
        "bytes::Bytes",
        "collections::BTreeMap",
        "#[derive(serde::Serialize)]",
        "#[serde(default)]",
        "crate::codegen::prost::Message",
        "crate::server::Handler::bidi",
    ] {
        assert!(code.contains(expected), "{expected}");
    }
    assert!(!code.contains("::spanwire") && !code.contains("FILE_DESCRIPTOR_SET"));
}

#[test]
fn well_known_types_come_from_prost_types() {
    let files = generate(&["orders.proto"], &[]);
    let code = file(&files, "shop.v1.rs");
    assert!(code.contains("placed: ::core::option::Option<::spanwire::codegen::prost_types::Timestamp>"));
    assert!(code.contains("request: (),"), "google.protobuf.Empty");
    assert!(files.iter().all(|file| !file.path.starts_with("google")));
}

#[test]
fn the_descriptor_set_of_a_package_is_complete_and_in_order() {
    let set = descriptors(&["orders.proto"]).encode_package("shop.v1");
    let descriptors = Descriptors::decode(&set, |name| name == "orders.proto").unwrap();
    let names: Vec<_> = descriptors.files().iter().map(|file| file.descriptor.name()).collect();
    assert_eq!(
        names,
        [
            "google/protobuf/empty.proto",
            "google/protobuf/timestamp.proto",
            "money/money.proto",
            "orders.proto"
        ]
    );
    assert!(descriptors.files().iter().all(|file| file.descriptor.source_code_info.is_none()));
}

#[test]
fn the_descriptor_set_of_requested_files_is_complete_and_has_nothing_else() {
    let set = descriptors(&["orders.proto"]).encode_package("shop.v1");
    assert_eq!(descriptors(&["orders.proto"]).encode_requested(), set);
    let one = Descriptors::decode(&set, |name| name == "money/money.proto").unwrap().encode_requested();
    let names: Vec<_> = Descriptors::decode(&one, |_| true)
        .unwrap()
        .files()
        .iter()
        .map(|file| file.descriptor.name().to_owned())
        .collect();
    assert_eq!(names, ["money/money.proto"]);
}

#[test]
fn types_nested_in_a_message_must_not_share_a_module_with_a_package() {
    let temporary = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(temporary.path().join(name), text).unwrap();
    write("a.proto", "syntax = \"proto3\";\npackage a;\nmessage B { message C {} }\n");
    write("b.proto", "syntax = \"proto3\";\npackage a.b;\nimport \"a.proto\";\nmessage D { a.B b = 1; }\n");
    let descriptors = compile(&["b.proto"], &[temporary.path()]).unwrap();
    let error = Generator::new("rust").unwrap().generate(&descriptors).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a.proto: types nested in message B and package a.b are both in the Rust module a::b"
    );
}

/// The other packages live in files that `mod.rs` includes; rustfmt follows no `include!`, so `mod.rs` is all that
/// `cargo fmt` sees of generated code.
#[test]
fn rustfmt_leaves_the_module_file_alone() {
    let temporary = tempfile::tempdir().unwrap();
    for file in generate(&FILES, &[]) {
        fs::write(temporary.path().join(&file.path), &file.content).unwrap();
    }
    let result = std::process::Command::new("rustfmt")
        .args(["--edition", "2024", "--check"])
        .arg(temporary.path().join("mod.rs"))
        .output()
        .unwrap();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stdout));
}
