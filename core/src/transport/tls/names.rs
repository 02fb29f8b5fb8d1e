//! The names in a certificate, read from its DER (X.690, RFC 5280).
//!
//! Whoever asks has checked the certificate already, so nothing is judged here: what is not understood has no names.
//!
//! ```text
//! certificate = SEQUENCE { tbs, algorithm, signature }
//! tbs         = SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, key, [1] id, [2] id, [3] extensions }
//! subject     = SEQUENCE of SET of SEQUENCE { type, value }
//! extensions  = SEQUENCE of SEQUENCE { type, BOOLEAN critical, OCTET STRING value }
//! ```

use std::fmt::Write as _;
use std::net::IpAddr;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Names {
    pub(super) dns: Vec<String>,
    pub(super) uris: Vec<String>,
    pub(super) ips: Vec<IpAddr>,
    pub(super) emails: Vec<String>,
    pub(super) subject: String,
}

mod tag {
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const INTEGER: u8 = 0x02;
    pub(super) const OCTETS: u8 = 0x04;
    pub(super) const OID: u8 = 0x06;
    pub(super) const UTF8: u8 = 0x0c;
    pub(super) const PRINTABLE: u8 = 0x13;
    pub(super) const TELETEX: u8 = 0x14;
    pub(super) const IA5: u8 = 0x16;
    pub(super) const SEQUENCE: u8 = 0x30;
    pub(super) const SET: u8 = 0x31;
    pub(super) const VERSION: u8 = 0xa0;
    pub(super) const EXTENSIONS: u8 = 0xa3;
    /// Kinds of alternative names.
    pub(super) const EMAIL: u8 = 0x81;
    pub(super) const DNS: u8 = 0x82;
    pub(super) const URI: u8 = 0x86;
    pub(super) const IP: u8 = 0x87;
}

/// 2.5.29.17
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// What parts of a subject are called: RFC 4514, and what else is usual.
const KEYWORDS: [(&[u8], &str); 14] = [
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x04], "SN"),
    (&[0x55, 0x04, 0x05], "SERIALNUMBER"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x09], "STREET"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x55, 0x04, 0x0c], "TITLE"),
    (&[0x55, 0x04, 0x2a], "GIVENNAME"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01], "EMAIL"),
];

impl Names {
    /// `None` if that is no certificate.
    pub(super) fn read(certificate: &[u8]) -> Option<Names> {
        let mut outer = Der(certificate);
        let mut certificate = Der(outer.take(tag::SEQUENCE)?);
        outer.end()?;
        let mut tbs = Der(certificate.take(tag::SEQUENCE)?);
        tbs.take_if(tag::VERSION)?;
        tbs.take(tag::INTEGER)?;
        let [_algorithm, _issuer, _validity] = tbs.sequences()?;
        let [subject, _key] = tbs.sequences()?;
        let mut names = Names { subject: subject_text(subject)?, ..Names::default() };
        let mut found = None;
        while !tbs.0.is_empty() {
            let (kind, content) = tbs.next()?;
            if kind == tag::EXTENSIONS {
                found = alternatives(content)?;
            }
        }
        let mut list = Der(found.unwrap_or_default());
        while !list.0.is_empty() {
            let (kind, content) = list.next()?;
            match kind {
                tag::DNS => names.dns.push(ascii(content)?.to_owned()),
                tag::URI => names.uris.push(ascii(content)?.to_owned()),
                tag::EMAIL => names.emails.push(ascii(content)?.to_owned()),
                tag::IP => {
                    let four = <[u8; 4]>::try_from(content).map(IpAddr::from);
                    names.ips.extend(four.or_else(|_| <[u8; 16]>::try_from(content).map(IpAddr::from)).ok());
                }
                _ => {}
            }
        }
        Some(names)
    }
}

/// The list of alternative names, if the certificate has one. One that has two has none that could be believed.
fn alternatives(extensions: &[u8]) -> Option<Option<&[u8]>> {
    let mut list = Der(Der(extensions).take(tag::SEQUENCE)?);
    let mut found = None;
    while !list.0.is_empty() {
        let mut extension = Der(list.take(tag::SEQUENCE)?);
        let kind = extension.take(tag::OID)?;
        extension.take_if(tag::BOOLEAN)?;
        let value = extension.take(tag::OCTETS)?;
        if kind == ALTERNATIVE_NAMES && found.replace(Der(value).take(tag::SEQUENCE)?).is_some() {
            return None;
        }
    }
    Some(found)
}

/// The form of RFC 4514: the last part first.
fn subject_text(subject: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut list = Der(subject);
    while !list.0.is_empty() {
        let mut set = Der(list.take(tag::SET)?);
        let mut part = String::new();
        while !set.0.is_empty() {
            let plus = if part.is_empty() { "" } else { "+" };
            part.push_str(plus);
            part_text(set.take(tag::SEQUENCE)?, &mut part)?;
        }
        parts.push(part);
    }
    parts.reverse();
    Some(parts.join(","))
}

fn part_text(part: &[u8], text: &mut String) -> Option<()> {
    let mut part = Der(part);
    let kind = part.take(tag::OID)?;
    let whole = part.0;
    let (form, value) = part.next()?;
    let value = match form {
        tag::UTF8 => std::str::from_utf8(value).ok(),
        tag::PRINTABLE | tag::TELETEX | tag::IA5 => ascii(value),
        _ => None,
    };
    let keyword = KEYWORDS.iter().find(|(known, _)| *known == kind);
    if let (Some((_, keyword)), Some(value)) = (keyword, value) {
        text.push_str(keyword);
        text.push('=');
        escape(value, text);
        return Some(());
    }
    push_oid(kind, text)?;
    text.push_str("=#");
    for byte in whole {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    Some(())
}

fn escape(value: &str, text: &mut String) {
    let last = value.len().saturating_sub(1);
    for (at, letter) in value.char_indices() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            ' ' if at == 0 || at == last => text.push_str("\\ "),
            '#' if at == 0 => text.push_str("\\#"),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(text, "\\{:02x}", u32::from(letter));
            }
            _ => text.push(letter),
        }
    }
}

/// Base 128, in which the first number holds the first two.
fn push_oid(oid: &[u8], text: &mut String) -> Option<()> {
    let mut number = 0_u64;
    let mut first = true;
    for byte in oid {
        number = number.checked_mul(128)? | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        let _ = if first {
            let root = (number / 40).min(2);
            write!(text, "{root}.{}", number - 40 * root)
        } else {
            write!(text, ".{number}")
        };
        (first, number) = (false, 0);
    }
    oid.last().filter(|last| **last & 0x80 == 0).map(|_| ())
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii())
}

/// What is left to read.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, len, rest @ ..] = self.0 else { return None };
        // Longer tags are in no certificate.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (len, rest) = match *len {
            short @ ..0x80 => (usize::from(short), rest),
            long => {
                let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                // Only the shortest form is DER, and none above four digits is a certificate.
                let len = digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit));
                let shortest = !digits.is_empty() && digits.len() <= 4 && digits[0] != 0 && len >= 0x80;
                (shortest.then_some(len)?, rest)
            }
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((*tag, content))
    }

    fn take(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, content)| content)
    }

    /// Passes over an element that may be there.
    fn take_if(&mut self, expected: u8) -> Option<()> {
        if self.0.first() == Some(&expected) { self.next().map(|_| ()) } else { Some(()) }
    }

    fn sequences<const N: usize>(&mut self) -> Option<[&'a [u8]; N]> {
        let mut found = [&[][..]; N];
        for place in &mut found {
            *place = self.take(tag::SEQUENCE)?;
        }
        Some(found)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};
    use x509_cert::der::Decode;
    use x509_cert::ext::pkix::SubjectAltName;
    use x509_cert::ext::pkix::name::GeneralName;

    use super::*;

    /// What another reader finds.
    fn oracle(certificate: &[u8]) -> Option<(String, Vec<String>)> {
        let certificate = x509_cert::Certificate::from_der(certificate).ok()?.tbs_certificate;
        let names = certificate.get::<SubjectAltName>().ok()?.map(|(_, names)| names.0).unwrap_or_default();
        let names = names.into_iter().filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(format!("dns:{name}")),
            GeneralName::UniformResourceIdentifier(uri) => Some(format!("uri:{uri}")),
            GeneralName::Rfc822Name(address) => Some(format!("email:{address}")),
            _ => None,
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        Some((certificate.subject.to_string(), names))
    }

    fn ours(certificate: &[u8]) -> Option<(String, Vec<String>)> {
        let names = Names::read(certificate)?;
        let mut all: Vec<_> = names.dns.iter().map(|name| format!("dns:{name}")).collect();
        all.extend(names.uris.iter().map(|uri| format!("uri:{uri}")));
        all.extend(names.emails.iter().map(|address| format!("email:{address}")));
        all.sort();
        Some((names.subject, all))
    }

    fn certificate(parts: &[(DnType, DnValue)], names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn parts_of_a_subject_have_their_usual_names() {
        let known: [&[u64]; 13] = [
            &[2, 5, 4, 3],
            &[2, 5, 4, 4],
            &[2, 5, 4, 5],
            &[2, 5, 4, 6],
            &[2, 5, 4, 7],
            &[2, 5, 4, 8],
            &[2, 5, 4, 9],
            &[2, 5, 4, 10],
            &[2, 5, 4, 11],
            &[2, 5, 4, 12],
            &[2, 5, 4, 42],
            &[0, 9, 2342, 19_200_300, 100, 1, 1],
            &[0, 9, 2342, 19_200_300, 100, 1, 25],
        ];
        for oid in known.into_iter().chain([&[1, 2, 840, 113_549, 1, 9, 1][..]]) {
            let der = certificate(&[(DnType::CustomDnType(oid.to_vec()), utf8("ada"))], Vec::new());
            assert_eq!(ours(&der), oracle(&der), "{oid:?}");
        }
    }

    #[test]
    fn other_parts_are_numbers() {
        for oid in [&[1, 3, 6, 1, 4, 1, 99_999, 1][..], &[2, 999, 3], &[0, 39]] {
            let der = certificate(&[(DnType::CustomDnType(oid.to_vec()), utf8("ada"))], Vec::new());
            let dotted = oid.iter().map(u64::to_string).collect::<Vec<_>>().join(".");
            assert_eq!(ours(&der).unwrap().0, format!("{dotted}=#0c03616461"));
        }
    }

    #[test]
    fn two_lists_of_names_are_none() {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        let list = vec![0x30, 8, 0x82, 6, b'b', b'.', b't', b'e', b's', b't'];
        params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 17], list)];
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        assert_eq!((ours(&der), oracle(&der)), (None, None));
    }

    #[test]
    fn a_certificate_that_ends_early_has_no_names() {
        let der = certificate(
            &[(DnType::CommonName, utf8("ada"))],
            vec![SanType::DnsName("a.test".try_into().unwrap())],
        );
        for len in 0..der.len() {
            assert!(ours(&der[..len]).is_none(), "{len}");
        }
        let longer: Vec<_> = der.iter().copied().chain([0]).collect();
        assert!(ours(&longer).is_none());
    }

    proptest! {
        #[test]
        fn names_are_those_that_another_reader_finds(
            common in "[ -~\u{e4}\u{20ac}]{0,6}|[# ,+\\\\]{1,4}|[\u{0}-\u{1f}]{1,3}",
            name in "[a-z]{1,9}",
            uri in "[ -~]{0,150}",
        ) {
            let names = vec![
                SanType::DnsName(name.as_str().try_into().unwrap()),
                SanType::URI(uri.as_str().try_into().unwrap()),
                SanType::Rfc822Name(name.as_str().try_into().unwrap()),
            ];
            let der = certificate(&[(DnType::OrganizationName, utf8("Shop")), (DnType::CommonName, utf8(&common))], names);
            prop_assert!(ours(&der).is_some());
            prop_assert_eq!(ours(&der), oracle(&der));
        }

        /// One that this reader takes and the other does not is wrong in a place that has no names.
        #[test]
        fn whatever_is_changed_both_read_the_same_or_less(at in 0_usize..400, to in any::<u8>()) {
            let names = vec![SanType::DnsName("a.test".try_into().unwrap())];
            let mut der = certificate(&[(DnType::CommonName, utf8("ada"))], names);
            if let Some(byte) = der.get_mut(at) {
                *byte = to;
            }
            if let (Some(ours), Some(oracle)) = (ours(&der), oracle(&der)) {
                prop_assert_eq!(ours.1, oracle.1);
            }
        }
    }
}
