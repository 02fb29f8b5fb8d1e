//! Generates the code for `proto/examples`, and a test for each Rust snippet of the documents.

#[path = "build/markdown.rs"]
mod markdown;
#[path = "build/snippets.rs"]
mod snippets;

use std::error::Error;
use std::path::{Path, PathBuf};

/// Documents whose Rust snippets are tests, relative to the root of the repository.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "docs/observability.md",
    "docs/rust.md",
    "docs/security.md",
    "docs/server.md",
    "docs/web.md",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    spanwire_codegen::build().include(root.join("proto/examples")).bytes(".files.v1").compile(&[
        root.join("proto/examples/chat/v1/chat.proto"),
        root.join("proto/examples/files/v1/files.proto"),
        root.join("proto/examples/greeter/v1/greeter.proto"),
        root.join("proto/examples/shop/v1/orders.proto"),
    ])?;

    let mut tests = String::new();
    for document in DOCUMENTS {
        let path = root.join(document);
        println!("cargo:rerun-if-changed={}", path.display());
        tests.push_str(&snippets::tests(document, &std::fs::read_to_string(&path)?));
    }
    std::fs::write(out.join("snippets.rs"), tests)?;
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
