//! A function, declared in a header and defined in a source file.

use crate::layout;

/// One function of the generated code.
pub(crate) struct Function {
    /// Its documentation; what is not public has it as a plain comment.
    pub(crate) doc: Vec<String>,
    /// What stands in front of the name: `spanwire_result `, or `Order *`.
    pub(crate) result: String,
    pub(crate) name: String,
    pub(crate) parameters: Vec<String>,
    /// Lines with their indentation.
    pub(crate) body: String,
    pub(crate) public: bool,
}

impl Function {
    /// For the header; empty if it does not belong there.
    pub(crate) fn declaration(&self) -> String {
        match self.public {
            true => format!("{}{}\n\n", layout::comment(&self.doc, 0), self.head(";")),
            false => String::new(),
        }
    }

    /// For the source file.
    pub(crate) fn definition(&self) -> String {
        let doc = match self.public {
            true => String::new(),
            false => layout::comment(&self.doc, 0).replacen("/**", "/*", 1),
        };
        format!("{doc}{}\n{}}}\n", self.head(" {"), self.body)
    }

    fn head(&self, tail: &str) -> String {
        let storage = if self.public { "" } else { "static " };
        let nothing = ["void".to_owned()];
        let parameters = if self.parameters.is_empty() { &nothing } else { self.parameters.as_slice() };
        layout::list(&format!("{storage}{}{}", self.result, self.name), parameters, tail, 0)
    }
}

/// A statement that calls a function: `head(arguments);`
pub(crate) fn call(head: &str, arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    layout::list(head, &arguments, ";", 2) + "\n"
}
