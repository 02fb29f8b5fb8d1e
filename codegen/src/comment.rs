//! Makes comments of `.proto` files safe as Rust doc comments.
//!
//! Comments are prose in no particular format, and rustdoc reads Markdown: an indented example would be compiled
//! and run as a test of the user's crate.

use prost_types::FileDescriptorProto;

/// Rewrites all comments of the file.
pub(crate) fn clean_all(file: &mut FileDescriptorProto) {
    for location in file.source_code_info.iter_mut().flat_map(|info| &mut info.location) {
        // Detached comments belong to no item.
        location.leading_detached_comments.clear();
        for comment in [&mut location.leading_comments, &mut location.trailing_comments] {
            if let Some(text) = comment.as_mut() {
                *text = clean(text);
            }
        }
    }
}

/// Marks code blocks as plain text and drops characters that Rust refuses in comments.
fn clean(comment: &str) -> String {
    let mut output = String::with_capacity(comment.len() + 16);
    let mut line_out = |line: &str| {
        output.push_str(line);
        output.push('\n');
    };
    let mut fence: Option<&str> = None;
    let mut indented = false;
    let mut after_blank = true;
    let mut in_list = false;
    let mut blanks = 0;
    let lines: Vec<String> =
        comment.lines().map(|line| line.chars().filter(|&c| is_allowed(c)).collect()).collect();
    for line in &lines {
        // One space after the comment marker is not indentation.
        let text = line.strip_prefix(' ').unwrap_or(line);
        let body = text.trim_start();
        let indent = if text.starts_with('\t') { 8 } else { text.len() - body.len() };
        if body.is_empty() && fence.is_none() {
            blanks += 1;
            continue;
        }
        if indented && indent < 4 {
            line_out(" ```");
            indented = false;
        }
        (0..std::mem::take(&mut blanks)).for_each(|_| {
            line_out("");
            after_blank = true;
        });
        match fence {
            Some(marker) => {
                if body.starts_with(marker) {
                    fence = None;
                }
                line_out(line.trim_end());
            }
            None if body.starts_with("```") || body.starts_with("~~~") => {
                fence = Some(&body[..3]);
                let info = body[3..].trim();
                let info = if is_rust(info) { "text" } else { info };
                line_out(&format!(" {}{}{info}", &text[..indent.min(text.len() - body.len())], &body[..3]));
            }
            None => {
                let code_indent = if in_list { 6 } else { 4 };
                if !indented && after_blank && indent >= code_indent {
                    line_out(" ```text");
                    indented = true;
                }
                in_list = is_list_item(body) && indent < 4 || in_list && (indent > 0 || !after_blank);
                line_out(line.trim_end());
            }
        }
        after_blank = false;
    }
    if indented || fence.is_some() {
        let marker = fence.unwrap_or("```");
        line_out(&format!(" {marker}"));
    }
    output
}

/// A lone carriage return does not compile; invisible marks that reorder text are refused by a lint.
fn is_allowed(c: char) -> bool {
    !(c == '\r' || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}'))
}

/// Whether rustdoc would compile a code block with this language tag.
fn is_rust(info: &str) -> bool {
    info.is_empty()
        || info.split([',', ' ']).any(|word| {
            matches!(word, "rust" | "should_panic" | "no_run" | "ignore" | "compile_fail" | "test_harness")
                || word.starts_with("edition")
        })
}

fn is_list_item(body: &str) -> bool {
    let after_number = body.trim_start_matches(|c: char| c.is_ascii_digit());
    body.starts_with("- ")
        || body.starts_with("* ")
        || body.starts_with("+ ")
        || after_number.len() < body.len()
            && (after_number.starts_with(". ") || after_number.starts_with(") "))
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn prose_stays_as_it_is() {
        let text = " First line.\n\n - a list\n   that goes on\n\n   and on\n Last.\n";
        assert_eq!(clean(text), text);
    }

    #[test]
    fn an_indented_block_becomes_plain_text() {
        assert_eq!(
            clean(" Example:\n\n     a = 1\n\n     b = 2\n\n Done.\n"),
            " Example:\n\n ```text\n     a = 1\n\n     b = 2\n ```\n\n Done.\n"
        );
        assert_eq!(clean("     only code\n"), " ```text\n     only code\n ```\n");
    }

    #[test]
    fn an_indented_line_that_continues_a_paragraph_is_left_alone() {
        assert_eq!(clean(" A long\n     line.\n"), " A long\n     line.\n");
    }

    #[test]
    fn a_fence_without_language_is_marked_as_text() {
        assert_eq!(clean(" ```\n x\n ```\n"), " ```text\n x\n ```\n");
        assert_eq!(clean(" ```rust,no_run\n x\n ```\n"), " ```text\n x\n ```\n");
        assert_eq!(clean(" ```json\n {}\n ```\n"), " ```json\n {}\n ```\n");
    }

    #[test]
    fn a_fence_that_is_left_open_is_closed() {
        assert_eq!(clean(" ```json\n {}\n"), " ```json\n {}\n ```\n");
    }

    #[test]
    fn code_in_a_list_is_marked_as_text() {
        assert_eq!(clean(" - a\n\n       code\n"), " - a\n\n ```text\n       code\n ```\n");
    }

    #[test]
    fn characters_that_rust_refuses_are_dropped() {
        assert_eq!(clean(" a\rb\u{202E}c\r\n"), " abc\n");
    }
}
