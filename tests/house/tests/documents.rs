//! The Markdown: links lead somewhere, every decision is listed, and commands exist.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use spanwire_house::{TextFile, check, files_in, root};

/// Lines that are not inside of a fenced block, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

/// `(line, target)` of each link `[text](target)`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    for (number, line) in prose(text) {
        // Code in backquotes shows brackets that are no links.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            if let Some((target, _)) = rest.split_once(')') {
                links.push((number, target.trim().to_owned()));
            }
        }
    }
    links
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = title.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let mut anchor = slug.clone();
        let mut count = 0;
        while !anchors.insert(anchor) {
            count += 1;
            anchor = format!("{slug}-{count}");
        }
    }
    anchors
}

/// `folder/link` without `.` and `..`, as a path from the root.
fn resolve(folder: &Path, link: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in folder.join(link).components() {
        match part {
            Component::ParentDir if !path.pop() => return None,
            Component::Normal(part) => path.push(part),
            _ => {}
        }
    }
    Some(path)
}

fn problem_with(link: &str, file: &TextFile) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let target = if path.is_empty() { Some(PathBuf::from(&file.path)) } else { resolve(folder, path) };
    let Some(target) = target.map(|target| root().join(target)).filter(|target| target.exists()) else {
        return Some("there is no such file".to_owned());
    };
    if anchor.is_empty() {
        return None;
    }
    let found = std::fs::read_to_string(target).is_ok_and(|text| anchors(&text).contains(anchor));
    (!found).then(|| "there is no such heading".to_owned())
}

#[test]
fn links_lead_somewhere() {
    let mut problems = Vec::new();
    for file in files_in("", ".md") {
        for (line, link) in links(&file.text) {
            if let Some(problem) = problem_with(&link, &file) {
                problems.push(format!("{}:{line}: {link}: {problem}", file.path));
            }
        }
    }
    check("links", &problems);
}

#[test]
fn paths_in_backquotes_exist() {
    let root = root();
    let mut problems = Vec::new();
    for file in files_in("", ".md") {
        let folder = root.join(&file.path);
        let folder = folder.parent().unwrap_or(&root);
        for (number, line) in prose(&file.text) {
            for code in line.split('`').skip(1).step_by(2) {
                let path = code.split("::").next().unwrap_or_default();
                let top = path.split('/').next().unwrap_or_default();
                let plain = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
                let ours = path.contains('/') && !top.is_empty() && root.join(top).is_dir();
                let exists = root.join(path).exists() || folder.join(path).exists();
                // What tools write is not there in a fresh checkout.
                if plain && ours && !["target", ".venv"].contains(&top) && !exists {
                    problems.push(format!("{}:{number}: {path}", file.path));
                }
            }
        }
    }
    check("paths", &problems);
}

#[test]
fn every_decision_is_listed_once_under_its_title() {
    let folder = "docs/decisions/";
    let files = files_in(folder, ".md");
    let index =
        files.iter().find(|file| file.path == format!("{folder}README.md")).expect("there is an index");
    let mut problems = Vec::new();
    let mut numbers = BTreeSet::new();
    for file in &files {
        let name = &file.path[folder.len()..];
        if name == "README.md" {
            continue;
        }
        let number = name.split('-').next().unwrap_or_default();
        if !numbers.insert(number) {
            problems.push(format!("{name}: number {number} is taken"));
        }
        let heading = file.text.lines().next().unwrap_or_default();
        let Some(title) = heading.strip_prefix(&format!("# {number}: ")) else {
            problems.push(format!("{name}: the first line is not \"# {number}: title\" but {heading:?}"));
            continue;
        };
        let entry = format!("| [{number}]({name}) | {title} |");
        if !index.text.lines().any(|line| line == entry) {
            problems.push(format!("{folder}README.md lacks: {entry}"));
        }
        for part in ["**What.**", "**Why.**", "**Weighed.**"] {
            if !file.text.contains(part) {
                problems.push(format!("{name}: has no {part}"));
            }
        }
    }
    check("decisions", &problems);
}

#[test]
fn make_targets_that_documents_name_exist() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("there is a Makefile");
    let mut problems = Vec::new();
    for file in files_in("", ".md") {
        for (index, line) in file.text.lines().enumerate() {
            for (at, _) in line.match_indices("make ") {
                let quoted = line[..at].ends_with('`') || line[..at].trim().is_empty();
                let target: String = line[at + 5..].chars().take_while(char::is_ascii_lowercase).collect();
                let ended = line[at + 5 + target.len()..].chars().next().is_none_or(|c| "` #".contains(c));
                if quoted && ended && !makefile.lines().any(|rule| rule.starts_with(&format!("{target}:"))) {
                    problems.push(format!("{}:{}: make {target}", file.path, index + 1));
                }
            }
        }
    }
    check("make targets", &problems);
}

#[test]
fn anchors_are_made_as_on_the_web() {
    let anchors = anchors("# Unix sockets, and in-process\n## `make` & co.\n## A\n## A\n```\n# no\n```\n");
    let expected = ["a", "a-1", "make--co", "unix-sockets-and-in-process"];
    assert_eq!(anchors.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
