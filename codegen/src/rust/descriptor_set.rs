//! The constant with the descriptors of a package, as a byte string that survives review and formatting.

/// Bytes of source text per line, about.
const LINE: usize = 96;

/// Appends the constant `FILE_DESCRIPTOR_SET`.
pub(crate) fn append(set: &[u8], code: &mut String) {
    code.push_str(
        "/// The descriptors of this package and of all that it imports, as an encoded\n\
         /// `google.protobuf.FileDescriptorSet`; server reflection is built on it.\n\
         pub const FILE_DESCRIPTOR_SET: &[u8] = b\"\\\n",
    );
    let mut line = String::new();
    for &byte in set {
        match byte {
            b'\n' => line.push_str("\\n"),
            b'"' | b'\\' => line.extend(['\\', byte as char]),
            // Spaces at the start of a continued line do not count as content.
            b' ' if line.is_empty() => line.push_str("\\x20"),
            b' '..=b'~' => line.push(byte as char),
            _ => line.push_str(&format!("\\x{byte:02x}")),
        }
        if line.len() >= LINE {
            code.push_str(&line);
            code.push_str("\\\n");
            line.clear();
        }
    }
    code.push_str(&line);
    code.push_str("\";\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the literal back by the rules of the Rust reference.
    fn unescape(literal: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut rest = literal.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            let escape = rest[0];
            rest = &rest[1..];
            match escape {
                b'\n' => rest = rest.trim_ascii_start(),
                b'n' => bytes.push(b'\n'),
                b'x' => {
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                    rest = &rest[2..];
                }
                other => bytes.push(other),
            }
        }
        bytes
    }

    #[test]
    fn every_byte_survives_at_every_place_of_a_line() {
        let set: Vec<u8> =
            (0..4096_u32).map(|n| (n * 7 % 256) as u8).chain([b' '; 200]).chain(*b"\\\" \n").collect();
        let mut code = String::new();
        append(&set, &mut code);
        let literal = code.split_once("b\"").unwrap().1.strip_suffix("\";\n").unwrap();
        assert_eq!(unescape(literal), set);
        assert!(code.lines().all(|line| line.len() <= LINE + 5 && line.is_ascii()));
    }
}
