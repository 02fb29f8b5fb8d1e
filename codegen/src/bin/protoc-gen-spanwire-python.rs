//! The plugin for `protoc` and buf: `protoc --spanwire-python_out=generated …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    spanwire_codegen::plugin::main("python")
}
