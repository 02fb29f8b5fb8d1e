//! The committed header is the one that the sources make, and has every option that there is.

#![allow(clippy::unwrap_used, reason = "a program of tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header() -> PathBuf {
    crate_folder().join("include/spanwire.h")
}

fn committed() -> String {
    std::fs::read_to_string(header()).unwrap()
}

/// With `BLESS=1` in the environment it is written anew.
#[test]
fn committed_header_is_what_the_sources_make() {
    let config = cbindgen::Config::from_file(crate_folder().join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::generate_with_config(crate_folder(), config).unwrap();
    let mut made = Vec::new();
    bindings.write(&mut made);
    let made = String::from_utf8(made).unwrap();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(header(), &made).unwrap();
    }
    assert!(
        committed() == made,
        "include/spanwire.h is not what the sources make: BLESS=1 cargo test -p spanwire-ffi --test header"
    );
}

/// The fields of a struct in the header.
fn fields(name: &str) -> BTreeSet<String> {
    let text = committed();
    let start = text.find(&format!("typedef struct {name} {{")).unwrap();
    let body = &text[start..start + text[start..].find("\n}").unwrap()];
    let fields = body.lines().filter(|line| line.ends_with(';') && !line.trim_start().starts_with("//"));
    fields.map(|line| line.trim_end_matches(';').rsplit([' ', '*']).next().unwrap().to_owned()).collect()
}

/// The options of the engine that are documented, with the sides that have them.
fn documented() -> Vec<(String, Vec<String>)> {
    let page = std::fs::read_to_string(crate_folder().join("../docs/limits.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        (cells[0].trim_matches('`').to_owned(), cells[1].split(", ").map(str::to_owned).collect())
    })
    .collect()
}

/// What C calls an option: its name, with a unit if it is a time, and in two parts if it is a rate.
fn in_c(option: &str) -> Vec<String> {
    let option = option.replace("flood_limits.", "flood_");
    match option.as_str() {
        "keepalive" => vec!["keepalive_interval_ms".into(), "keepalive_timeout_ms".into()],
        "keepalive_enforcement" => {
            vec!["keepalive_min_interval_ms".into(), "keepalive_permit_without_calls".into()]
        }
        "backoff" => vec!["backoff_first_ms".into(), "backoff_longest_ms".into()],
        "flood_resets" | "flood_settings" | "flood_control_frames" => {
            vec![format!("{option}_burst"), format!("{option}_per_second")]
        }
        name if name.ends_with("timeout") || name.starts_with("max_connection_") => {
            vec![format!("{name}_ms")]
        }
        name => vec![name.to_owned()],
    }
}

#[test]
fn every_documented_option_is_a_field() {
    let mut missing = Vec::new();
    for (option, sides) in documented() {
        for side in sides {
            let known = fields(&format!("spanwire_{side}_options"));
            missing.extend(
                in_c(&option)
                    .into_iter()
                    .filter(|name| !known.contains(name))
                    .map(|name| (side.clone(), name)),
            );
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn version_is_the_one_of_the_library() {
    assert!(committed().contains("#define SPANWIRE_ABI_VERSION 1\n"));
    assert_eq!(spanwire_c::spanwire_abi_version(), spanwire_c::SPANWIRE_ABI_VERSION);
}
