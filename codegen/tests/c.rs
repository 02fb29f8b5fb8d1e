//! The generated C, compared with what is committed in `tests/golden/c`; ffi-c/tests/codegen.sh compiles and runs it.
//!
//! `SPANWIRE_UPDATE_GOLDEN=1 cargo test -p spanwire-codegen --test c` writes it anew.
#![allow(clippy::unwrap_used)] // Tests and their helpers: a panic is the failure.

mod common;

use common::{assert_golden, file, folder, generate};
use spanwire_codegen::{Generator, compile};

const FILES: [&str; 3] = ["orders.proto", "no_package.proto", "edge/names.proto"];

/// The error for a file with this text in the package `a.b`.
fn error(options: &[&str], text: &str) -> String {
    let text = format!("syntax = \"proto3\";\npackage a.b;\nmessage M {{}}\n{text}\n");
    common::error("c", options, &text)
}

#[test]
fn generated_c_is_as_committed() {
    // protoc-c itself does not compile a method that has the name of a keyword.
    assert_golden("c/protobuf-c", &generate("c", &FILES[..2], &[]));
    assert_golden("c/nanopb", &generate("c", &FILES, &["runtime=nanopb"]));
    assert_golden("c/bytes", &generate("c", &FILES[..1], &["runtime=bytes"]));
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut reversed = FILES;
    reversed.reverse();
    assert_eq!(generate("c", &FILES, &[]), generate("c", &reversed, &[]));
}

#[test]
fn lines_fit_the_width_of_this_project() {
    for runtime in ["protobuf-c", "nanopb", "bytes"] {
        for file in generate("c", &FILES, &[&format!("runtime={runtime}")]) {
            let long = file.content.lines().find(|line| line.chars().count() > 116);
            assert_eq!(long, None, "{}", file.path);
        }
    }
}

#[test]
fn comments_are_carried_over() {
    let files = generate("c", &["orders.proto"], &[]);
    let header = file(&files, "orders.spanwire.h");
    for text in [" * Orders of the shop,\n", " * One order.\n", "   * One order.\n", " * Trailing comment.\n"]
    {
        assert!(header.contains(text), "{text}");
    }
    assert!(!header.contains("Detached"));
}

#[test]
fn files_without_services_give_no_code() {
    assert!(generate("c", &["money/money.proto"], &[]).is_empty());
}

#[test]
fn headers_of_imported_messages_are_included() {
    let files = generate("c", &["orders.proto"], &["runtime=nanopb"]);
    let header = file(&files, "orders.spanwire.h");
    assert!(header.contains("#include \"google/protobuf/empty.pb.h\"\n"), "{header}");
    assert!(header.contains("const google_protobuf_Empty *request"));
    assert!(!header.contains("money"), "what only fields use is not our business");
}

#[test]
fn the_package_that_protobuf_c_is_told_is_the_package_in_c() {
    let temporary = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = temporary.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "protobuf-c/protobuf-c.proto",
        "syntax = \"proto2\";\nimport \"google/protobuf/descriptor.proto\";\n\
         message ProtobufCFileOptions { optional string c_package = 6; }\n\
         extend google.protobuf.FileOptions { optional ProtobufCFileOptions pb_c_file = 1019; }\n",
    );
    write(
        "a.proto",
        "syntax = \"proto3\";\npackage a.b;\nimport \"protobuf-c/protobuf-c.proto\";\n\
         option (pb_c_file).c_package = \"my_shop.api\";\nmessage M {}\nservice S { rpc Get(M) returns (M); }\n",
    );
    let descriptors = compile(&["a.proto"], &[temporary.path()]).unwrap();
    let files = Generator::new("c").unwrap().generate(&descriptors).unwrap();
    assert!(
        file(&files, "a.spanwire.h")
            .contains("a_b_s_get(spanwire_channel *channel, const MyShop__Api__M *request")
    );
    assert!(file(&files, "a.spanwire.c").contains("&my_shop__api__m__descriptor"));
}

#[test]
fn methods_that_c_does_not_tell_apart_are_refused() {
    let descriptors = compile(&["edge/type.proto"], &[folder("protos")]).unwrap();
    let error = Generator::new("c").unwrap().generate(&descriptors).unwrap_err().to_string();
    assert_eq!(
        error,
        "edge/type.proto:42:3: method /edge.type.match.Self/GetThing and method /edge.type.match.Self/getThing both \
         need the name edge_type_match_self_get_thing in C: rename one of them"
    );
}

#[test]
fn names_of_different_services_and_derived_names_do_not_clash() {
    assert_eq!(
        error(&[], "service S {\n  rpc Register(M) returns (M);\n}"),
        "a.proto:5:3: service a.b.S and method /a.b.S/Register both need the name a_b_s_register in C: rename one of them"
    );
    assert_eq!(
        error(&[], "service S {\n  rpc Put(stream M) returns (M);\n  rpc PutSend(M) returns (M);\n}"),
        "a.proto:6:3: method /a.b.S/Put and method /a.b.S/PutSend both need the name a_b_s_put_send in C: rename one of \
         them"
    );
    assert_eq!(
        error(
            &[],
            "service S {\n  rpc T_Get(M) returns (M);\n}\nservice S_T {\n  rpc Get(M) returns (M);\n}"
        ),
        "a.proto:8:3: method /a.b.S/T_Get and method /a.b.S_T/Get both need the name a_b_s_t_get in C: rename one of them"
    );
}

#[test]
fn members_of_a_service_do_not_clash() {
    assert_eq!(
        error(&[], "service S {\n  rpc Put(stream M) returns (M);\n  rpc PutEnd(M) returns (M);\n}"),
        "a.proto:6:3: method /a.b.S/Put and method /a.b.S/PutEnd both need the member put_end of a_b_s_service in C: \
         rename one of them"
    );
}

#[test]
fn names_of_c_and_of_messages_are_refused() {
    let text = "syntax = \"proto3\";\nmessage M {}\nservice Static {\n  rpc Assert(M) returns (M);\n}\n";
    assert_eq!(
        common::error("c", &[], text),
        "a.proto:4:3: method /Static/Assert needs the name static_assert, which C has: rename one of them"
    );
    let text = "message s_service {}\nservice S {}";
    assert_eq!(
        error(&["runtime=nanopb"], text),
        "a.proto:5:1: message a.b.s_service and service a.b.S both need the name a_b_s_service in C: rename one of them"
    );
}

#[test]
fn wrong_options_are_refused() {
    let refused = |option: &str| Generator::new("c").unwrap().set(option).unwrap_err().to_string();
    assert_eq!(refused("runtime=upb"), "option runtime: wants one of protobuf-c, nanopb, bytes, not \"upb\"");
    assert_eq!(refused("colour=red"), "c has no option \"colour\"; there is: runtime");
}
