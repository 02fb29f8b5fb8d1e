// The fenced code blocks of Markdown.

/// A fenced block of code.
pub(crate) struct Block<'a> {
    /// What stands behind the opening fence: `rust`, `rust,no_run`, `sh`.
    pub(crate) info: &'a str,
    /// The number of its first line of code, from 1.
    pub(crate) line: usize,
    /// The heading above it.
    #[allow(dead_code, reason = "only some of those who include this file ask")]
    pub(crate) heading: &'a str,
    /// Its lines.
    pub(crate) code: String,
}

impl Block<'_> {
    /// The file that the block is meant to be, if its first line is a comment with nothing but a path.
    #[allow(dead_code, reason = "only some of those who include this file ask")]
    pub(crate) fn file(&self) -> Option<&str> {
        let first = self.code.lines().next()?;
        let path = first.strip_prefix("// ").or_else(|| first.strip_prefix("# "))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "./_-".contains(c);
        (path.contains('.') && path.chars().all(plain)).then_some(path)
    }
}

/// All blocks of `text`, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    let mut heading = "";
    for (index, line) in text.lines().enumerate() {
        let fence = line.strip_prefix("```");
        match (&mut open, fence) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.code.push_str(line);
                block.code.push('\n');
            }
            (None, Some(info)) => {
                open = Some(Block { info: info.trim(), line: index + 2, heading, code: String::new() });
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix('#') {
                    heading = title.trim_start_matches('#').trim();
                }
            }
        }
    }
    blocks
}
