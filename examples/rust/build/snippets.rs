// One test for each Rust snippet of a document.
//
// A snippet is the inside of an async function that has `channel` and `orders` and may fail with any error. It is
// compiled after `use super::*`, so the module that includes the tests decides what is in scope. `rust,no_run` is
// compiled only. Blocks that are whole files are left to the test that runs the commands of the document.

use std::fmt::Write;

use super::markdown;

/// The tests for the snippets of `document`, whose content is `text`.
pub(crate) fn tests(document: &str, text: &str) -> String {
    let mut tests = String::new();
    let mut last = String::new();
    let mut number = 0;
    for block in markdown::blocks(text) {
        let run = match block.info {
            "rust" => true,
            "rust,no_run" => false,
            _ => continue,
        };
        if block.file().is_some() {
            continue;
        }
        let name = slug(&format!("{document} {}", block.heading));
        number = if name == last { number + 1 } else { 1 };
        last.clone_from(&name);
        let attribute =
            if run { "#[tokio::test(flavor = \"multi_thread\", worker_threads = 2)]\n" } else { "" };
        let (open, close) = if run { ("super::run(async |channel, orders| {", "}).await") } else { ("", "") };
        let arguments = if run { "" } else { "channel: Channel, orders: OrdersClient" };
        let result = if run { "" } else { " -> Outcome" };
        let _ = write!(
            tests,
            "// {document}:{line}\n#[allow(unused, clippy::all)]\nmod {name}_{number} {{\nuse super::*;\n\
             {attribute}async fn snippet({arguments}){result} {{\n{open}\n{code}\nOk(())\n{close}\n}}\n}}\n",
            line = block.line,
            code = block.code,
        );
    }
    tests
}

/// A name of a module.
fn slug(text: &str) -> String {
    let words: Vec<_> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.join("_").to_lowercase()
}
