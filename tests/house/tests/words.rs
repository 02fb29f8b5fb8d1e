//! Words that have no place in the repository: they would tie it to one machine or one registry.

use spanwire_house::{check, files};

/// In halves, so that this file does not contain what it looks for.
const WORDS: [(&str, &str); 10] = [
    ("crates", ".io"),
    ("registry.npm", "js.org"),
    ("pypi", ".org"),
    ("python", "hosted.org"),
    ("proxy.golang", ".org"),
    ("repo.maven.apache", ".org"),
    ("repo1.maven", ".org"),
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
];

/// Files that tools write and that name registries by design.
const LOCK_FILES: [&str; 3] = ["Cargo.lock", "package-lock.json", "go.sum"];

#[test]
fn no_registry_host_and_no_path_of_a_machine() {
    let mut problems = Vec::new();
    for file in files() {
        if LOCK_FILES.iter().any(|name| file.path.ends_with(name)) {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            let found = WORDS.iter().filter(|(a, b)| line.contains(&format!("{a}{b}")));
            problems.extend(found.map(|(a, b)| format!("{}:{}: {a}{b}", file.path, index + 1)));
        }
    }
    check("words", &problems);
}

#[test]
fn no_file_ends_without_a_newline_or_has_a_tab_for_a_space_in_prose() {
    let mut problems = Vec::new();
    for file in files() {
        if file.text.is_empty() || file.path.ends_with(".svg") {
            continue;
        }
        if !file.text.ends_with('\n') {
            problems.push(format!("{}: no newline at the end", file.path));
        }
        if file.path.ends_with(".md") && file.text.contains('\t') {
            problems.push(format!("{}: a tab", file.path));
        }
    }
    check("whitespace", &problems);
}
