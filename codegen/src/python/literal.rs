//! Literals of Python, and docstrings.

use std::fmt::Write;

/// Columns of a line.
pub(crate) const WIDTH: usize = 100;

/// `text` between double quotes.
pub(crate) fn string(text: &str) -> String {
    format!("\"{}\"", escape(text).replace('"', "\\\""))
}

/// `bytes` as literals that follow each other, one a line.
pub(crate) fn bytes(bytes: &[u8], indent: usize) -> String {
    let open = format!("{}b\"", " ".repeat(indent));
    let mut lines = open.clone();
    let mut column = open.len();
    for &byte in bytes {
        let mut piece = String::new();
        match byte {
            b'\\' | b'"' => _ = write!(piece, "\\{}", char::from(byte)),
            b' '..=b'~' => piece.push(char::from(byte)),
            b'\n' => piece.push_str("\\n"),
            _ => _ = write!(piece, "\\x{byte:02x}"),
        }
        if column + piece.len() + 1 > WIDTH {
            _ = write!(lines, "\"\n{open}");
            column = open.len();
        }
        lines.push_str(&piece);
        column += piece.len();
    }
    lines + "\""
}

/// Lines as a docstring; nothing for no lines.
pub(crate) fn docstring(lines: &[String], indent: usize) -> String {
    let space = " ".repeat(indent);
    let line = |line: &String| escape(line).replace("\"\"\"", "\\\"\\\"\\\"");
    match lines {
        [] => String::new(),
        [only] if indent + only.len() + 6 <= WIDTH && !only.ends_with('"') => {
            format!("{space}\"\"\"{}\"\"\"\n", line(only))
        }
        [first, rest @ ..] => {
            let mut text = format!("{space}\"\"\"{}\n", line(first));
            for rest in rest {
                text.push_str(format!("{space}{}", line(rest)).trim_end());
                text.push('\n');
            }
            text + &space + "\"\"\"\n"
        }
    }
}

/// The start of a function: `head(parameters)tail`, a parameter a line where one line would be too long.
pub(crate) fn signature(head: &str, parameters: &[String], tail: &str, indent: usize) -> String {
    let space = " ".repeat(indent);
    let line = format!("{space}{head}({}){tail}", parameters.join(", "));
    if line.chars().count() <= WIDTH {
        return line + "\n";
    }
    let parameters: String =
        parameters.iter().map(|parameter| format!("{space}    {parameter},\n")).collect();
    format!("{space}{head}(\n{parameters}{space}){tail}\n")
}

/// Backslashes and control characters, which a string must not hold as they are.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '\\' => escaped.push_str("\\\\"),
            c if c.is_ascii_control() && c != '\t' => _ = write!(escaped, "\\x{:02x}", u32::from(c)),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn bytes_are_printable_and_fit_their_lines() {
        assert_eq!(bytes(b"a\"\\\n\0\xff", 2), r#"  b"a\"\\\n\x00\xff""#);
        let lines = bytes(&[b'x'; 300], 4);
        assert!(lines.lines().all(|line| line.len() <= WIDTH) && lines.lines().count() == 4, "{lines}");
        assert_eq!(bytes(b"", 0), "b\"\"");
    }

    #[test]
    fn a_comment_cannot_end_its_docstring() {
        assert_eq!(docstring(&owned(&["One."]), 4), "    \"\"\"One.\"\"\"\n");
        assert_eq!(docstring(&owned(&["a \"\"\" b\\"]), 0), "\"\"\"a \\\"\\\"\\\" b\\\\\"\"\"\n");
        assert_eq!(docstring(&owned(&["say \"x\""]), 0), "\"\"\"say \"x\"\n\"\"\"\n");
        assert_eq!(docstring(&owned(&["a", "", "  b"]), 2), "  \"\"\"a\n\n    b\n  \"\"\"\n");
        assert_eq!(docstring(&[], 2), "");
    }

    #[test]
    fn a_long_signature_has_a_line_for_each_parameter() {
        let short = signature("def f", &owned(&["self", "a: int"]), " -> None: ...", 4);
        assert_eq!(short, "    def f(self, a: int) -> None: ...\n");
        let long = "b".repeat(90);
        let text = signature("def f", &owned(&["self", &long]), ":", 0);
        assert_eq!(text, format!("def f(\n    self,\n    {long},\n):\n"));
    }
}
