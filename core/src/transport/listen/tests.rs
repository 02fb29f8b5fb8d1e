use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use super::super::io::{connect_tcp, connect_unix};
use super::*;

fn parse(text: &str) -> Result<Address, String> {
    text.parse().map_err(|error: AddressError| error.to_string())
}

#[test]
fn addresses_are_parsed_and_written_alike() {
    for text in
        ["0.0.0.0:50051", "[::]:0", "localhost:0", "unix:/run/a.sock", "unix:a.sock", "unix-abstract:a"]
    {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
    assert_eq!(parse("[::1]:7").unwrap(), Address::Tcp { host: "::1".to_owned(), port: 7 });
    assert_eq!(parse("unix:///run/a.sock").unwrap(), Address::Unix("/run/a.sock".into()));
    assert_eq!(parse("unix-abstract:a").unwrap(), Address::Unix("\0a".into()));
}

#[test]
fn mistakes_are_answered_with_advice() {
    let cases = [
        ("localhost", "has no port; write \"host:port\", with port 0 for any"),
        ("50051", "has no host; write \"[::]:50051\" to listen on every interface"),
        (":50051", "has no host; write \"[::]:50051\" to listen on every interface"),
        (
            "http://localhost:50051/",
            "has a scheme (http) that servers do not take; write \"localhost:50051\"",
        ),
        ("::1:50051", "has several colons; an IPv6 address is written in brackets: [::1]:50051"),
        ("localhost:grpc", "has a port that is no number: \"grpc\""),
        ("unix:", "has no path; write unix:/path"),
        ("unix://run/a.sock", "has no absolute path behind unix://; write unix:/path"),
        ("unix:a\0b", "has a NUL byte in the path"),
        ("unix-abstract:", "has no name"),
        ("", "has no host"),
    ];
    for (text, problem) in cases {
        assert_eq!(parse(text).unwrap_err(), format!("the address {text:?} {problem}"));
    }
}

async fn bind_text(text: &str, lanes: usize) -> io::Result<Vec<Bound>> {
    bind(&text.parse().unwrap(), lanes, false).await
}

fn tcp_address(bound: &Bound) -> SocketAddr {
    match bound.local_addr() {
        PeerAddr::Tcp(address) => address,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_connection_arrives_with_its_peer() {
    let bound = bind_text("localhost:0", 1).await.unwrap().remove(0);
    let address = tcp_address(&bound);
    assert_ne!(address.port(), 0);
    let listener = bound.into_listener().unwrap();
    let (client, accepted) = tokio::join!(connect_tcp(address), listener.accept());
    let (stream, peer) = accepted.unwrap();
    assert_eq!(stream.peer_addr(), peer);
    let (RawIo::Tcp(client), RawIo::Tcp(server)) = (client.unwrap(), stream) else { panic!("not TCP") };
    assert_eq!(peer, PeerAddr::Tcp(client.local_addr().unwrap()));
    assert!(server.nodelay().unwrap());
}

#[tokio::test]
async fn every_lane_listens_on_one_port() {
    let lanes = bind_text("127.0.0.1:0", 3).await.unwrap();
    let address = tcp_address(&lanes[0]);
    assert!(lanes.iter().all(|lane| tcp_address(lane) == address) && lanes.len() == 3);
    let listeners: Vec<_> = lanes.into_iter().map(|lane| lane.into_listener().unwrap()).collect();
    for _ in 0..20 {
        let client = connect_tcp(address).await.unwrap();
        let accepted = tokio::select! {
            accepted = listeners[0].accept() => accepted,
            accepted = listeners[1].accept() => accepted,
            accepted = listeners[2].accept() => accepted,
        };
        let RawIo::Tcp(client) = client else { panic!("not TCP") };
        assert_eq!(accepted.unwrap().1, PeerAddr::Tcp(client.local_addr().unwrap()));
    }
}

#[tokio::test]
async fn a_port_in_use_is_an_error_whoever_shares_it() {
    for (first, second) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let lanes = bind_text("127.0.0.1:0", first).await.unwrap();
        let text = tcp_address(&lanes[0]).to_string();
        let error = bind_text(&text, second).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("cannot listen on {text}: ")), "{error}");
    }
}

#[tokio::test]
async fn every_address_includes_ipv4() {
    let bound = match bind_text("[::]:0", 1).await {
        Ok(mut sockets) => sockets.remove(0),
        // A system without IPv6.
        Err(_) => return,
    };
    let port = tcp_address(&bound).port();
    let listener = bound.into_listener().unwrap();
    let (client, accepted) = tokio::join!(connect_tcp((Ipv4Addr::LOCALHOST, port).into()), listener.accept());
    assert!(client.is_ok() && accepted.is_ok());
}

#[tokio::test]
async fn a_name_without_address_is_an_error() {
    let error = bind_text("no-such-host.invalid:0", 1).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot listen on no-such-host.invalid:0: "), "{error}");
}

/// A folder of its own, removed with all that is in it.
#[cfg(unix)]
struct Folder(PathBuf);

#[cfg(unix)]
impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("spanwire-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("a.sock")
    }
}

#[cfg(unix)]
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(unix)]
async fn bind_path(path: &Path, lanes: usize) -> io::Result<Vec<Bound>> {
    bind(&Address::Unix(path.to_owned()), lanes, false).await
}

#[cfg(unix)]
#[tokio::test]
async fn unix_sockets_are_shared_by_lanes_and_removed_with_the_last() {
    let folder = Folder::new("lanes");
    let path = folder.socket();
    let mut lanes = bind_path(&path, 2).await.unwrap();
    assert_eq!(lanes[0].local_addr().to_string(), format!("unix:{}", path.display()));
    let listener = lanes.remove(0).into_listener().unwrap();
    let (client, accepted) = tokio::join!(connect_unix(&path), listener.accept());
    assert_eq!(accepted.unwrap().1, PeerAddr::Unix(None));
    assert_eq!(client.unwrap().peer_addr(), PeerAddr::Unix(Some(path.clone())));
    drop(listener);
    assert!(path.exists());
    drop(lanes);
    assert!(!path.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn a_live_unix_socket_is_not_taken_over() {
    let folder = Folder::new("live");
    let path = folder.socket();
    let first = bind_path(&path, 1).await.unwrap();
    let error = bind_path(&path, 1).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().ends_with("another server listens there"), "{error}");
    drop(first);
}

#[cfg(unix)]
#[tokio::test]
async fn a_stale_unix_socket_is_replaced() {
    let folder = Folder::new("stale");
    let path = folder.socket();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let bound = bind_path(&path, 1).await.unwrap();
    connect_unix(&path).await.unwrap();
    drop(bound);
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = Folder::new("file");
    let path = folder.socket();
    fs::write(&path, "precious").unwrap();
    let error = bind_path(&path, 1).await.unwrap_err();
    assert!(error.to_string().ends_with("a file that is no socket is in the way"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[cfg(unix)]
#[tokio::test]
async fn a_path_taken_over_by_another_is_left_alone() {
    let folder = Folder::new("taken");
    let path = folder.socket();
    let old = bind_path(&path, 1).await.unwrap();
    // The old inode must live on, or the new file could get its number.
    fs::rename(&path, folder.0.join("old.sock")).unwrap();
    let new = bind_path(&path, 1).await.unwrap();
    drop(old);
    connect_unix(&path).await.unwrap();
    drop(new);
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn abstract_names_have_no_file() {
    let name = format!("unix-abstract:spanwire-{}", std::process::id());
    let lanes = bind_text(&name, 1).await.unwrap();
    let Address::Unix(path) = name.parse().unwrap() else { panic!("not a Unix socket") };
    connect_unix(&path).await.unwrap();
    assert_eq!(bind_text(&name, 1).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(lanes);
    bind_text(&name, 1).await.unwrap();
}

/// Too many open files, as the system says it.
fn out_of_descriptors() -> io::Error {
    io::Error::other("too many open files")
}

#[tokio::test(start_paused = true)]
async fn accepting_slows_down_while_it_fails() {
    let mut backoff = AcceptBackoff::new();
    let pauses: Vec<_> = (0..10).map(|_| backoff.on_error(&out_of_descriptors()).as_millis()).collect();
    assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    backoff.on_success();
    assert_eq!(backoff.on_error(&out_of_descriptors()).as_millis(), 5);
}

#[tokio::test(start_paused = true)]
async fn trouble_is_told_once() {
    let mut backoff = AcceptBackoff::new();
    let begin = Instant::now();
    for _ in 0..59 {
        backoff.on_error(&out_of_descriptors());
        backoff.on_success();
        assert_eq!(backoff.warned_at, Some(begin));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    backoff.on_error(&out_of_descriptors());
    assert_eq!(backoff.warned_at, Some(begin + Duration::from_secs(60)));
}

#[test]
fn one_lost_connection_slows_nobody_down() {
    let mut backoff = AcceptBackoff::new();
    for kind in [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted]
    {
        assert_eq!(backoff.on_error(&io::Error::from(kind)), Duration::ZERO);
    }
    assert_eq!(backoff.warned_at, None);
}
