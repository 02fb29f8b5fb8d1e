//! Generates the code of the greeter.

fn main() -> Result<(), spanwire_codegen::Error> {
    let protos = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../proto/examples");
    spanwire_codegen::build().include(protos).compile(&[format!("{protos}/greeter/v1/greeter.proto")])
}
