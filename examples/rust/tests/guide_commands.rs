//! Follows docs/rust.md as a reader would: writes the files that it shows, and runs its commands, in their order.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../build/markdown.rs"]
mod markdown;

use std::fmt::Write;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// One script of all commands and files: a reader has one terminal, too.
fn script(guide: &str, without_protoc: bool) -> String {
    // With `-m` each job is a process group of its own, so that a server in the background ends with the script.
    // The tools are built without optimisation, and everything with the versions that the workspace has locked.
    let mut script = String::from(
        "set -meuo pipefail\n\
         trap 'for job in $(jobs -p); do kill -- -$job || true; done' EXIT\n\
         cargo() {\n\
         case $1 in\n\
         install) command cargo install --debug \"${@:2}\" ;;\n\
         new) command cargo \"$@\" && cp \"$SPANWIRE/Cargo.lock\" \"${@: -1}\" ;;\n\
         *) command cargo \"$@\" ;;\n\
         esac\n\
         }\n",
    );
    for block in markdown::blocks(guide) {
        if let Some(path) = block.file() {
            let _ = write!(
                script,
                "mkdir -p $(dirname {path})\ncat > {path} <<'END OF FILE'\n{}END OF FILE\n",
                block.code
            );
        } else if block.info == "sh" && !(without_protoc && block.code.contains("protoc ")) {
            let _ = write!(script, "echo '== line {}'\n{}", block.line, block.code);
        }
    }
    script
}

/// A folder of programs with a `protoc` in it: the one that comes with the Python peers, where the system has none.
/// `false` if there is neither.
fn provide_protoc(bin: &Path) -> bool {
    if Command::new("protoc").arg("--version").output().is_ok() {
        return true;
    }
    let python = root().join(".venv/bin/python");
    let works = Command::new(&python).args(["-m", "grpc_tools.protoc", "--version"]).output();
    if !works.is_ok_and(|output| output.status.success()) {
        return false;
    }
    let protoc = bin.join("protoc");
    fs::write(&protoc, format!("#!/bin/sh\nexec {} -m grpc_tools.protoc \"$@\"\n", python.display()))
        .unwrap();
    fs::set_permissions(&protoc, fs::Permissions::from_mode(0o755)).unwrap();
    true
}

#[test]
fn commands_and_files_of_the_guide_lead_to_an_answer() {
    let root = root();
    // Outside of the repository, or cargo would take the new package for a part of its workspace.
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let has_protoc = provide_protoc(&bin);
    if !has_protoc {
        eprintln!("there is no protoc: the commands with the plugin are left out");
    }
    // It is used minutes later: not one of those that outgoing connections are given meanwhile.
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let port = (first..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap();
    let guide = fs::read_to_string(root.join("docs/rust.md")).unwrap().replace("50051", &port.to_string());

    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script(&guide, !has_protoc)])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("SPANWIRE", &root)
        .env("CARGO_INSTALL_ROOT", folder.path())
        // A folder of its own: what the other tests use must not change under them.
        .env("CARGO_TARGET_DIR", root.join("target/guide"))
        // As build scripts are built: then the tools share their dependencies with them.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_DEV_CODEGEN_UNITS", "256")
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .env("CARGO_INCREMENTAL", "0")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("\norder 7 is Paid\n"), "{stdout}\n{stderr}");
    assert!(folder.path().join("store/src/generated/shop.v1.rs").exists());
    assert_eq!(folder.path().join("store/generated/shop.v1.rs").exists(), has_protoc);
}

#[test]
fn service_of_the_guide_is_the_one_of_the_examples() {
    let guide = fs::read_to_string(root().join("docs/rust.md")).unwrap();
    let blocks = markdown::blocks(&guide);
    let block = blocks.iter().find(|block| block.info == "proto").unwrap();
    let example = fs::read_to_string(root().join("proto/examples/shop/v1/orders.proto")).unwrap();
    assert_eq!(block.file(), Some("proto/shop/v1/orders.proto"));
    assert_eq!(block.code.split_once('\n').unwrap().1, example);
}
