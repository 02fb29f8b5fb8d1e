//! Layout of C and C++.

/// Columns of a line.
const WIDTH: usize = 116;

/// `lines` as a documentation comment; nothing for no lines.
pub(crate) fn comment(lines: &[String], indent: usize) -> String {
    let space = " ".repeat(indent);
    // Neither the end of the comment nor what looks like the start of another one.
    let safe = |line: &String| line.replace("*/", "* /").replace("/*", "/ *");
    match &lines.iter().map(safe).collect::<Vec<_>>()[..] {
        [] => String::new(),
        [line] if indent + line.chars().count() + 7 <= WIDTH => format!("{space}/** {line} */\n"),
        lines => {
            let body: String =
                lines.iter().map(|line| format!("{space} * {line}").trim_end().to_owned() + "\n").collect();
            format!("{space}/**\n{body}{space} */\n")
        }
    }
}

/// `text` as lines of a comment.
pub(crate) fn wrap(text: &str, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if indent + 3 + line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The lines of a comment from the source, and a paragraph behind them.
pub(crate) fn paragraphs(source: &[String], text: &str, indent: usize) -> Vec<String> {
    let mut lines = source.to_vec();
    let more = wrap(text, indent);
    if !lines.is_empty() && !more.is_empty() {
        lines.push(String::new());
    }
    lines.extend(more);
    lines
}

/// `head(items)tail`, broken between the items where a line would be too long, and behind the bracket where an item
/// would be too long even so.
pub(crate) fn list(head: &str, items: &[String], tail: &str, indent: usize) -> String {
    let open = format!("{}{head}(", " ".repeat(indent));
    let align = open.chars().count();
    let longest = items.iter().map(|item| item.chars().count()).max().unwrap_or_default();
    let tail_len = tail.trim_end().chars().count() + 1;
    if align + longest + tail_len <= WIDTH {
        format!("{open}{}){tail}", fill(items, align, align, tail_len))
    } else {
        let indent = indent + 4;
        format!("{open}\n{}{}){tail}", " ".repeat(indent), fill(items, indent, indent, tail_len))
    }
}

/// Items with commas, in lines that begin at `indent`; the first one begins at `column`. `behind` is the width of what
/// follows the last one.
fn fill(items: &[String], indent: usize, mut column: usize, behind: usize) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        let last = index + 1 == items.len();
        let len = item.chars().count() + if last { 0 } else { 1 };
        if index > 0 {
            if column + 1 + len + if last { behind } else { 0 } > WIDTH {
                text.push('\n');
                text.push_str(&" ".repeat(indent));
                column = indent;
            } else {
                text.push(' ');
                column += 1;
            }
        }
        text.push_str(item);
        text.push_str(if last { "" } else { "," });
        column += len;
    }
    text
}

/// `left head(items);` on a line, or with what is assigned behind a break.
pub(crate) fn assign(left: &str, head: &str, items: &[String], indent: usize) -> String {
    let line = format!("{}{left} {head}({});\n", " ".repeat(indent), items.join(", "));
    if line.trim_end().chars().count() <= WIDTH {
        return line;
    }
    format!("{}{left}\n{}\n", " ".repeat(indent), list(head, items, ";", indent + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(items: &[&str]) -> Vec<String> {
        items.iter().map(|&item| item.to_owned()).collect()
    }

    #[test]
    fn a_comment_is_as_short_as_it_can_be() {
        assert_eq!(comment(&[], 2), "");
        assert_eq!(comment(&owned(&["One."]), 2), "  /** One. */\n");
        assert_eq!(comment(&owned(&["One.", "", "Two."]), 0), "/**\n * One.\n *\n * Two.\n */\n");
        let long = "x".repeat(WIDTH);
        assert_eq!(comment(std::slice::from_ref(&long), 0), format!("/**\n * {long}\n */\n"));
    }

    #[test]
    fn a_comment_cannot_end_the_comment_that_it_becomes() {
        assert_eq!(comment(&owned(&["a */ b"]), 0), "/** a * / b */\n");
        assert_eq!(comment(&owned(&["/* c", "*/*"]), 0), "/**\n * / * c\n * * / *\n */\n");
    }

    #[test]
    fn text_fills_its_lines() {
        let lines = wrap(&"word ".repeat(60), 4);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= WIDTH - 7));
        assert_eq!(paragraphs(&owned(&["a"]), "b c", 0), ["a", "", "b c"]);
        assert_eq!(paragraphs(&[], "b c", 0), ["b c"]);
    }

    #[test]
    fn an_assignment_breaks_behind_its_sign() {
        let item = "x".repeat(WIDTH - "  a = f();".len());
        let items = std::slice::from_ref(&item);
        assert_eq!(assign("a =", "f", items, 2), format!("  a = f({item});\n"));
        assert_eq!(assign("aa =", "f", items, 2), format!("  aa =\n      f({item});\n"));
    }

    #[test]
    fn a_list_breaks_between_items() {
        assert_eq!(list("int f", &owned(&["int a", "int b"]), ";", 2), "  int f(int a, int b);");
        let item = "y".repeat(60);
        assert_eq!(list("f", &[item.clone(), item.clone()], ";", 0), format!("f({item},\n  {item});"));
        // To the column.
        let fits = "z".repeat(WIDTH - "f(, );".len() - item.len());
        assert!(!list("f", &[item.clone(), fits.clone()], ";", 0).contains('\n'));
        assert!(list("f", &[item, fits + "z"], ";", 0).contains('\n'));
        let long = "x".repeat(WIDTH - "    );".len());
        assert_eq!(list("ffff", std::slice::from_ref(&long), ";", 0), format!("ffff(\n    {long});"));
    }
}
