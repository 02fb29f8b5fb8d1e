//! Words that are no names in C or C++.

/// Whether `word` is a keyword of C or C++, or a macro in lower case that their compilers or headers define. One
/// question for both: C++ programs include C headers.
pub(crate) fn is_reserved(word: &str) -> bool {
    KEYWORDS.binary_search(&word).is_ok() || OTHERS.binary_search(&word).is_ok()
}

/// `name`, or `name_` where that is reserved.
pub(crate) fn escape(name: &str) -> String {
    if is_reserved(name) { format!("{name}_") } else { name.to_owned() }
}

/// `name`, or `name_` where that is a keyword of C++: as protoc names types and namespaces.
pub(crate) fn escape_cpp(name: &str) -> String {
    if KEYWORDS.binary_search(&name).is_ok() { format!("{name}_") } else { name.to_owned() }
}

/// Of C++, and with it most of C. Sorted.
const KEYWORDS: &[&str] = &[
    "NULL",
    "alignas",
    "alignof",
    "and",
    "and_eq",
    "asm",
    "auto",
    "bitand",
    "bitor",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "char16_t",
    "char32_t",
    "char8_t",
    "class",
    "co_await",
    "co_return",
    "co_yield",
    "compl",
    "concept",
    "const",
    "const_cast",
    "consteval",
    "constexpr",
    "constinit",
    "continue",
    "decltype",
    "default",
    "delete",
    "do",
    "double",
    "dynamic_cast",
    "else",
    "enum",
    "explicit",
    "export",
    "extern",
    "false",
    "float",
    "for",
    "friend",
    "goto",
    "if",
    "inline",
    "int",
    "long",
    "mutable",
    "namespace",
    "new",
    "noexcept",
    "not",
    "not_eq",
    "nullptr",
    "operator",
    "or",
    "or_eq",
    "private",
    "protected",
    "public",
    "register",
    "reinterpret_cast",
    "requires",
    "return",
    "short",
    "signed",
    "sizeof",
    "static",
    "static_assert",
    "static_cast",
    "struct",
    "switch",
    "template",
    "this",
    "thread_local",
    "throw",
    "true",
    "try",
    "typedef",
    "typeid",
    "typename",
    "union",
    "unsigned",
    "using",
    "virtual",
    "void",
    "volatile",
    "wchar_t",
    "while",
    "xor",
    "xor_eq",
];

/// Keywords of C alone, and macros. Sorted.
const OTHERS: &[&str] = &[
    "assert",
    "errno",
    "i386",
    "linux",
    "offsetof",
    "restrict",
    "stderr",
    "stdin",
    "stdout",
    "typeof",
    "typeof_unqual",
    "unix",
    "va_arg",
    "va_end",
    "va_start",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_can_be_searched() {
        assert!(KEYWORDS.is_sorted() && OTHERS.is_sorted());
        assert_eq!(escape("delete"), "delete_");
        assert_eq!(escape("errno"), "errno_");
        assert_eq!(escape("deletes"), "deletes");
        assert_eq!((escape_cpp("errno").as_str(), escape_cpp("union").as_str()), ("errno", "union_"));
    }
}
