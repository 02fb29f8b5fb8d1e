//! Writes what fuzzing begins with into `fuzz/corpus`: the shared vectors, connections recorded between a client and a
//! server of ours, and a few scripts by hand.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use futures_util::stream;
use serde_json::Value;
use spanwire::{Channel, Encoding, Kind, Method, Raw, Server};
use spanwire_fuzz::server::Echo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split};

fn main() {
    frames();
    compressed();
    status();
    timeout();
    auth();
    dns();
    metadata();
    call();
    server();
    client();
    ffi();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    for (name, connection) in
        [("plain", Encoding::Identity), ("gzip", Encoding::Gzip), ("zstd", Encoding::Zstd)]
    {
        runtime.as_ref().expect("a runtime").block_on(recorded(name, connection));
    }
}

fn write(target: &str, name: &str, script: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(format!("seed-{name}")), script).expect("a file");
}

/// Good addresses; a text; an alias; an answer that is cut off, and the whole one; and one in pieces that mean nothing.
fn dns() {
    write(
        "dns",
        "addresses",
        &[&[0, 2][..], &[192, 0, 2, 1, 0, 0, 1, 0, 192, 0, 2, 2, 0, 0, 0, 60]].concat(),
    );
    let text = [&[0, 16, 0, 1, 0, 0, 0, 60, 0, 15, 14][..], b"grpc_config=[]"].concat();
    write("dns", "text", &[&[1, 2, 3, 1, 0x80, 1][..], &with_length(&text)].concat());
    let alias = [0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, b'b', 0xc0, 14];
    write("dns", "alias", &[&[1, 0, 3, 1, 0x80, 1][..], &with_length(&alias)].concat());
    let cut_off = [1, 0, 2, 3, 0x80, 0, 0];
    let whole = [&[3, 1, 0x80, 1][..], &with_length(&[0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1])].concat();
    write("dns", "cut-off", &[&cut_off[..], &whole].concat());
    write("dns", "nothing", &[1, 1, 0, 3, 1, 2, 3, 1, 2, 1, 0x83, 0, 0]);
}

/// A length and as many bytes.
fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len().min(255);
    [&[length as u8], &bytes[..length]].concat()
}

/// The cases of a list in `tests/vectors`, numbered.
fn vectors(file: &str, list: &str) -> Vec<(String, Value)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(file);
    let lists: Value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    let cases = lists[list].as_array().expect("a list").iter().enumerate();
    cases.map(|(at, case)| (format!("{list}-{at:02}"), case.clone())).collect()
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().expect("a text").as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("digits");
    digits.map(byte).collect()
}

fn encoding(case: &Value) -> u8 {
    Encoding::from_name(case["encoding"].as_str().expect("a text")).expect("an encoding") as u8
}

fn frames() {
    for (name, case) in vectors("frames.json", "streams") {
        let chunks: Vec<_> = case["chunks"].as_array().expect("a list").iter().map(hex).collect();
        let cuts: Vec<u8> = chunks.iter().map(|chunk| chunk.len() as u8).filter(|&cut| cut > 0).collect();
        write(
            "frames",
            &name,
            &[&[encoding(&case), 2, 0][..], &with_length(&cuts), &chunks.concat()].concat(),
        );
    }
}

fn auth() {
    let keys = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
    let policy = serde_json::json!({
        "name": "p",
        "deny_rules": [{"name": "d", "request": {"paths": ["*/x"]}}],
        "allow_rules": [{
            "name": "a",
            "source": {"principals": ["spiffe://a/*", ""]},
            "request": {"headers": [{"key": "k", "values": ["*"]}]}
        }],
        "audit_logging_options": {"audit_condition": "ON_DENY", "audit_loggers": [{"name": "stdout_logger"}]}
    });
    let header = br#"{"alg":"EdDSA","kid":"1"}"#;
    let claims = br#"{"iss":"me","exp":2000000000,"nbf":1,"iat":1,"sub":"a"}"#;
    write("auth", "text", b"\0e30.e30.c2ln");
    write("auth", "signed", &[&[1][..], &with_length(header), claims].concat());
    write("auth", "claims", &[&[2][..], claims].concat());
    write("auth", "keys", &[&[3][..], keys.as_bytes()].concat());
    write("auth", "policy", &[&[4][..], policy.to_string().as_bytes()].concat());
}

fn compressed() {
    for (name, case) in vectors("encodings.json", "decompress") {
        write("compressed", &name, &[&[encoding(&case), 2, 0][..], &hex(&case["wire"])].concat());
    }
    for encoding in 0..4 {
        write("compressed", &format!("bomb-{encoding}"), &[&[encoding, 5, 2, 11][..], &[0; 100]].concat());
        write(
            "compressed",
            &format!("fault-{encoding}"),
            &[&[encoding, 3, 3, 2, 0, 9, 1][..], b"some text"].concat(),
        );
    }
}

fn status() {
    for (name, case) in vectors("status.json", "codes") {
        let raw = case["wire"].as_str().expect("a text").as_bytes();
        write("status", &name, &[&[3][..], &with_length(raw), &with_length(b"a%20text")].concat());
    }
    for (name, case) in vectors("status.json", "message_decode") {
        let raw = case["wire"].as_str().expect("a text").as_bytes();
        let all = [
            &[7][..],
            &with_length(b"5"),
            &with_length(raw),
            &with_length(b"CAUSBHRleHQ"),
            &[1, 4, b'q', b'6', b'u', b'r'],
        ];
        write("status", &name, &all.concat());
    }
}

fn timeout() {
    for (name, case) in vectors("timeout.json", "decode") {
        write("timeout", &name, case["wire"].as_str().expect("a text").as_bytes());
    }
}

fn metadata() {
    for (name, case) in vectors("metadata.json", "binary_decode") {
        let raw = case["wire"].as_str().expect("a text").as_bytes();
        write("metadata", &name, &[&[0, 2][..], &with_length(raw)].concat());
    }
    for (name, case) in vectors("metadata.json", "keys") {
        let key = case["key"].as_str().expect("a text").as_bytes();
        let value = with_length(b"value");
        let set = [&[1, 0, 192][..], &with_length(key), &value].concat();
        write("metadata", &name, &[set, [&[192][..], &with_length(key), &value].concat()].concat());
    }
}

fn call() {
    let ok = [0, 0, 0, 1, 0, 5, b'h', b'e', b'l', b'l', b'o', 3, 5, 0];
    write("call", "client-one", &[&[0, 0][..], &ok].concat());
    write("call", "client-many", &[&[2, 0][..], &ok[..11], &ok[3..11], &ok[11..]].concat());
    write("call", "client-trailers-only", &[0, 0, 0x80, 0, 4, 1]);
    write("call", "client-gzip", &[0, 0, 0, 0, 2, 0, 1, 0x90, 3, b'a', b'b', b'c', 3, 5, 0]);
    write("call", "server-one", &[1, 0, 0, 0, 2, b'h', b'i', 4]);
    write("call", "server-many", &[3, 0, 0, 0, 2, b'h', b'i', 0, 0, 2, b'h', b'o', 4]);
}

/// A header block with END_STREAM or without, made of how, method and the number of changes.
fn request(method: u8) -> Vec<u8> {
    vec![0xc0, 0, method, 0]
}

fn message(how: u8, payload: &[u8]) -> Vec<u8> {
    [&[0xc3, how][..], &with_length(payload)].concat()
}

fn server() {
    let script = |name: &str, lines: &[Vec<u8>]| {
        write("server", &format!("script-{name}"), &[&[0, 0, 0][..], &lines.concat()].concat());
    };
    let (more, last) = (message(0, b"\x01more"), message(1, b"\x01\x02last"));
    for (method, name) in ["unary", "down", "up", "bidi", "slow", "none"].into_iter().enumerate() {
        script(name, &[request(method as u8), last.clone(), vec![12, 4]]);
        script(&format!("{name}-two"), &[request(method as u8), more.clone(), last.clone(), vec![12, 4]]);
        script(
            &format!("{name}-reset"),
            &[request(method as u8), more.clone(), vec![0xc6, 1, 0x80, 0, 0, 0, 12, 3]],
        );
    }
    script("timeout", &[vec![0xc0, 0, 4, 1, 0, 8, 0], last.clone(), vec![12, 3]]);
    script("gzip", &[vec![0xc0, 0, 0, 1, 0, 9, 0], last.clone()]);
    script("zero-window", &[vec![0xc7, 1, 4, 0], request(1), last.clone(), vec![12, 5, 0xc9, 1, 2, 12, 5]]);
    script("deaf", &[vec![13], request(1), last.clone(), vec![12, 5, 12, 5]]);
    script("ping-flood", &[vec![0xc8, 7, 0xce, 200, 0xce, 255]]);
    script("rapid-reset", &[request(4), vec![6, 0x80, 0x80, 0, 0, 0, 0xce, 100]]);
    script("continuation", &[vec![0xc0, 8, 0, 0, 3], last.clone()]);
    script("goaway", &[request(0), vec![0xca, 5, 0, 0, 0, 0, 2, b'b', b'y'], last]);
}

fn client() {
    let script = |name: &str, which: u8, lines: &[Vec<u8>]| {
        write("client", &format!("script-{name}"), &[&[0, which, 0, 32][..], &lines.concat()].concat());
    };
    let head = |stream: u8| vec![0xc0, 0, stream, 0, 0];
    let said = |stream: u8, text: &[u8]| [&[0xc3, 0x80, stream][..], &with_length(text)].concat();
    let ok = |stream: u8| vec![0xc0, 0x21, stream, 0, 0];
    // Only the unary call, only the bidirectional one, and all of them.
    script("unary", 14, &[head(0), said(0, b"hello"), ok(0)]);
    script("unary-nothing", 14, &[head(0), ok(0)]);
    script("unary-two", 14, &[head(0), said(0, b"a"), said(0, b"b"), ok(0)]);
    script("unary-trailers-only", 14, &[vec![0xc0, 0x41, 0, 5, 0]]);
    script("unary-silent", 14, &[vec![12, 6]]);
    script("refused", 14, &[vec![0xc6, 0, 0x70, 0, 0, 0], head(1), said(1, b"hello"), ok(1)]);
    script("goaway", 14, &[vec![0xca, 0, 0, 0, 0, 0, 0], vec![0xff, 0], head(0), said(0, b"hello"), ok(0)]);
    script("no-streams", 14, &[vec![0xc7, 1, 3, 0, 12, 6]]);
    script("bidi", 13, &[head(0), said(0, b"a"), said(0, b"b"), ok(0)]);
    let all = (0..4).flat_map(|stream| [head(stream), said(stream, b"hello"), ok(stream)]);
    script("all", 0, &all.collect::<Vec<_>>());
    script("windows", 0, &[vec![0xc7, 1, 4, 2, 0xc9, 192, 2], head(2), said(2, b"x"), ok(2)]);
}

/// The operations of `spanwire_fuzz::ffi`, on the newest handles of each kind.
fn ffi() {
    let script = |name: &str, how: [u8; 2], lines: &[&[u8]]| {
        write("ffi", &format!("script-{name}"), &[&how[..], &lines.concat()].concat());
    };
    let (options, credit) = ([0; 5], [0xc0, 0, 0, 0, 0]);
    let message = [&[0x80][..], &with_length(b"hello"), &[0]].concat();
    let lent = [&[0][..], &with_length(b"lent"), &[0]].concat();
    let unary = [&[8, 0, 0, 0, 1][..], &options, &message].concat();
    let unary_without_handle = [&[8, 0, 0, 0, 0][..], &options, &lent].concat();
    let start = |kind: u8| [&[9, 0, 0, kind, kind << 2][..], &credit, &[0, 0], &message].concat();
    let send = [&[10, 0, 0][..], &lent].concat();
    let send_much = [10, 0, 0, 0x85, 0];
    let (half_close, grant, cancel, free_call) = ([11, 0], [12, 0, 9], [13, 0, 0], [14, 0]);
    // Waits for what has to come, and answers it.
    let pump = [16, 0, 0x87, 0, 0];
    let echo = [&pump[..], &pump, &pump].concat();
    script("unary", [0x30, 0], &[&unary, &unary_without_handle, &echo]);
    script("unary-tcp", [0x34, 0], &[&unary, &echo, &unary, &echo]);
    for (kind, name) in [(1, "down"), (2, "up"), (3, "bidi")] {
        script(name, [0x30, 0], &[&start(kind), &send, &half_close, &echo, &grant, &echo]);
        script(
            &format!("{name}-cancel"),
            [0x30, 8],
            &[&start(kind), &send, &echo, &cancel, &free_call, &send, &pump],
        );
    }
    script("flow", [0x30, 0], &[&start(3), &send_much, &send_much, &send, &echo, &send, &echo]);
    script(
        "by-hand",
        [0x30, 0],
        &[
            &unary,
            &[15, 0, 0, 3, 2, 0],
            &[24, 0, 0, 0],
            &[23, 0, 7],
            &[17, 0, 0, 0],
            &[20, 0],
            &message,
            &[0, 0],
            &[20, 0],
            &message,
            &[0, 0],
            &[25, 0],
            &[25, 0],
            &echo,
        ],
    );
    script(
        "finish",
        [0x30, 0],
        &[&start(3), &[15, 0, 0, 3, 2, 0], &[18, 0, 0], &message, &[21, 0, 5, 1, 0, 0, 0], &echo],
    );
    for (name, end) in [("calls", 0), ("engines", 8), ("queues", 16), ("servers", 24)] {
        script(&format!("ends-{name}"), [0x30, end | 0x80], &[&unary, &start(3), &start(2), &send]);
    }
    script(
        "engine-freed",
        [0x30, 0],
        &[&unary, &start(3), &[27, 0, 0], &unary, &send, &start(1), &[27, 0, 0]],
    );
    script(
        "queue-freed",
        [0x30, 0],
        &[&unary, &start(3), &[26, 0, 0], &send, &send, &unary, &[15, 0, 0, 0, 0, 0]],
    );
    script(
        "shutdown",
        [0x30, 0],
        &[&unary, &[30, 0, 0, 1], &echo, &[31, 0, 1], &unary, &[29, 0, 0], &[29, 0, 0]],
    );
    script("blocking", [0x30, 0], &[&[38, 0, 4], &options[..4], &message]);
    script(
        "batch",
        [0x30, 0],
        &[&[35, 0], &unary, &unary, &start(3), &send, &[35, 1], &echo, &[44, 0, 0, 0]],
    );
    script(
        "misuse",
        [0x30, 0x80],
        &[
            &[8, 0xf0, 0, 0, 1],
            &options,
            &message,
            &[9, 0, 0xe8, 1, 3, 12],
            &options,
            &[0, 10, 0xe9, 2, 0],
            &lent,
            &[12, 0xea, 3, 0, 9],
            &[26, 0, 0xeb, 4],
            &[13, 0xf5, 0],
            &[14, 0xf6],
            &[27, 0, 0xf8],
            &[29, 0, 0xf7],
            &[25, 0xfa],
            &[2, 0xff, 0],
            &[32, 0xec, 5, 0],
            &[33, 0xed, 6, 1, 1],
            &[34, 0xee, 7, 2],
        ],
    );
    let again = [&unary[..], &[13, 0, 0, 34, 0, 0]].concat();
    let pushing = [&[2, 0][..], &with_length(&[&[0, 0][..], &again].concat())].concat();
    let server = [4, 0, 0, 0, 0, 0, 1];
    let method = |kind: u8| [5, 0, 0, kind, kind, 4];
    let (listen, channel) = ([7, 0, 0, 0], [3, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let pushed = [&pushing[..], &server, &method(0), &method(3), &listen, &channel].concat();
    script(
        "push",
        [0x30, 0],
        &[&pushed, &unary, &start(3), &send, &half_close, &[43, 1, 43], &unary, &[26, 0, 0]],
    );
    let hook = |script: &[u8]| [&[36, 0, 0][..], &with_length(script), &[0]].concat();
    script(
        "hooks",
        [0x30, 0],
        &[&hook(&[3, 0, 1, b'x', 0, 1]), &unary, &echo, &hook(&[0x30; 24]), &unary, &echo],
    );
    script(
        "hooks-reenter",
        [0x30, 0],
        &[&hook(&again), &unary, &echo, &hook(&[&[0x1c][..], &again].concat()), &unary, &echo],
    );
    let beside =
        [&[43][..], &with_length(&[&unary[..], &start(3), &send, &pump, &free_call].concat())].concat();
    script("threads", [0x32, 0], &[&beside, &beside, &unary, &start(3), &echo, &beside, &send, &echo]);
    script(
        "bytes",
        [0x30, 0],
        &[&unary, &[16, 0, 0x87, 0xff, 0xf0], &[39, 1, 39, 2, 39, 12, 40, 0x85], &[10, 0, 0, 6, 0], &echo],
    );
}

/// One connection with a call of each kind.
async fn recorded(name: &str, encoding: Encoding) {
    let (ours, between) = tokio::io::duplex(64 * 1024);
    let (beyond, theirs) = tokio::io::duplex(64 * 1024);
    let (from_client, to_client) = split(between);
    let (from_server, to_server) = split(beyond);
    let (requests, answers) = (Arc::default(), Arc::default());
    let up = tokio::spawn(carry(from_client, to_server, Arc::clone(&requests)));
    let down = tokio::spawn(carry(from_server, to_client, Arc::clone(&answers)));
    let server = Server::builder().service(Echo::default()).bind_incoming(stream::iter([Ok(theirs)]));
    let server = tokio::spawn(server.expect("a server").run());
    let ours = Mutex::new(Some(ours));
    let channel = Channel::builder("fuzz.test:1").compress(encoding).connector(move || {
        let stream = ours.lock().ok().and_then(|mut stream| stream.take());
        async move { stream.ok_or_else(|| std::io::ErrorKind::NotConnected.into()) }
    });
    talk(channel.build().expect("a channel")).await;
    server.await.expect("the server ends");
    up.await.expect("it ends");
    down.await.expect("it ends");

    let (requests, answers) =
        (requests.lock().expect("a lock").clone(), answers.lock().expect("a lock").clone());
    for (at, cut) in [5, 40, 250].into_iter().enumerate() {
        write("server", &format!("recorded-{name}-{at}"), &[&[0, 0, 1, 1, cut][..], &requests].concat());
        write("client", &format!("recorded-{name}-{at}"), &[&[0, 0, 0, 1, 1, cut][..], &answers].concat());
        write("scan", &format!("requests-{name}-{at}"), &[&[1, 1, cut][..], &requests].concat());
        write("scan", &format!("answers-{name}-{at}"), &[&[0, 1, cut][..], &answers].concat());
    }
}

async fn carry(mut from: ReadHalf<DuplexStream>, mut to: WriteHalf<DuplexStream>, all: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        all.lock().expect("a lock").extend_from_slice(&buffer[..read]);
        let _ = to.write_all(&buffer[..read]).await;
    }
    let _ = to.shutdown().await;
}

async fn talk(channel: Channel) {
    let method = |path, kind| Method::new(path, kind);
    let unary = channel.unary::<Raw, Raw>(&method("/fuzz.Echo/Unary", Kind::Unary), Raw::from("hello"));
    unary.metadata("tenant", "north").metadata_bin("trace-bin", [1, 2, 3]).await.expect("an answer");
    let mut bidi = channel.bidi::<Raw, Raw>(&method("/fuzz.Echo/Bidi", Kind::Bidi)).await.expect("a call");
    for text in ["one", "", "three"] {
        bidi.send(Raw::from(text)).await.expect("it is sent");
        bidi.next().await.expect("an answer");
    }
    bidi.half_close();
    bidi.next().await.expect("an end");
    let mut up = channel
        .client_streaming::<Raw, Raw>(&method("/fuzz.Echo/Up", Kind::ClientStreaming))
        .await
        .expect("a call");
    up.send(Raw::from(vec![1; 300])).await.expect("it is sent");
    up.finish().await.expect("an answer");
    let call = channel.server_streaming::<Raw, Raw>(
        &method("/fuzz.Echo/Down", Kind::ServerStreaming),
        Raw::from(vec![1, 2]),
    );
    let mut down = call.await.expect("a call");
    while down.next().await.expect("an answer").is_some() {}
    let slow = channel.unary::<Raw, Raw>(&method("/fuzz.Echo/Slow", Kind::Unary), Raw::from(vec![1]));
    drop(slow.timeout(std::time::Duration::from_millis(100)).await.expect_err("it is slow"));
    let none = channel.unary::<Raw, Raw>(&method("/fuzz.Echo/None", Kind::Unary), Raw::default());
    drop(none.await.expect_err("there is no such method"));
}
