//! Serves `bench.v1.Echo` with nothing but the h2 crate until it is killed: the floor of what is built on h2.

use bench_peers::echo::Block;
use bench_peers::frames::{Deframer, framed};
use bench_peers::h2_settings::{next_data, send_all, server};
use bytes::{Bytes, BytesMut};
use clap::Parser;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::Message;
use spanwire_bench_load::{Error, MAX_BODY_BYTES, ServerFlags};
use tokio::net::{TcpListener, TcpStream};

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    server: ServerFlags,
}

fn main() -> Result<(), Error> {
    let flags = Flags::parse().server;
    flags.runtime.run(async {
        let listener = TcpListener::bind(("127.0.0.1", flags.port)).await?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(async move {
                // A client that goes away is no reason to stop.
                let _ = serve(socket).await;
            });
        }
    })
}

async fn serve(socket: TcpStream) -> Result<(), Error> {
    socket.set_nodelay(true)?;
    let mut connection = server().handshake::<_, Bytes>(socket).await?;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        tokio::spawn(async move {
            let _ = answer(request, respond).await;
        });
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), Error> {
    let (head, mut body) = request.into_parts();
    let mut response = Response::new(());
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    match head.uri.path() {
        "/bench.v1.Echo/Unary" => {
            let echoed = collect(&mut body).await?;
            let mut stream = respond.send_response(response, false)?;
            send_all(&mut stream, echoed).await?;
            stream.send_trailers(trailers)?;
        }
        "/bench.v1.Echo/Down" => {
            let request = Block::decode(collect(&mut body).await?.split_off(5))?;
            let size = request.size_bytes.min(MAX_BODY_BYTES) as usize;
            let one = framed(&Block { body: Bytes::from(vec![0; size]), ..Block::default() });
            // Small messages go out as many as fit in a DATA frame.
            let packed = (16 * 1024 / one.len()).max(1);
            let several = Bytes::from(one.repeat(packed));
            let mut stream = respond.send_response(response, false)?;
            let mut left = request.count;
            while left >= packed as u64 {
                send_all(&mut stream, several.clone()).await?;
                left -= packed as u64;
            }
            for _ in 0..left {
                send_all(&mut stream, one.clone()).await?;
            }
            stream.send_trailers(trailers)?;
        }
        "/bench.v1.Echo/Up" => {
            let mut counted = Block::default();
            let mut deframer = Deframer::default();
            while let Some(data) = next_data(&mut body).await? {
                deframer.push(data);
                while let Some(message) = deframer.next_message() {
                    counted.count += 1;
                    counted.size_bytes += Block::decode(message)?.body.len() as u64;
                }
            }
            let mut stream = respond.send_response(response, false)?;
            send_all(&mut stream, framed(&counted)).await?;
            stream.send_trailers(trailers)?;
        }
        "/bench.v1.Echo/Bidi" => {
            let mut stream = respond.send_response(response, false)?;
            while let Some(data) = next_data(&mut body).await? {
                send_all(&mut stream, data).await?;
            }
            stream.send_trailers(trailers)?;
        }
        _ => {
            response.headers_mut().insert("grpc-status", HeaderValue::from_static("12"));
            respond.send_response(response, true)?;
        }
    }
    Ok(())
}

/// The whole body; without a copy if it came in one piece.
async fn collect(body: &mut RecvStream) -> Result<Bytes, Error> {
    let Some(first) = next_data(body).await? else { return Ok(Bytes::new()) };
    let mut all: Option<BytesMut> = None;
    while let Some(more) = next_data(body).await? {
        all.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&more);
    }
    Ok(all.map_or(first, BytesMut::freeze))
}
