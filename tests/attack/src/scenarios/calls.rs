//! Requests and messages that are no gRPC, or claim to be more than they are.

use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::write::GzEncoder;
use flate2::{Compression, FlushCompress};
use spanwire_faults::frame::setting;
use spanwire_faults::{Answer, Event, Fields, Frame, RawClient, grpc, reason};

use crate::connection::Field;
use crate::scenario::{Attack, Promise, Scenario};

const UP: &str = "/attack.Target/Up";
const ECHO: &str = "/attack.Target/Echo";

/// One DATA frame.
const PIECE: usize = 16_384;

pub(super) fn table() -> Vec<Scenario> {
    let with = |server, name, script| Scenario {
        name,
        promise: Promise::StayWell,
        server,
        tls: false,
        attack: Attack::Script(script),
    };
    let script = |name, script| with(&[], name, script);
    vec![
        script("path_no_slash", |field| {
            // HTTP/2's own layer turns most of these away.
            let refused = |answer: &Answer| {
                answer.grpc_status() == Some("12") || answer.reset == Some(reason::PROTOCOL_ERROR)
            };
            Box::pin(calls(field, || Fields::grpc_request("attack.Target/Echo"), hello, refused))
        }),
        script("no_authority", |field| {
            let request = || Fields::grpc_request(ECHO).without(":authority");
            Box::pin(calls(field, request, hello, |answer| answer.http_status() == Some("400")))
        }),
        script("grpc_len_4g", |field| {
            let message = || grpc::prefixed(0, u32::MAX, &[7; 1000]);
            Box::pin(calls(field, || Fields::grpc_request(UP), message, |answer| is(answer, "8")))
        }),
        script("grpc_gzip_bomb", |field| {
            let request = || Fields::grpc_request(ECHO).with("grpc-encoding", "gzip");
            let bomb = || grpc::prefixed(1, BOMB.len() as u32, &BOMB);
            Box::pin(calls(field, request, bomb, |answer| is(answer, "8")))
        }),
        script("grpc_bad_flag", |field| {
            let message = || grpc::prefixed(7, 5, b"hello");
            Box::pin(calls(field, || Fields::grpc_request(ECHO), message, |answer| is(answer, "13")))
        }),
        script("grpc_truncated", |field| {
            let message = || grpc::prefixed(0, 100, b"hello");
            Box::pin(calls(field, || Fields::grpc_request(ECHO), message, |answer| is(answer, "13")))
        }),
        script("grpc_bad_timeout", |field| {
            let request = || Fields::grpc_request(ECHO).with("grpc-timeout", "123456789S");
            Box::pin(calls(field, request, hello, |answer| is(answer, "13")))
        }),
        script("settings_tiny_headers", |field| Box::pin(tiny_headers(field))),
        with(UNFINISHED, "unfinished_requests", |field| Box::pin(unfinished(field, 200, begun_message))),
        with(UNFINISHED, "unfinished_gzip", |field| Box::pin(unfinished(field, 40, deflated_message))),
    ]
}

fn hello() -> Bytes {
    grpc::message(b"hello")
}

fn is(answer: &Answer, status: &str) -> bool {
    answer.grpc_status() == Some(status)
}

/// 1 GB of zeros in gzip, without the checksum at the end: whoever gets there has taken them all.
static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut deflate = flate2::Compress::new(Compression::best(), false);
    let zeros = vec![0; 1 << 20];
    let mut megabyte = Vec::with_capacity(1 << 16);
    // After a full flush the same bytes mean the same again.
    deflate.compress_vec(&zeros, &mut megabyte, FlushCompress::Full).ok();
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    for _ in 0..1024 {
        bomb.write_all(&megabyte).ok();
    }
    bomb
});

/// Below the default, which is what an honest client may need, and above what any attack here may take.
const UNFINISHED: &[&str] = &["--max-unfinished-request-bytes", "16777216"];

/// A fresh call each, the request of which never ends; some have to be refused.
async fn unfinished(field: Field, calls: usize, message: fn() -> Bytes) -> Result<(), String> {
    let refused = |event: &Event| match event {
        Event::Headers(headers) => headers.fields.get("grpc-status") == Some("8"),
        _ => false,
    };
    loop {
        let mut client = RawClient::over(field.connect().await.map_err(|error| error.to_string())?);
        client.open(&[], 0).await;
        for call in 1..=calls {
            let stream = client.call_with(&Fields::grpc_request(ECHO).with("grpc-encoding", "gzip")).await;
            let mut body = message();
            while !body.is_empty() {
                let piece = body.split_to(PIECE.min(body.len()));
                client.wait_room(stream, piece.len()).await;
                client.data(stream, &piece).await;
            }
            // A few at a time: this is about memory.
            if call % 8 == 0 {
                client.sync().await;
            }
            field.tally.note_answer();
        }
        if !client.passed().any(refused) {
            return Err("no call was refused".to_owned());
        }
        if field.over() {
            return Ok(());
        }
    }
}

/// The beginning of a message of 4 MiB, for which no stream's window is too narrow.
fn begun_message() -> Bytes {
    grpc::prefixed(0, 4 << 20, &[7; 240 << 10])
}

/// A whole message of 4 MiB in 4 KB.
fn deflated_message() -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(&vec![0; 4 << 20]).ok();
    let gzip = gzip.finish().unwrap_or_default();
    grpc::prefixed(1, gzip.len() as u32, &gzip)
}

/// Calls with this head and body, all of which must end as `expected`, on a few connections.
async fn calls(
    field: Field,
    request: impl Fn() -> Fields,
    body: impl Fn() -> Bytes,
    expected: impl Fn(&Answer) -> bool,
) -> Result<(), String> {
    while !field.over() {
        let mut client = RawClient::over(field.connect().await.map_err(|error| error.to_string())?);
        client.open(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)], 1 << 20).await;
        for _ in 0..50 {
            let stream = client.call_with(&request()).await;
            let mut body = body();
            while body.len() > PIECE {
                client.wait_room(stream, PIECE).await;
                client.data(stream, &body.split_to(PIECE)).await;
            }
            client.wait_room(stream, body.len()).await;
            client.send(Frame::data(stream, body).end_stream()).await;
            let answer = client.answer(stream).await;
            field.tally.note_answer();
            if !expected(&answer) {
                return Err(format!("the server answers {answer:?}"));
            }
            if field.over() {
                break;
            }
        }
    }
    Ok(())
}

/// A client that can read no header block at all (SETTINGS_MAX_HEADER_LIST_SIZE): each of its calls is reset.
async fn tiny_headers(field: Field) -> Result<(), String> {
    while !field.over() {
        let mut client = RawClient::over(field.connect().await.map_err(|error| error.to_string())?);
        client.open(&[(setting::MAX_HEADER_LIST_SIZE, 1)], 0).await;
        for _ in 0..50 {
            let answer = client.unary(ECHO, b"hello").await;
            field.tally.note_answer();
            if answer.reset != Some(reason::INTERNAL_ERROR) {
                return Err(format!("the server answers {answer:?}"));
            }
        }
    }
    Ok(())
}
