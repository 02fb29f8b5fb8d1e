//! Checks of the repository itself; the tests are in `tests/`. What they share is here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap_or(root)
}

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// All text files of the repository: those that git tracks, or where there is no git, all that do not lie in a folder
/// that tools write to.
#[must_use]
pub fn files() -> Vec<TextFile> {
    let root = root();
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(&root).output();
    let paths = match listed {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect()
        }
        _ => {
            let mut paths = Vec::new();
            walk(&root, "", &mut paths);
            paths
        }
    };
    // Files that are no text have nothing to check; one that was just deleted has neither.
    let read = |path: String| fs::read_to_string(root.join(&path)).ok().map(|text| TextFile { path, text });
    // Nor have the inputs of fuzzing, even where one happens to look like text.
    let input = |path: &str| path.starts_with("fuzz/corpus/") || path.starts_with("fuzz/regressions/");
    paths.into_iter().filter(|path| !input(path)).filter_map(read).collect()
}

fn walk(folder: &Path, prefix: &str, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let written_by_tools = ["target", "node_modules", "__pycache__", ".git", ".venv", ".cache"];
        if written_by_tools.contains(&name.as_str()) {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{path}/"), paths);
        } else {
            paths.push(path);
        }
    }
}

/// The files below `folder` whose name ends in `.extension`.
#[must_use]
pub fn files_in(folder: &str, extension: &str) -> Vec<TextFile> {
    let wanted = |file: &TextFile| file.path.starts_with(folder) && file.path.ends_with(extension);
    files().into_iter().filter(wanted).collect()
}

/// `text` without its Rust line comments, whose words name what they like.
#[must_use]
pub fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Whether `word` stands in `text` as a word of its own.
#[must_use]
pub fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

/// Fails with all `problems`, if there are any.
///
/// # Panics
/// When there are.
pub fn check(what: &str, problems: &[String]) {
    assert!(problems.is_empty(), "{what}:\n  {}", problems.join("\n  "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whole() {
        assert!(has_word("use h2::server;", "h2"));
        assert!(!has_word("h2_header_list_limit, alph2", "h2"));
    }

    #[test]
    fn comments_do_not_count() {
        assert!(!has_word(&without_comments("let x = 1; // like h2\n/// h2"), "h2"));
    }
}
