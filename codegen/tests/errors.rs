//! Where errors are said to be, and what is said.
#![allow(clippy::unwrap_used)] // Tests and their helpers: a panic is the failure.

use std::fs;

use spanwire_codegen::compile;

/// The error for `main.proto` in a folder with these files; the folder is cut from the paths.
fn error(files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let error = compile(&[folder.path().join("main.proto")], &[folder.path()]).unwrap_err();
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

fn main_proto(text: &str) -> String {
    error(&[("main.proto", text)])
}

#[test]
fn a_syntax_error_is_at_the_unexpected_token() {
    let error = main_proto("syntax = \"proto3\";\nmessage A {\n  int32 x 1;\n}\n");
    assert_eq!(error, "main.proto:3:11: expected '=', but found '1'");
}

#[test]
fn an_unknown_type_is_at_its_use() {
    let error = main_proto("syntax = \"proto3\";\nmessage A {\n  Missing x = 1;\n}\n");
    assert_eq!(error, "main.proto:3:3: name 'Missing' is not defined");
}

#[test]
fn a_column_counts_characters() {
    let error = main_proto("syntax = \"proto3\";\nmessage A { /* äöü */ int32 x 1; }\n");
    assert!(error.starts_with("main.proto:2:31: "), "{error}");
}

#[test]
fn an_end_that_comes_too_early_is_at_the_end() {
    let error = main_proto("syntax = \"proto3\";\nmessage A {\n");
    assert!(error.starts_with("main.proto:2:12: ") && error.ends_with("reached end of file"), "{error}");
}

#[test]
fn a_duplicate_is_at_the_second_one() {
    let error = main_proto("syntax = \"proto3\";\nmessage A {}\nmessage A {}\n");
    assert!(error.starts_with("main.proto:3:9: "), "{error}");
    let error = main_proto("syntax = \"proto3\";\nmessage A {\n  int32 a = 1;\n  int32 b = 1;\n}\n");
    assert!(error.starts_with("main.proto:4:"), "{error}");
}

#[test]
fn a_type_of_the_wrong_sort_is_at_its_use() {
    let error = main_proto(
        "syntax = \"proto3\";\nservice S {\n  rpc A(Color) returns (Color);\n}\nenum Color { RED = 0; }\n",
    );
    assert!(error.starts_with("main.proto:3:9: "), "{error}");
}

#[test]
fn all_errors_of_a_file_are_reported() {
    let error = main_proto("syntax = \"proto3\";\nmessage A {\n  B x = 1;\n  C y = 2;\n}\n");
    assert_eq!(error, "main.proto:3:3: name 'B' is not defined\nmain.proto:4:3: name 'C' is not defined");
}

#[test]
fn a_missing_import_is_at_the_import() {
    let error = main_proto("syntax = \"proto3\";\nimport \"other.proto\";\n");
    assert_eq!(error, "main.proto:2:1: import 'other.proto' not found");
}

#[test]
fn an_error_in_an_import_is_in_the_imported_file() {
    let error = error(&[
        ("main.proto", "syntax = \"proto3\";\nimport \"sub/other.proto\";\n"),
        ("sub/other.proto", "syntax = \"proto3\";\n\nmessage { }\n"),
    ]);
    assert!(error.starts_with("sub/other.proto:3:9: "), "{error}");
}

#[test]
fn an_import_cycle_is_named_in_full() {
    let error = error(&[
        ("main.proto", "syntax = \"proto3\";\nimport \"other.proto\";\n"),
        ("other.proto", "syntax = \"proto3\";\nimport \"main.proto\";\n"),
    ]);
    assert!(error.contains("main.proto -> other.proto -> main.proto"), "{error}");
    assert!(error.starts_with("main.proto:1:1: "), "{error}");
}

#[test]
fn a_file_that_is_missing_or_outside_of_the_includes_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.proto");
    fs::write(&file, "syntax = \"proto3\";").unwrap();
    let include = folder.path().join("include");
    let missing = compile(&[folder.path().join("b.proto")], &[folder.path()]).unwrap_err().to_string();
    assert!(missing.ends_with("b.proto: no such file"), "{missing}");
    let no_include = compile(&[&file], &[&include]).unwrap_err().to_string();
    assert!(no_include.ends_with("include: the include folder does not exist"), "{no_include}");
    fs::create_dir(&include).unwrap();
    let outside = compile(&[&file], &[&include]).unwrap_err().to_string();
    assert!(outside.contains("a.proto: not below any include folder ("), "{outside}");
    fs::write(include.join("a.proto"), "syntax = \"proto3\";").unwrap();
    let hidden = compile(&[&file], &[include.as_path(), folder.path()]).unwrap_err().to_string();
    assert!(hidden.contains("hides it"), "{hidden}");
}

#[test]
fn without_includes_the_folder_of_the_file_is_one() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.proto"), "syntax = \"proto3\"; import \"b.proto\";").unwrap();
    fs::write(folder.path().join("b.proto"), "syntax = \"proto3\"; package b;").unwrap();
    let descriptors = compile(&[folder.path().join("a.proto")], &[] as &[&str]).unwrap();
    let requested: Vec<_> =
        descriptors.files().iter().map(|file| (file.descriptor.name(), file.requested)).collect();
    assert_eq!(requested, [("a.proto", true), ("b.proto", false)]);
    assert_eq!(descriptors.sources().count(), 2);
}
