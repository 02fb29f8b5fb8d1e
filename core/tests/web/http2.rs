//! Calls over HTTP/2, beside those of gRPC on the same port.

use bytes::Bytes;
use h2::client;
use http::{Request, Version};
use spanwire::{Channel, Raw};

use super::client::*;
use super::support::ECHO;

async fn call(served: &Served, path: &str, fields: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let (mut send, connection) = client::handshake(served.pipe().await).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::post(format!("http://api.example{path}")).version(Version::HTTP_2);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (response, mut stream) = send.send_request(request.body(()).unwrap(), false).unwrap();
    stream.send_data(Bytes::from(body), true).unwrap();
    let (head, mut body) = response.await.unwrap().into_parts();
    let header =
        |(name, value): (_, &http::HeaderValue)| (format!("{name}"), value.to_str().unwrap().to_owned());
    let headers = head.headers.iter().map(header).collect();
    let mut answer = Answer { status: head.status.as_u16(), headers, body: Vec::new() };
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        answer.body.extend_from_slice(&data);
    }
    assert_eq!(body.trailers().await.unwrap(), None, "browsers see no trailers");
    answer
}

const WEB: (&str, &str) = ("content-type", "application/grpc-web");

#[tokio::test(start_paused = true)]
async fn trailers_are_in_the_body() {
    let served = serve();
    let answer = call(&served, "/test.Echo/Repeat", &[WEB, ("origin", ORIGIN)], frame(b"abc")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/grpc-web+proto"));
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(answer.messages(), (vec![b"abc".to_vec(); 3], "grpc-status: 0\r\n".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn text_mode_streams_large_messages() {
    use base64::Engine as _;
    let served = serve();
    let large = vec![b'x'; 200_000];
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let text = ("content-type", "application/grpc-web-text+proto");
    // Sent at once: small enough for the windows that a server begins with.
    let answer = call(&served, "/test.Echo/Echo", &[text], encode(&frame(&large)).into_bytes()).await;
    let trailers = encode(&[&b"\x80\0\0\0\x10"[..], b"grpc-status: 0\r\n"].concat());
    assert!(answer.body.ends_with(trailers.as_bytes()));
    let message = encode(&frame(&large));
    assert!(answer.body[..answer.body.len() - trailers.len()] == *message.as_bytes());
}

#[tokio::test(start_paused = true)]
async fn pages_of_other_origins_are_refused() {
    let served = serve();
    let answer = call(&served, "/test.Echo/Echo", &[WEB, ("origin", "null")], frame(b"")).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (403, Some("7")));
}

#[tokio::test]
async fn a_channel_calls_the_same_port() {
    let served = serve();
    let pipes = std::sync::Arc::new(served);
    let channel = Channel::builder("memory")
        .connector(move || {
            let pipes = pipes.clone();
            async move { Ok(pipes.pipe().await) }
        })
        .build()
        .unwrap();
    let answer: Raw = channel.unary(&ECHO, Raw::from("hi")).await.unwrap();
    assert_eq!(answer.0, "hi");
}
