use proptest::prelude::*;

use super::*;
use crate::Status;
use crate::call::trailers;

fn form(content_type: &'static str) -> Option<(bool, String, String)> {
    let Form { text, grpc, answer } = Form::of(&HeaderValue::from_static(content_type))?;
    let name = |value: HeaderValue| value.to_str().unwrap().to_owned();
    Some((text, name(grpc), name(answer)))
}

#[test]
fn content_types_name_the_form_of_the_answer_and_what_grpc_calls_it() {
    let some = |text, grpc: &str, answer: &str| Some((text, grpc.to_owned(), answer.to_owned()));
    assert_eq!(form("application/grpc-web"), some(false, "application/grpc", "application/grpc-web+proto"));
    assert_eq!(
        form("application/grpc-web+json"),
        some(false, "application/grpc+json", "application/grpc-web+json")
    );
    assert_eq!(
        form("Application/gRPC-Web-Text; charset=utf-8"),
        some(true, "application/grpc; charset=utf-8", "application/grpc-web-text+proto")
    );
    assert_eq!(
        form("application/grpc-web-text+proto"),
        some(true, "application/grpc+proto", "application/grpc-web-text+proto")
    );
    for other in ["application/grpc", "application/grpc+web", "application/grpc-webby", "text/plain", ""] {
        assert_eq!(form(other), None, "{other}");
    }
}

// Wire checklist line 49.
#[test]
fn trailers_are_a_frame_without_a_blank_line_behind_them() {
    let frame = trailers_frame(&trailers(&Status::not_found("no such\norder")));
    let text = "grpc-status: 5\r\ngrpc-message: no such%0Aorder\r\n";
    assert_eq!(frame[..5], [0x80, 0, 0, 0, u8::try_from(text.len()).unwrap()]);
    assert_eq!(frame[5..], *text.as_bytes());
}

// Wire checklist line 50.
#[test]
fn padding_may_stand_in_the_middle_of_a_body_and_of_a_read() {
    let body = b"AAAAAAI=CAE=CA==AQID";
    for cut in 0..=body.len() {
        let mut decoder = TextDecoder::default();
        let (one, two) = body.split_at(cut);
        let bytes = [decoder.decode(one).unwrap(), decoder.decode(two).unwrap()].concat();
        assert_eq!(bytes, [0, 0, 0, 0, 2, 8, 1, 8, 1, 2, 3], "cut at {cut}");
        assert_eq!(decoder.finish(), Ok(()));
    }
}

#[test]
fn what_is_no_base64_is_refused_and_so_is_half_a_group() {
    for bad in ["AA=A", "=AAA", "A===", "====", "AA-_", "AAA\n", "A A=", "AB=="] {
        assert_eq!(TextDecoder::default().decode(bad.as_bytes()), Err(BadText::NoBase64), "{bad}");
    }
    let mut decoder = TextDecoder::default();
    assert_eq!(decoder.decode(b"AAAAAA").unwrap().len(), 3);
    assert_eq!(decoder.finish(), Err(BadText::Cut));
}

proptest! {
    #[test]
    fn pieces_that_were_encoded_by_themselves_come_back_however_they_are_cut(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        cuts in prop::collection::vec(1..9_usize, 1..20),
    ) {
        let text: Vec<u8> = pieces.iter().flat_map(|piece| encode_text(piece)).collect();
        let mut decoder = TextDecoder::default();
        let (mut rest, mut bytes, mut cuts) = (&text[..], Vec::new(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            bytes.extend_from_slice(&decoder.decode(now).unwrap());
            rest = later;
        }
        prop_assert_eq!(bytes, pieces.concat());
        prop_assert_eq!(decoder.finish(), Ok(()));
    }
}
