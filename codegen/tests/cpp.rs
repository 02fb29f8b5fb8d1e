//! The generated C++, compared with what is committed in `tests/golden/cpp`; ffi-c/tests/codegen.sh compiles and runs it.
//!
//! `SPANWIRE_UPDATE_GOLDEN=1 cargo test -p spanwire-codegen --test cpp` writes it anew.
#![allow(clippy::unwrap_used)] // Tests and their helpers: a panic is the failure.

mod common;

use common::{assert_golden, file, generate};
use spanwire_codegen::Generator;

const FILES: [&str; 4] = ["orders.proto", "no_package.proto", "edge/names.proto", "edge/type.proto"];

/// The header for a file with this text in the package `a.b`.
fn text_of(text: &str) -> Result<String, String> {
    let temporary = tempfile::tempdir().unwrap();
    let text = format!("syntax = \"proto3\";\npackage a.b;\nmessage M {{}}\n{text}\n");
    std::fs::write(temporary.path().join("a.proto"), text).unwrap();
    let descriptors = spanwire_codegen::compile(&["a.proto"], &[temporary.path()]).unwrap();
    match Generator::new("cpp").unwrap().generate(&descriptors) {
        Ok(files) => Ok(file(&files, "a.spanwire.hpp").to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn error(text: &str) -> String {
    text_of(text).unwrap_err()
}

#[test]
fn generated_cpp_is_as_committed() {
    assert_golden("cpp", &generate("cpp", &FILES, &[]));
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut reversed = FILES;
    reversed.reverse();
    assert_eq!(generate("cpp", &FILES, &[]), generate("cpp", &reversed, &[]));
}

#[test]
fn files_without_services_give_no_code() {
    assert!(generate("cpp", &["money/money.proto"], &[]).is_empty());
}

#[test]
fn comments_are_carried_over() {
    let files = generate("cpp", &["orders.proto"], &[]);
    let header = file(&files, "orders.spanwire.hpp");
    assert!(header.contains(" * Orders of the shop,\n"));
    assert_eq!(header.matches("   * One order.\n").count(), 2, "of the client and of the service");
}

#[test]
fn messages_are_named_as_protoc_names_them() {
    let files = generate("cpp", &["edge/type.proto"], &[]);
    let header = file(&files, "edge/type.spanwire.hpp");
    assert!(header.contains("::edge::type::match::nested::Inner_Deep"), "{header}");
    assert!(header.contains("#include \"edge/nested.pb.h\"\n"));
}

#[test]
fn a_message_that_a_method_hides_has_its_full_name() {
    let header =
        text_of("service S {\n  rpc M(M) returns (M);\n}\nservice T {\n  rpc Get(M) returns (M);\n}")
            .unwrap();
    assert!(header.contains("M(const ::a::b::M &request"), "{header}");
    assert!(header.contains("Get(const M &request"), "{header}");
}

#[test]
fn words_of_cpp_are_no_names() {
    let header = text_of("message union {}\nservice S {\n  rpc delete(union) returns (M);\n}").unwrap();
    assert!(header.contains(" delete_(const union_ &request,"), "{header}");
    assert!(header.contains(" deleteBlocking("));
    assert!(header.contains("\"/a.b.S/delete\""));
}

#[test]
fn classes_do_not_clash() {
    assert_eq!(
        error("message SClient {}\nservice S {}"),
        "a.proto:5:1: message a.b.SClient and service a.b.S both need the name SClient in C++: rename one of them"
    );
    assert_eq!(
        error("message A { message BService {} }\nservice A_B {}"),
        "a.proto:5:1: message a.b.A.BService and service a.b.A_B both need the name A_BService in C++: rename one of them"
    );
}

#[test]
fn members_do_not_clash() {
    assert_eq!(
        error("service S {\n  rpc Get(M) returns (M);\n  rpc GetBlocking(M) returns (M);\n}"),
        "a.proto:6:3: method /a.b.S/Get and method /a.b.S/GetBlocking both need the name GetBlocking in C++: rename one \
         of them"
    );
    assert_eq!(
        error("service S {\n  rpc SClient(M) returns (M);\n}"),
        "a.proto:5:3: the class SClient and method /a.b.S/SClient both need the name SClient in C++: rename one of them"
    );
    assert_eq!(
        error("service S {\n  rpc register_with(M) returns (M);\n}"),
        "a.proto:5:3: the class SService and method /a.b.S/register_with both need the name register_with in C++: \
         rename one of them"
    );
}

#[test]
fn options_are_refused() {
    let refused = Generator::new("cpp").unwrap().set("runtime=lite").unwrap_err().to_string();
    assert_eq!(refused, "cpp has no option \"runtime\"; there are none");
}
