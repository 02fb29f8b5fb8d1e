//! Who may know whom: `wire ← transport ← channel, server ← services, web, telemetry ← bridge ← bindings`.

use std::process::Command;

use spanwire_house::{check, files, files_in, has_word, root, without_comments};

/// Folders of the engine, and the modules of it that their code must not name: those that are built on them.
const RULES: [(&str, &[&str]); 6] = [
    (
        "core/src/transport/",
        &["channel", "server", "middleware", "streaming", "services", "telemetry", "web", "bridge"],
    ),
    ("core/src/channel/", &["server", "services", "telemetry", "web", "bridge"]),
    ("core/src/server/", &["channel", "services", "telemetry", "web", "bridge"]),
    ("core/src/middleware/", &["services", "telemetry", "web", "bridge"]),
    ("core/src/observe/", &["channel", "server", "middleware", "services", "telemetry", "web", "bridge"]),
    ("core/src/telemetry/", &["middleware", "services", "web", "bridge"]),
];

#[test]
fn layers_name_only_those_below() {
    let mut problems = Vec::new();
    for (folder, above) in RULES {
        for file in files_in(folder, ".rs") {
            let code = without_comments(&file.text);
            let named = above.iter().filter(|module| has_word(&code, &format!("crate::{module}")));
            problems.extend(named.map(|module| format!("{} names crate::{module}", file.path)));
        }
    }
    check("layers", &problems);
}

#[test]
fn only_the_transport_names_http2_and_tls_libraries() {
    let mut problems = Vec::new();
    for file in files_in("core/src/", ".rs") {
        if file.path.starts_with("core/src/transport/") {
            continue;
        }
        let code = without_comments(&file.text);
        for library in ["h2", "spanwire_http2", "hyper", "rustls", "tokio_rustls", "socket2"] {
            if has_word(&code, &format!("{library}::")) || has_word(&code, &format!("use {library}")) {
                problems.push(format!("{} names {library}", file.path));
            }
        }
    }
    check("libraries below the seam", &problems);
}

#[test]
fn bindings_name_neither_http2_nor_prost() {
    let mut problems = Vec::new();
    for file in files() {
        let binding = file.path.starts_with("bindings-") || file.path.starts_with("ffi-c/");
        if !binding || !file.path.ends_with(".rs") {
            continue;
        }
        let code = without_comments(&file.text);
        for library in ["h2", "hyper", "prost"] {
            if has_word(&code, &format!("{library}::")) {
                problems.push(format!("{} names {library}", file.path));
            }
        }
    }
    check("bindings", &problems);
}

#[test]
fn wire_depends_on_no_runtime_and_no_socket() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "spanwire-wire", "-e", "normal", "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.starts_with("spanwire-wire "), "{tree}");
    let banned = ["tokio", "h2", "hyper", "mio", "socket2", "rustls", "futures", "async"];
    let used = tree.lines().filter_map(|line| line.split_whitespace().next());
    let problems: Vec<_> = used
        .filter(|name| banned.iter().any(|banned| name == banned || name.starts_with(&format!("{banned}-"))))
        .map(|name| format!("spanwire-wire depends on {name}"))
        .collect();
    check("wire is pure", &problems);
}

#[test]
fn wire_asks_no_clock_and_does_no_input_or_output() {
    let mut problems = Vec::new();
    for file in files_in("core/wire/src/", ".rs") {
        let code = without_comments(&file.text);
        for name in ["std::net", "std::fs", "std::thread", "Instant", "SystemTime"] {
            if code.contains(name) {
                problems.push(format!("{} names {name}", file.path));
            }
        }
    }
    check("wire is pure", &problems);
}

#[test]
fn source_files_stay_readable() {
    let sources = ["core/src/", "core/http2/src/", "core/wire/src/", "codegen/src/", "cli/src/"];
    let problems: Vec<_> = sources
        .iter()
        .flat_map(|folder| files_in(folder, ".rs"))
        // What a generator wrote is read where it was generated from.
        .filter(|file| !file.path.contains("/generated/"))
        .filter(|file| file.text.lines().count() > 800)
        .map(|file| format!("{} has {} lines, 800 are enough", file.path, file.text.lines().count()))
        .collect();
    check("file sizes", &problems);
}
