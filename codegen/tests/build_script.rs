//! The helper for build scripts, outside of one.
#![allow(clippy::unwrap_used)] // Tests and their helpers: a panic is the failure.

use std::fs;
use std::path::Path;

#[test]
fn unchanged_files_are_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protos");
    let out = folder.path().join("deep/out");
    let build = || {
        spanwire_codegen::build()
            .include(&protos)
            .out_dir(&out)
            .bytes(".")
            .compile(&["orders.proto"])
            .unwrap();
    };
    build();
    let stamp = |name: &str| fs::metadata(out.join(name)).unwrap().modified().unwrap();
    let before = stamp("shop.v1.rs");
    fs::write(out.join("money.rs"), "changed").unwrap();
    build();
    assert_eq!(stamp("shop.v1.rs"), before);
    assert!(fs::read_to_string(out.join("money.rs")).unwrap().contains("pub struct Amount"));
    assert!(fs::read_to_string(out.join("mod.rs")).unwrap().contains("include!(\"money.rs\");"));
}
