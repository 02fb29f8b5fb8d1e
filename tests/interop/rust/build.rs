//! Generates the messages and services of `grpc.testing`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = "../../../proto";
    spanwire_codegen::build().include(proto).compile(&[format!("{proto}/grpc/testing/test.proto")])?;
    Ok(())
}
