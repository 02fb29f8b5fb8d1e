//! The protocol between `protoc` (or buf) and its plugins: a `CodeGeneratorRequest` on standard input, a
//! `CodeGeneratorResponse` on standard output. Spec: `google/protobuf/compiler/plugin.proto`. Both sides of it: that of our
//! plugins, and that of `protoc`, for the plugins of others.

use std::io::{Read, Write};
use std::process::ExitCode;

use prost::Message;

use crate::descriptors::File;
use crate::{Descriptors, Error, GeneratedFile, Generator, editions, encoded};

// Field numbers of CodeGeneratorRequest.
const FILE_TO_GENERATE: u64 = 1;
const PARAMETER: u64 = 2;
const PROTO_FILE: u64 = 15;

/// FEATURE_PROTO3_OPTIONAL and FEATURE_SUPPORTS_EDITIONS.
const FEATURES: u64 = 1 | 2;

/// `EDITION_PROTO2`: what came before editions counts as the oldest of them here.
const EDITION_PROTO2: i32 = 998;

/// `CodeGeneratorResponse` with the fields on editions, which `prost-types` does not have.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, optional, tag = "1")]
    error: Option<String>,
    #[prost(uint64, tag = "2")]
    supported_features: u64,
    #[prost(int32, tag = "3")]
    minimum_edition: i32,
    #[prost(int32, tag = "4")]
    maximum_edition: i32,
    #[prost(message, repeated, tag = "15")]
    file: Vec<ResponseFile>,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseFile {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "15")]
    content: String,
}

/// The whole program `protoc-gen-spanwire-<language>`: one request on standard input, the answer on standard output.
#[must_use]
pub fn main(language: &str) -> ExitCode {
    let name = format!("protoc-gen-spanwire-{language}");
    if let Some(argument) = std::env::args().nth(1) {
        if argument == "--version" {
            println!("{name} {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        eprintln!("{name} is called by protoc or buf and takes no arguments");
        return ExitCode::from(2);
    }
    let mut request = Vec::new();
    let answer = std::io::stdin()
        .read_to_end(&mut request)
        .map_err(|error| error.to_string())
        .and_then(|_| run(language, &request).map_err(|error| error.to_string()))
        .and_then(|response| std::io::stdout().write_all(&response).map_err(|error| error.to_string()));
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers one request with code of the given language: takes and returns encoded messages. What is wrong with the
/// `.proto` files or the options is part of the answer, as the protocol wants it.
///
/// Code is generated for the packages of the files that are asked for; options are separated by commas.
///
/// # Errors
/// When `request` is no `CodeGeneratorRequest`.
pub fn run(language: &str, request: &[u8]) -> Result<Vec<u8>, Error> {
    let fields = encoded::fields(request)?;
    let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
    let of = |number| fields.iter().filter(move |field| field.number == number).map(|field| field.content);
    let requested: Vec<String> = of(FILE_TO_GENERATE).map(text).collect();
    let parameter = of(PARAMETER).map(text).next_back().unwrap_or_default();

    let mut response = Response {
        supported_features: FEATURES,
        minimum_edition: EDITION_PROTO2,
        maximum_edition: editions::NEWEST,
        ..Response::default()
    };
    match generate(language, &parameter, of(PROTO_FILE), &requested) {
        Ok(files) => response.file = files,
        Err(error) => response.error = Some(error.to_string()),
    }
    Ok(response.encode_to_vec())
}

/// What `protoc` would ask a plugin: an encoded request for code of the requested files and of all that they import, but for
/// `google/protobuf/*.proto`, which runtimes bring along. Options in `parameter` are separated by commas.
#[must_use]
pub fn request(descriptors: &Descriptors, parameter: &str) -> Vec<u8> {
    let files = descriptors.with_imports(|file| file.requested);
    let mut request = Vec::new();
    for name in files.iter().map(|file| file.descriptor.name()) {
        if !name.starts_with("google/protobuf/") {
            encoded::append(&mut request, FILE_TO_GENERATE, name.as_bytes());
        }
    }
    encoded::append(&mut request, PARAMETER, parameter.as_bytes());
    for file in files {
        encoded::append(&mut request, PROTO_FILE, &file.encode_with_comments());
    }
    request
}

/// The files in the encoded answer of a plugin, by path.
///
/// # Errors
/// When the answer is an error, or malformed.
pub fn files(response: &[u8]) -> Result<Vec<GeneratedFile>, Error> {
    let Response { error, file, .. } = Response::decode(response)
        .map_err(|error| Error::new(format!("the plugin's answer is malformed: {error}")))?;
    if let Some(error) = error {
        return Err(Error::from_lines(&error)
            .unwrap_or_else(|| Error::new("the plugin failed, and does not say why")));
    }
    let mut files: Vec<_> =
        file.into_iter().map(|file| GeneratedFile { path: file.name, content: file.content }).collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn generate<'a>(
    language: &str,
    parameter: &str,
    files: impl Iterator<Item = &'a [u8]>,
    requested: &[String],
) -> Result<Vec<ResponseFile>, Error> {
    let mut generator = Generator::new(language)?;
    generator.for_plugin();
    for option in parameter.split(',').filter(|option| !option.trim().is_empty()) {
        generator.set(option)?;
    }
    let mut list = Vec::new();
    for descriptor in files {
        let mut file = File::decode(descriptor, false)?;
        file.requested = requested.iter().any(|name| name == file.descriptor.name());
        list.push(file);
    }
    let files = generator.generate(&Descriptors::new(list))?;
    Ok(files.into_iter().map(|file| ResponseFile { name: file.path, content: file.content }).collect())
}
