//! Files up and down.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use common::{Program, run};
use spanwire::{Channel, Code};
use spanwire_examples::files::v1::upload_part::Part;
use spanwire_examples::files::v1::{FilesClient, UploadPart};

const FILES: &str = env!("CARGO_BIN_EXE_files");

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Bytes that do not repeat in any length that a mistake would have.
fn content(size: u64) -> Vec<u8> {
    (0..size).map(|at| ((at * 2_654_435_761) >> 13) as u8).collect()
}

#[test]
fn large_file_comes_back_unchanged_and_a_broken_download_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (server, target) = Program::server(FILES, &[folder.path()]);
    let here = tempfile::tempdir().unwrap();
    let original = here.path().join("big.bin");
    let content = content(20 * 1024 * 1024 + 1);
    fs::write(&original, &content).unwrap();

    let (printed, success) = run(FILES, &["upload", &target, text(&original)]);
    assert!(success, "{printed:?}");
    assert_eq!(printed, [format!("uploaded big.bin, {} bytes", content.len())]);
    assert_eq!(fs::read(folder.path().join("big.bin")).unwrap(), content);

    let copy = here.path().join("copy.bin");
    fs::write(&copy, &content[..1_000_000]).unwrap();
    let (printed, success) = run(FILES, &["download", &target, "big.bin", text(&copy)]);
    assert!(success, "{printed:?}");
    assert_eq!(printed[0], format!("downloading bytes 1000000 to {}", content.len()));
    assert_eq!(fs::read(&copy).unwrap(), content);
    assert!(server.interrupt().1);
}

#[test]
fn missing_file_and_path_out_of_the_folder_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, target) = Program::server(FILES, &[folder.path()]);
    let copy = folder.path().join("copy");
    for name in ["none", "../etc/passwd", "/etc/passwd", "..", ""] {
        assert!(!run(FILES, &["download", &target, name, text(&copy)]).1, "{name:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, target) = Program::server(FILES, &[folder.path()]);
    let mut call = FilesClient::new(Channel::new(&target).unwrap()).upload().await.unwrap();
    call.send(UploadPart { part: Some(Part::Name("half".into())) }).await.unwrap();
    call.send(UploadPart { part: Some(Part::Data(vec![0; 1000].into())) }).await.unwrap();
    wait_for("the upload to begin", || folder.path().join(".half.part").exists());
    drop(call);
    wait_for("the server to clean up", || !folder.path().join(".half.part").exists());
    assert!(!folder.path().join("half").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_without_a_name_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, target) = Program::server(FILES, &[folder.path()]);
    let mut call = FilesClient::new(Channel::new(&target).unwrap()).upload().await.unwrap();
    call.send(UploadPart { part: Some(Part::Data(vec![0; 10].into())) }).await.unwrap();
    let status = call.finish().await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "the first part is not the name"));
}

/// Waits for something that another process does.
fn wait_for(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
