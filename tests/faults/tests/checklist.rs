//! `docs/wire-checklist.md` against the tests: it names a test for every line, and no test that is gone.
//!
//! A test says which lines it holds by a comment above it, `// Wire checklist line 7` or `// Wire checklist lines 7
//! and 9`. `UPDATE_CHECKLIST=1 cargo test -p spanwire-faults --test checklist` writes the table's third column anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The lines that the engine must hold today.
const LINES: std::ops::RangeInclusive<u32> = 1..=46;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The numbers in a comment such as `// Wire checklist lines 1, 2 and 3, hazards A5`.
fn lines_of(comment: &str) -> Vec<u32> {
    let Some((_, rest)) = comment.split_once("ire checklist line") else { return Vec::new() };
    rest.trim_start_matches('s')
        .split([' ', ','])
        .take_while(|word| !word.starts_with("hazards") && !word.starts_with("Hazards"))
        .filter_map(|word| word.trim_end_matches('.').parse().ok())
        .collect()
}

/// The tests by checklist line, as `file::name`.
fn tests() -> BTreeMap<u32, BTreeSet<String>> {
    let mut files = Vec::new();
    for folder in ["core", "tests/faults/tests"] {
        sources(&root().join(folder), &mut files);
    }
    let mut tests: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
        let mut lines = Vec::new();
        for line in text.lines().map(str::trim) {
            if line.starts_with("//") {
                lines.extend(lines_of(line));
            } else if let Some((_, rest)) = line.split_once("fn ") {
                let name = rest.split(['(', '<']).next().unwrap();
                for number in lines.drain(..) {
                    tests.entry(number).or_default().insert(format!("{stem}::{name}"));
                }
            } else if !line.starts_with("#[") {
                lines.clear();
            }
        }
    }
    tests
}

/// The cells of a table row, if `row` is one that begins with a number.
fn cells(row: &str) -> Option<(u32, Vec<&str>)> {
    let cells: Vec<&str> = row.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    Some((cells.first()?.parse().ok()?, cells))
}

#[test]
fn every_line_has_its_tests_and_they_exist() {
    let path = root().join("docs/wire-checklist.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let tests = tests();
    if std::env::var_os("UPDATE_CHECKLIST").is_some() {
        let rows = text.lines().map(|row| match cells(row) {
            Some((number, cells)) => {
                let names = tests.get(&number).into_iter().flatten();
                let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
                format!("| {number} | {} | {} | {} |\n", cells[1], names.join(" "), cells[3])
            }
            None => format!("{row}\n"),
        });
        std::fs::write(&path, rows.collect::<String>()).unwrap();
        return;
    }
    let known: BTreeSet<&String> = tests.values().flatten().collect();
    let mut wrong = Vec::new();
    let rows: BTreeMap<u32, Vec<&str>> = text.lines().filter_map(cells).collect();
    for number in LINES {
        let Some(cells) = rows.get(&number) else {
            wrong.push(format!("line {number} has no row"));
            continue;
        };
        let names: Vec<&str> = cells[2].split(' ').map(|name| name.trim_matches('`')).collect();
        for name in &names {
            if !known.contains(&(*name).to_owned()) {
                wrong.push(format!("line {number}: there is no test {name:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nUPDATE_CHECKLIST=1 writes the table anew", wrong.join("\n"));
}
