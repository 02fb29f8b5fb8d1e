//! Which content types are gRPC (`doc/PROTOCOL-HTTP2.md`, "Content-Type").

use http::HeaderValue;

const GRPC: &[u8] = b"application/grpc";

/// Whether a `content-type` is gRPC: `application/grpc` alone, or followed by `+` (the message
/// format) or `;` (parameters). `application/grpc-web` and `application/grpcfoo` are not.
///
/// Letter case does not matter, as for every media type.
#[must_use]
pub fn is_grpc(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let Some((head, rest)) = bytes.split_at_checked(GRPC.len()) else { return false };
    head.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Wire checklist line 2.
    #[test]
    fn only_the_exact_type_or_a_plus_or_a_semicolon_is_grpc() {
        for good in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc;charset=utf-8",
            "Application/GRPC",
        ] {
            assert!(is_grpc(&HeaderValue::from_static(good)), "{good}");
        }
        for bad in [
            "application/grpcfoo",
            "application/grpc-web",
            "application/grp",
            "text/html",
            "",
            "application/grpc x",
        ] {
            assert!(!is_grpc(&HeaderValue::from_static(bad)), "{bad}");
        }
    }
}
