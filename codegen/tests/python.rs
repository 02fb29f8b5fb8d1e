//! The generated Python, compared with what is committed in `tests/golden/python`;
//! bindings-python/tests/codegen imports it with every protobuf, and has type checkers read it.
//!
//! `SPANWIRE_UPDATE_GOLDEN=1 cargo test -p spanwire-codegen --test python` writes it anew.
#![allow(clippy::unwrap_used)] // Tests and their helpers: a panic is the failure.

mod common;

use std::fs;

use common::{assert_golden, file, folder};
use spanwire_codegen::{Descriptors, GeneratedFile, Generator, compile};

const FILES: [&str; 5] =
    ["orders.proto", "no_package.proto", "edge/kinds.proto", "edge/names.proto", "edge/type.proto"];

fn python(files: &[&str], options: &[&str]) -> Vec<GeneratedFile> {
    let descriptors = compile(files, &[folder("protos"), folder("python-protos")]).unwrap();
    let mut generator = Generator::new("python").unwrap();
    options.iter().for_each(|option| generator.set(option).unwrap());
    generator.generate(&descriptors).unwrap()
}

fn paths(files: &[GeneratedFile]) -> Vec<&str> {
    files.iter().map(|file| file.path.as_str()).collect()
}

/// The error for a file with this text in the package `a.b`.
fn error(options: &[&str], text: &str) -> String {
    let text = format!("syntax = \"proto3\";\npackage a.b;\nmessage M {{}}\n{text}\n");
    common::error("python", options, &text)
}

/// Files with these texts, of which the first is asked for.
fn of(texts: &[(&str, &str)], options: &[&str]) -> Result<Vec<GeneratedFile>, spanwire_codegen::Error> {
    let temporary = tempfile::tempdir().unwrap();
    for (name, text) in texts {
        let path = temporary.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("syntax = \"proto3\";\n{text}\n")).unwrap();
    }
    let descriptors = compile(&[texts[0].0], &[temporary.path()]).unwrap();
    let mut generator = Generator::new("python").unwrap();
    options.iter().for_each(|option| generator.set(option).unwrap());
    generator.generate(&descriptors)
}

#[test]
fn generated_python_is_as_committed() {
    assert_golden("python", &python(&FILES, &[]));
}

#[test]
fn the_order_of_files_does_not_matter() {
    let mut reversed = FILES;
    reversed.reverse();
    assert_eq!(python(&FILES, &[]), python(&reversed, &[]));
}

#[test]
fn imported_files_are_generated_unless_they_are_installed() {
    let all = [
        "money/money_pb2.py",
        "money/money_pb2.pyi",
        "orders_pb2.py",
        "orders_pb2.pyi",
        "orders_spanwire.py",
    ];
    assert_eq!(paths(&python(&["orders.proto"], &[])), all);
    assert_eq!(paths(&python(&["orders.proto"], &["imports=false"])), all[2..]);
    let external = python(&["orders.proto"], &["extern=money/"]);
    assert_eq!(paths(&external), all[2..]);
    assert!(file(&external, "orders_pb2.py").contains("\nfrom money import money_pb2 as _money_money_pb2\n"));
    // A folder, not the beginning of its name.
    assert_eq!(paths(&python(&["orders.proto"], &["extern=mon"])), all);
}

#[test]
fn messages_and_both_kinds_of_code_can_be_left_out() {
    assert_eq!(paths(&python(&["orders.proto"], &["pb2=false"])), ["orders_spanwire.py"]);
    let code = |option| file(&python(&["orders.proto"], &[option]), "orders_spanwire.py").to_owned();
    let classes = |code: &str| {
        let lines = code.lines().filter_map(|line| line.strip_prefix("class "));
        lines.map(|line| line.split('(').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let asynchronous = code("sync=false");
    assert_eq!(classes(&asynchronous), ["OrdersClient", "OrdersBase"]);
    assert!(!asynchronous.contains("spanwire.sync") && !asynchronous.contains("overload"), "{asynchronous}");
    let sync = code("async=false");
    assert_eq!(classes(&sync), ["OrdersSyncClient", "OrdersSyncBase"]);
    assert!(!sync.contains("Async"), "{sync}");
    let neither = python(&["orders.proto"], &["async=false", "sync=false", "imports=false"]);
    assert_eq!(paths(&neither), ["orders_pb2.py", "orders_pb2.pyi"]);
}

#[test]
fn imports_are_relative_or_below_a_package() {
    let line = |options: &[&str], path: &str, line: &str| {
        let files = python(&["orders.proto"], options);
        assert!(file(&files, path).contains(&format!("\n{line}\n")), "{}", file(&files, path));
    };
    line(&[], "orders_pb2.pyi", "from .money import money_pb2 as _money_money_pb2");
    line(&[], "orders_spanwire.py", "from . import orders_pb2");
    line(&["package=my.gen"], "orders_pb2.py", "from my.gen.money import money_pb2 as _money_money_pb2");
    line(&["package=my.gen"], "orders_spanwire.py", "from my.gen import orders_pb2");
    line(&["package="], "orders_pb2.py", "from money import money_pb2 as _money_money_pb2");
    line(&["package="], "orders_spanwire.py", "import orders_pb2");
    line(&["package=my.gen"], "orders_spanwire.py", "from google.protobuf import empty_pb2");
}

#[test]
fn modules_of_one_name_are_told_apart() {
    let files = of(
        &[
            (
                "a.proto",
                "import \"x/m.proto\";\nimport \"y/m.proto\";\nservice S { rpc Get(x.M) returns (y.M); }",
            ),
            ("x/m.proto", "package x;\nmessage M {}"),
            ("y/m.proto", "package y;\nmessage M {}"),
        ],
        &[],
    )
    .unwrap();
    let code = file(&files, "a_spanwire.py");
    assert!(code.contains("from .x import m_pb2 as x_m_pb2\nfrom .y import m_pb2 as y_m_pb2\n"), "{code}");
    assert!(code.contains("\"/S/Get\", x_m_pb2.M, y_m_pb2.M)"), "{code}");
}

#[test]
fn an_edition_asks_for_a_protobuf_that_knows_it() {
    // The descriptor that protoc makes of this text with `edition = "2023"`.
    let texts = [("e.proto", "package e;\nmessage M { int32 a = 1; repeated M m = 2; }")];
    let temporary = tempfile::tempdir().unwrap();
    fs::write(temporary.path().join("e.proto"), format!("syntax = \"proto3\";\n{}", texts[0].1)).unwrap();
    let descriptors = compile(&["e.proto"], &[temporary.path()]).unwrap();
    let mut file_descriptor = descriptors.files()[0].descriptor.clone();
    file_descriptor.syntax = Some("editions".into());
    let mut encoded = prost::Message::encode_to_vec(&file_descriptor);
    encoded.extend([14 << 3, 0xE8, 7]); // edition = EDITION_2023
    let descriptors = Descriptors::new(vec![spanwire_codegen::File::decode(&encoded, true).unwrap()]);
    let files = Generator::new("python").unwrap().generate(&descriptors).unwrap();
    let code = file(&files, "e_pb2.py");
    assert!(code.contains("startswith((\"3.\", \"4.\"))") && code.contains("editions"), "{code}");
    // Fields have presence.
    assert!(file(&files, "e_pb2.pyi").contains("def HasField(self, field_name: _Literal[\"a\"])"));
}

#[test]
fn files_that_python_cannot_import_are_refused() {
    let refused = |name: &str| of(&[(name, "message M {}")], &[]).unwrap_err().to_string();
    assert_eq!(
        refused("import/a.proto"),
        "import/a.proto: \"import\" cannot be part of a module's name in Python: rename it"
    );
    assert!(refused("2024/a.proto").contains("\"2024\" cannot be"));
    let texts = [("a-b.proto", "import \"a_b.proto\";"), ("a_b.proto", "message M {}")];
    assert_eq!(
        of(&texts, &[]).unwrap_err().to_string(),
        "a_b.proto: a-b.proto and a_b.proto both need the module a_b_pb2: rename one of them"
    );
}

#[test]
fn names_that_clash_are_refused() {
    assert_eq!(
        error(&[], "service S {}\nservice SSync {}"),
        "a.proto:5:1: service a.b.S and service a.b.SSync both need the class SSyncClient: rename one of them"
    );
    assert_eq!(
        error(&[], "service S {\n  rpc Init(M) returns (M);\n  rpc __init__(M) returns (M);\n}"),
        "a.proto:6:3: method /a.b.S/__init__ is called init in Python, and another one is, too: rename one of them"
    );
    assert_eq!(
        error(&["pb2=false"], "message None {}\nservice S {\n  rpc Get(None) returns (M);\n}"),
        "a.proto:6:3: message a.b.None has the name of a keyword of Python, and its module is not generated here"
    );
}

#[test]
fn wrong_options_are_refused() {
    let refused = |option: &str| Generator::new("python").unwrap().set(option).unwrap_err().to_string();
    assert_eq!(refused("sync=maybe"), "option sync: wants true or false, not \"maybe\"");
    assert_eq!(refused("package=my-gen"), "option package: \"my-gen\" is no package in Python");
    assert_eq!(
        refused("colour=red"),
        "python has no option \"colour\"; there are: async, extern, imports, package, pb2, sync"
    );
}
