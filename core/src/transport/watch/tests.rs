//! The watcher as a whole: what it sees, what it lets pass and how it ends a connection.

use std::future::poll_fn;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::transport::limits::FloodLimits;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PING: u8 = 0x6;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn server(capacity: usize) -> (Watched<DuplexStream>, Arc<WireFacts>, DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    let (watched, facts) = Watched::new(near, Role::Server, Some(Policing::server()), Arc::default());
    (watched, facts, far)
}

fn client() -> Policing {
    Policing { ping: None, floods: FloodLimits::client_default() }
}

/// Reads until the connection ends, and returns the error's text and its limit.
async fn read_to_failure(watched: &mut Watched<DuplexStream>) -> (String, Limit) {
    let error = watched.read_to_end(&mut Vec::new()).await.unwrap_err();
    let limit = error.get_ref().and_then(|inner| inner.downcast_ref::<LimitExceeded>()).unwrap().0;
    (error.to_string(), limit)
}

async fn exchange(size: usize, clients: usize) -> (Arc<WireFacts>, Arc<WireFacts>) {
    let (near, far) = tokio::io::duplex(1000);
    let (near, client_facts) = Watched::new(near, Role::Client, Some(client()), Arc::default());
    let (far, server_facts) = Watched::new(far, Role::Server, Some(Policing::server()), Arc::default());
    let serve = async {
        let mut connection = h2::server::handshake(far).await.unwrap();
        while let Some(request) = connection.accept().await {
            let (request, mut respond) = request.unwrap();
            tokio::spawn(async move {
                let mut body = request.into_body();
                while let Some(data) = body.data().await {
                    let length = data.unwrap().len();
                    body.flow_control().release_capacity(length).unwrap();
                }
                let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
                stream.send_data(Bytes::from_static(b"done"), true).unwrap();
            });
        }
    };
    let call = async {
        let (send, connection) = h2::client::handshake(near).await.unwrap();
        let driver = tokio::spawn(connection);
        for _ in 0..clients {
            let mut send = send.clone().ready().await.unwrap();
            let request = http::Request::post("http://a.test/").body(()).unwrap();
            let (response, mut stream) = send.send_request(request, false).unwrap();
            stream.send_data(Bytes::from(vec![7; size]), true).unwrap();
            let mut body = response.await.unwrap().into_body();
            let mut received = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.unwrap();
                body.flow_control().release_capacity(data.len()).unwrap();
                received.extend_from_slice(&data);
            }
            assert_eq!(received, b"done");
        }
        drop(send);
        driver.await.unwrap().unwrap();
    };
    tokio::join!(serve, call);
    (client_facts, server_facts)
}

#[tokio::test]
async fn both_ends_count_the_same_frames() {
    let (client, server) = exchange(300_000, 3).await;
    assert_eq!(client.written_headers(), 3);
    assert_eq!(client.max_written_stream(), 5);
    assert_eq!(server.max_read_stream(), 5);
    assert_eq!(server.read_data_bytes(), 900_000);
    assert_eq!(client.read_data_bytes(), 12);
    assert_eq!(server.written_headers(), 3);
    assert!(server.written_data() >= 3);
    assert_eq!(client.settings_read(), 1);
    assert_eq!(server.settings_read(), 1);
    // The last frames of a closing client may stay unread; what the server sent was all read.
    assert!(server.read_frames() <= client.written_frames());
    assert_eq!(server.limit_exceeded(), None);
    assert_eq!(client.limit_exceeded(), None);
}

#[tokio::test]
async fn bytes_pass_untouched_through_partial_vectored_writes() {
    let (near, mut far) = tokio::io::duplex(7);
    let (mut watched, facts) = Watched::new(near, Role::Server, None, Arc::default());
    let mut sent = Vec::new();
    for stream in 1..200_u32 {
        let payload = vec![stream as u8; (stream * 31 % 97) as usize];
        sent.extend(frame(if stream % 2 == 1 { kind::HEADERS } else { kind::DATA }, 0, stream, &payload));
    }
    let expected = sent.clone();
    let write = async move {
        let mut at = 0;
        while at < sent.len() {
            let (a, b) = ((at + 3).min(sent.len()), (at + 11).min(sent.len()));
            let bufs = [IoSlice::new(&sent[at..a]), IoSlice::new(&[]), IoSlice::new(&sent[a..b])];
            at += watched.write_vectored(&bufs).await.unwrap();
        }
        watched.shutdown().await.unwrap();
    };
    let mut received = Vec::new();
    let (_, read) = tokio::join!(write, far.read_to_end(&mut received));
    read.unwrap();
    assert_eq!(received, expected);
    assert_eq!(facts.written_frames(), 199);
    assert_eq!(facts.written_headers(), 100);
    assert_eq!(facts.written_data(), 99);
    assert_eq!(facts.max_written_stream(), 199);
}

#[tokio::test]
async fn settings_count_once_they_are_whole() {
    let (mut watched, facts, mut far) = server(1000);
    let limit_of = |value: u32| frame(kind::SETTINGS, 0, 0, &[&[0, 6][..], &value.to_be_bytes()].concat());
    let mut sent = PREFACE.to_vec();
    sent.extend(limit_of(1000));
    let (last, rest) = sent.split_last().unwrap();
    far.write_all(rest).await.unwrap();
    watched.read_exact(&mut vec![0; rest.len()]).await.unwrap();
    assert_eq!((facts.settings_read(), facts.header_list_limit()), (0, u32::MAX));
    far.write_all(&[*last]).await.unwrap();
    watched.read_exact(&mut [0]).await.unwrap();
    assert_eq!((facts.settings_read(), facts.header_list_limit()), (1, 1000));

    // An acknowledgement says nothing, whatever it has with it.
    let mut more = frame(kind::SETTINGS, 1, 0, &[0, 6, 0, 0, 0, 1]);
    far.write_all(&more).await.unwrap();
    watched.read_exact(&mut more).await.unwrap();
    assert_eq!((facts.settings_read(), facts.header_list_limit()), (1, 1000));
}

#[tokio::test]
async fn a_goaway_is_known_with_its_debug_data() {
    let (near, mut far) = tokio::io::duplex(4096);
    let (mut watched, facts) = Watched::new(near, Role::Client, Some(client()), Arc::default());
    assert_eq!(facts.go_away(), None);
    let mut payload = [0x80, 0, 0, 9, 0, 0, 0, 0xb].to_vec();
    payload.extend_from_slice(b"too_many_pings");
    far.write_all(&frame(kind::GOAWAY, 0, 0, &payload)).await.unwrap();
    let mut long = [0, 0, 0, 11, 0, 0, 0, 0].to_vec();
    long.extend_from_slice(&[b'x'; 2000]);
    far.write_all(&frame(kind::GOAWAY, 0, 0, &long)).await.unwrap();
    drop(far);
    watched.read_to_end(&mut Vec::new()).await.unwrap();
    // The second one told no error and a higher stream: neither counts.
    let go_away = facts.go_away().unwrap();
    assert_eq!((go_away.last_stream_id, go_away.code), (9, 0xb));
    assert!(go_away.is_too_many_pings() && facts.has_go_away());
}

#[test]
fn debug_data_is_kept_up_to_a_limit() {
    let (watched, facts) = Watched::new((), Role::Client, None, Arc::default());
    let Watched { mut reader, mut inspector, .. } = watched;
    let mut payload = vec![0; 8];
    payload.extend_from_slice(&[b'x'; 2000]);
    for byte in frame(kind::GOAWAY, 0, 0, &payload) {
        reader.scan(&[byte], &mut Read(&mut inspector));
    }
    assert_eq!(facts.go_away().unwrap().debug, vec![b'x'; 1024]);
    // Too short to be one: left to the HTTP/2 layer.
    reader.scan(&frame(kind::GOAWAY, 0, 0, &[1; 7]), &mut Read(&mut inspector));
    reader.scan(&frame(kind::GOAWAY, 0, 0, &[]), &mut Read(&mut inspector));
    assert_eq!(facts.go_away().unwrap().debug.len(), 1024);
}

#[tokio::test]
async fn an_exceeded_limit_ends_in_a_goaway_that_names_it() {
    let (mut watched, facts, mut far) = server(64 * 1024);
    facts.set_live_calls(0);
    let mut sent = PREFACE.to_vec();
    sent.extend(frame(kind::HEADERS, 0x4, 5, b"x"));
    for _ in 0..4 {
        sent.extend(frame(PING, 0, 0, &[0; 8]));
    }
    far.write_all(&sent).await.unwrap();
    let peer = async {
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        // It sees the end of the stream, and ends too.
        drop(far);
        received
    };
    let ((text, limit), received) = tokio::join!(read_to_failure(&mut watched), peer);
    assert_eq!(limit, Limit::Pings);
    assert_eq!(text, "the peer exceeded a limit (too_many_pings); connection closed with ENHANCE_YOUR_CALM");
    let mut payload = [0, 0, 0, 5, 0, 0, 0, 0xb].to_vec();
    payload.extend_from_slice(b"too_many_pings");
    assert_eq!(received, frame(kind::GOAWAY, 0, 0, &payload));
    assert_eq!(facts.limit_exceeded(), Some(Limit::Pings));
    // It stays over, for both directions.
    assert_eq!(read_to_failure(&mut watched).await.1, Limit::Pings);
    assert!(watched.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn a_frame_half_written_is_finished_before_the_goaway() {
    let (mut watched, _facts, mut far) = server(64 * 1024);
    far.write_all(PREFACE).await.unwrap();
    far.write_all(&frame(kind::SETTINGS, 0, 0, &[0; 33 * 6])).await.unwrap();
    let first = frame(kind::DATA, 0, 1, &[1; 20]);
    let second = frame(kind::DATA, 0, 1, &[2; 20]);
    watched.write_all(&first[..4]).await.unwrap();
    // What comes behind the boundary is refused, so the write ends after 25 bytes.
    let rest = [IoSlice::new(&first[4..9]), IoSlice::new(&first[9..]), IoSlice::new(&second)];
    let peer = async {
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        drop(far);
        received
    };
    let driver = async {
        let mut none = [0; 1024];
        let mut none = ReadBuf::new(&mut none);
        poll_fn(|cx| {
            assert!(Pin::new(&mut watched).poll_read(cx, &mut none).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(none.filled().is_empty());
        assert_eq!(watched.write_vectored(&rest).await.unwrap(), 5);
        assert_eq!(watched.write_vectored(&rest[1..]).await.unwrap(), 20);
        assert!(watched.write_vectored(&rest[2..]).await.is_err());
    };
    let (received, ()) = tokio::join!(peer, driver);
    let (sent, go_away) = received.split_at(29);
    assert_eq!(sent, first);
    assert!(go_away.ends_with(b"too_many_settings_entries"));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_left_after_a_second() {
    for stuck_inside_a_frame in [false, true] {
        let (mut watched, _facts, mut far) = server(300);
        let filler = frame(kind::DATA, 0, 1, &[0; 291]);
        watched.write_all(if stuck_inside_a_frame { &filler[..299] } else { &filler }).await.unwrap();
        far.write_all(PREFACE).await.unwrap();
        far.write_all(&frame(kind::SETTINGS, 0, 0, &[0; 33 * 6])).await.unwrap();
        let begin = tokio::time::Instant::now();
        assert_eq!(read_to_failure(&mut watched).await.1, Limit::SettingsEntries);
        assert_eq!(begin.elapsed().as_secs(), 1);
    }
}

#[tokio::test]
async fn a_peer_that_never_stops_sending_is_left() {
    let (mut watched, _facts, mut far) = server(16 * 1024);
    far.write_all(PREFACE).await.unwrap();
    far.write_all(&frame(kind::SETTINGS, 0, 0, &[0; 33 * 6])).await.unwrap();
    let flood = async { while far.write_all(&[0; 4096]).await.is_ok() {} };
    tokio::select! {
        (_, limit) = read_to_failure(&mut watched) => assert_eq!(limit, Limit::SettingsEntries),
        () = flood => panic!("the reader is still there"),
    }
}

#[tokio::test]
async fn reading_stops_while_too_many_acknowledgements_wait() {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let policing = Policing { ping: None, ..Policing::server() };
    let (mut watched, facts) = Watched::new(near, Role::Server, Some(policing), Arc::default());
    far.write_all(PREFACE).await.unwrap();
    for _ in 0..1001 {
        far.write_all(&frame(PING, 0, 0, &[0; 8])).await.unwrap();
    }
    let mut bytes = vec![0; PREFACE.len() + 1001 * 17];
    watched.read_exact(&mut bytes).await.unwrap();
    assert_eq!(facts.pings_read(), 1001);

    far.write_all(&frame(PING, 0, 0, &[0; 8])).await.unwrap();
    let mut next = [0; 17];
    let mut next = ReadBuf::new(&mut next);
    let mut acknowledged = false;
    poll_fn(|cx| {
        let read = Pin::new(&mut watched).poll_read(cx, &mut next);
        assert_eq!(read.is_ready(), acknowledged);
        if read.is_pending() {
            // Wakes the reader, or this test never ends.
            assert!(Pin::new(&mut watched).poll_write(cx, &frame(PING, 1, 0, &[0; 8])).is_ready());
            acknowledged = true;
        }
        read
    })
    .await
    .unwrap();
    assert_eq!(next.filled().len(), 17);
}

#[tokio::test]
async fn our_own_resets_end_the_connection_without_another_read() {
    let (mut watched, facts, mut far) = server(64 * 1024);
    // The driver sleeps in a read while the HTTP/2 layer resets streams; the write has to wake it.
    let resets: Vec<u8> = (0..1001).flat_map(|n| frame(kind::RST_STREAM, 0, n * 2 + 1, &[0; 4])).collect();
    let driver = async {
        let mut bytes = [0; 64];
        poll_fn(|cx| {
            if watched.farewell.is_none() {
                let mut buf = ReadBuf::new(&mut bytes);
                assert!(Pin::new(&mut watched).poll_read(cx, &mut buf).is_pending());
                assert!(Pin::new(&mut watched).poll_write(cx, &resets).is_ready());
                assert!(watched.farewell.is_some());
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    };
    driver.await;
    assert_eq!(facts.resets_written(), 1001);
    let (failure, _) = tokio::join!(read_to_failure(&mut watched), async {
        far.read_to_end(&mut Vec::new()).await.unwrap();
        drop(far);
    });
    assert_eq!(failure.1, Limit::Resets);
}

#[tokio::test]
async fn a_peer_that_speaks_no_http2_is_left_to_the_layer_above() {
    let (mut watched, facts, mut far) = server(64 * 1024);
    let request = [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 5000]].concat();
    far.write_all(&request).await.unwrap();
    drop(far);
    let mut received = Vec::new();
    watched.read_to_end(&mut received).await.unwrap();
    // What one read brings is enough to tell; the rest is thrown away.
    assert!(received.starts_with(b"GET /") && request.starts_with(&received), "{}", received.len());
    assert_eq!(facts.read_frames(), 0);
}

/// What `poll_write` says to a writer that does not read meanwhile.
async fn write_once(watched: &mut Watched<DuplexStream>, bytes: &[u8]) -> Poll<usize> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *watched).poll_write(cx, bytes).map(Result::unwrap))).await
}

#[tokio::test]
async fn a_writer_that_does_not_read_gets_room_up_to_a_bound() {
    let (mut watched, facts, mut far) = server(100);
    let frame = frame(0x0, 0, 1, &[7; 5000]);
    assert_eq!(write_once(&mut watched, &frame).await, Poll::Ready(100));
    // The first time it waits, as it should: HTTP/2 will read before it comes again.
    assert_eq!(write_once(&mut watched, &frame[100..]).await, Poll::Pending);
    assert!(
        poll_fn(|cx| Poll::Ready(Pin::new(&mut watched).poll_read(cx, &mut ReadBuf::new(&mut [0]))))
            .await
            .is_pending()
    );
    assert_eq!(write_once(&mut watched, &frame[100..]).await, Poll::Pending);
    // It did not read: it waits for this write.
    assert_eq!(write_once(&mut watched, &frame[100..]).await, Poll::Ready(frame.len() - 100));
    let mut taken = frame.len() - 100;
    while let Poll::Ready(more) = write_once(&mut watched, &frame).await {
        taken += more;
    }
    assert_eq!(taken, MAX_HELD);
    // All of it arrives, in order, before what follows.
    let mut received = vec![0; 100 + MAX_HELD];
    let (flushed, read) = tokio::join!(watched.flush(), far.read_exact(&mut received));
    flushed.unwrap();
    read.unwrap();
    assert!(received.chunks(frame.len()).all(|part| part == &frame[..part.len()]));
    assert_eq!(watched.held.capacity(), 0);
    assert!(facts.written_data() >= 26);
}

/// Reads until nothing more comes at once; how many frames that were.
async fn read_a_turn(watched: &mut Watched<DuplexStream>, facts: &WireFacts) -> u64 {
    let before = facts.read_frames();
    facts.begin_turn();
    // The runtime has turns of its own.
    let reads = tokio::task::unconstrained(poll_fn(|cx| {
        let mut space = [0; 100];
        while Pin::new(&mut *watched).poll_read(cx, &mut ReadBuf::new(&mut space)).is_ready() {}
        Poll::Ready(())
    }));
    reads.await;
    facts.read_frames() - before
}

#[tokio::test]
async fn who_sends_much_is_read_in_turns() {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let (mut watched, facts) = Watched::new(near, Role::Server, None, Arc::default());
    far.write_all(PREFACE).await.unwrap();
    far.write_all(&frame(PING, 0, 0, &[0; 8]).repeat(1000)).await.unwrap();
    let turn = read_a_turn(&mut watched, &facts).await;
    assert!((512..520).contains(&turn), "{turn} frames in one turn");
    assert_eq!(turn + read_a_turn(&mut watched, &facts).await, 1000);

    // Header blocks may be small on the wire and much to read.
    far.write_all(&frame(kind::HEADERS, 0, 1, &[0; 12_800]).repeat(10)).await.unwrap();
    let turn = read_a_turn(&mut watched, &facts).await;
    assert!((5..=6).contains(&turn), "{turn} blocks in one turn");
}
