//! The plugin for `protoc` and buf: `protoc --spanwire-rust_out=src/generated …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    spanwire_codegen::plugin::main("rust")
}
