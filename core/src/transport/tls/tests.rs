use std::fs;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::*;

/// A private authority and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // A name of its own: two authorities of one name differ only by key, which is another error.
        params.distinguished_name.push(DnType::CommonName, format!("{:02x?}", &key.public_key_raw()[..8]));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for `name`, and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

async fn handshake(client: &ClientTls, server: &ServerTls, host: &str) -> (io::Result<Io>, io::Result<Io>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (client, server) = (client.build().unwrap(), server.build(false).unwrap());
    // Each side drops its end when it fails, so the other never waits for ever.
    tokio::join!(client.handshake(near.into(), host), server.handshake(far.into()))
}

/// Handshakes with a TLS peer that is not ours, to offer what we never offer.
async fn handshake_with_alpn(alpn: &[&[u8]]) -> io::Result<Io> {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("a.test");
    let server = ServerTls::from_pem(certificate, key).build(false).unwrap();
    let mut roots = RootCertStore::empty();
    add_authorities(&mut roots, &[PemSource::Memory(authority.pem().into())]).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("a.test").unwrap();
    let (_, served) = tokio::join!(connector.connect(name, near), server.handshake(far.into()));
    served
}

#[tokio::test]
async fn bytes_pass_and_the_client_sees_the_servers_chain() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("a.test");
    let server = ServerTls::from_pem(certificate, key);
    let client = ClientTls::new().with_ca_pem(authority.pem());
    let (client, server) = handshake(&client, &server, "a.test").await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());

    client.write_all(b"ping").await.unwrap();
    client.flush().await.unwrap();
    let mut received = [0; 4];
    server.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"ping");
    assert!(matches!((&client, &server), (Io::TlsClient(_), Io::TlsServer(_))));
    assert!(client.is_write_vectored());
    assert_eq!(client.tls_identity().unwrap().certificates().len(), 1);
    assert_eq!(server.tls_identity(), None);
}

#[tokio::test]
async fn a_client_certificate_reaches_the_server() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("a.test");
    let server = ServerTls::from_pem(certificate, key).client_ca_pem(authority.pem());
    let (certificate, key) = authority.issue("client.test");
    let leaf = PemSource::Memory(certificate.clone().into()).certificates("certificate").unwrap();
    let client = ClientTls::new().with_ca_pem(authority.pem()).with_identity_pem(certificate, key);
    let (_client, server) = handshake(&client, &server, "a.test").await;
    assert_eq!(server.unwrap().tls_identity().unwrap().leaf(), leaf[0].as_ref());
}

#[tokio::test]
async fn a_client_without_the_required_certificate_is_refused() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("a.test");
    let server = ServerTls::from_pem(certificate, key).client_ca_pem(authority.pem());
    let client = ClientTls::new().with_ca_pem(authority.pem());
    let (_, refused) = handshake(&client, &server, "a.test").await;
    assert!(refused.unwrap_err().to_string().contains("peer sent no certificates"));

    let (_, accepted) = handshake(&client, &server.require_client_auth(false), "a.test").await;
    assert_eq!(accepted.unwrap().tls_identity(), None);
}

#[tokio::test]
async fn a_client_certificate_of_another_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.issue("a.test");
    let server =
        ServerTls::from_pem(certificate, key).client_ca_pem(authority.pem()).require_client_auth(false);
    let (certificate, key) = other.issue("client.test");
    let client = ClientTls::new().with_ca_pem(authority.pem()).with_identity_pem(certificate, key);
    let (_, refused) = handshake(&client, &server, "a.test").await;
    assert!(refused.unwrap_err().to_string().contains("invalid peer certificate"));
}

#[tokio::test]
async fn a_name_that_does_not_match_is_refused_unless_overridden() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("a.test");
    let server = ServerTls::from_pem(certificate, key);
    let client = ClientTls::new().with_ca_pem(authority.pem());
    let (refused, _) = handshake(&client, &server, "b.test").await;
    let text = refused.unwrap_err().to_string();
    assert!(text.starts_with("TLS handshake failed: ") && text.contains("b.test"), "{text}");

    let (accepted, _) = handshake(&client.server_name("a.test"), &server, "b.test").await;
    accepted.unwrap();
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_advice() {
    let (certificate, key) = Authority::new().issue("a.test");
    let server = ServerTls::from_pem(certificate, key);
    let client = ClientTls::new().with_ca_pem(Authority::new().pem());
    let (refused, _) = handshake(&client, &server, "a.test").await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("UnknownIssuer") && text.contains("was its CA given?"), "{text}");

    let (accepted, _) = handshake(&client.danger_accept_any_certificate(), &server, "b.test").await;
    accepted.unwrap();
}

#[tokio::test]
async fn an_ip_address_is_a_valid_server_name() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("::1");
    let server = ServerTls::from_pem(certificate, key);
    let client = ClientTls::new().with_ca_pem(authority.pem());
    let (accepted, _) = handshake(&client, &server, "::1").await;
    accepted.unwrap();
}

#[tokio::test]
async fn a_client_that_offers_no_alpn_is_refused() {
    let text = handshake_with_alpn(&[]).await.unwrap_err().to_string();
    assert_eq!(
        text,
        "TLS handshake failed: the client negotiated no protocol by ALPN; gRPC needs HTTP/2 (\"h2\")"
    );
}

#[tokio::test]
async fn a_client_that_offers_only_http1_is_refused() {
    let text = handshake_with_alpn(&[b"http/1.1"]).await.unwrap_err().to_string();
    assert!(text.contains("no protocol in common"), "{text}");
    handshake_with_alpn(&[b"http/1.1", b"h2"]).await.unwrap();
}

#[tokio::test]
async fn a_server_that_selects_no_alpn_is_refused() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("a.test");
    let identity =
        Identity { certificate: PemSource::Memory(certificate.into()), key: PemSource::Memory(key.into()) };
    let (chain, key) = identity.load().unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let client = ClientTls::new().with_ca_pem(authority.pem()).build().unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (refused, _) = tokio::join!(client.handshake(near.into(), "a.test"), acceptor.accept(far));
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("the server negotiated no protocol by ALPN"), "{text}");
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_named_so() {
    let client = ClientTls::new().with_ca_pem(Authority::new().pem()).build().unwrap();
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let text = client.handshake(near.into(), "a.test").await.unwrap_err().to_string();
    assert!(text.contains("does not seem to speak TLS"), "{text}");
}

fn client_error(tls: ClientTls) -> String {
    tls.build().unwrap_err().to_string()
}

fn server_error(certificate: &str, key: &str) -> String {
    ServerTls::from_pem(certificate, key).build(false).unwrap_err().to_string()
}

#[test]
fn unreadable_files_are_named() {
    let text = client_error(ClientTls::new().with_ca_file("/nowhere/ca.pem"));
    assert!(text.starts_with("CA certificate (/nowhere/ca.pem): cannot read the file: "), "{text}");
    let text =
        ServerTls::from_files("/nowhere/a.pem", "/nowhere/a.key").build(false).unwrap_err().to_string();
    assert!(text.starts_with("certificate (/nowhere/a.pem): cannot read the file: "), "{text}");
}

#[test]
fn files_are_read_when_the_configuration_is_built() {
    let folder = std::env::temp_dir().join(format!("spanwire-tls-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (certificate_file, key_file) = (folder.join("a.pem"), folder.join("a.key"));
    let tls = ServerTls::from_files(&certificate_file, &key_file);
    let (certificate, key) = Authority::new().issue("a.test");
    fs::write(&certificate_file, certificate).unwrap();
    fs::write(&key_file, key).unwrap();
    tls.build(false).unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

/// An authority, a certificate and a key in files.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Puts a new file in the place of the old one, as tools that renew certificates do.
    fn write(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn write_identity(&self, (certificate, key): (String, String)) {
        self.write("a.pem", &certificate);
        self.write("a.key", &key);
    }
}

/// One handshake on configurations that stay: the client's error if there is one, else the leaf each side saw.
async fn shake(
    client: &ClientTlsConfig,
    server: &ServerTlsConfig,
) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (client, server) =
        tokio::join!(client.handshake(near.into(), "a.test"), server.handshake(far.into()));
    let leaf = |io: &Io| io.tls_identity().map(|identity| identity.leaf().to_vec());
    let (client, server) =
        (client.map_err(|error| error.to_string())?, server.map_err(|error| error.to_string())?);
    Ok((leaf(&client).unwrap(), leaf(&server)))
}

fn leaf(pem: &str) -> Vec<u8> {
    PemSource::Memory(pem.into()).certificates("certificate").unwrap()[0].to_vec()
}

#[tokio::test]
async fn files_that_change_hold_from_the_next_connection_on() {
    let (old, new, files) = (Authority::new(), Authority::new(), Files::new());
    files.write("ca.pem", &old.pem());
    files.write_identity(old.issue("client.test"));
    let (certificate, key) = old.issue("a.test");
    let both = format!("{}{}", old.pem(), new.pem());
    let server = ServerTls::from_pem(certificate, key).client_ca_pem(both.clone()).build(false).unwrap();
    let renewed = new.issue("a.test");
    let renewed_server = ServerTls::from_pem(renewed.0, renewed.1).client_ca_pem(both).build(false).unwrap();
    let client = ClientTls::new().with_ca_file(files.path("ca.pem"));
    let client = client.with_identity_files(files.path("a.pem"), files.path("a.key")).build().unwrap();
    shake(&client, &server).await.unwrap();
    assert!(shake(&client, &renewed_server).await.unwrap_err().contains("UnknownIssuer"));

    files.write("ca.pem", &new.pem());
    let identity = new.issue("client.test");
    files.write_identity(identity.clone());
    let (_, shown) = shake(&client, &renewed_server).await.unwrap();
    assert_eq!(shown, Some(leaf(&identity.0)));
    assert!(
        shake(&client, &server).await.unwrap_err().contains("UnknownIssuer"),
        "the old authority is gone"
    );
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_old_ones() {
    let (authority, files) = (Authority::new(), Files::new());
    let first = authority.issue("a.test");
    files.write_identity(first.clone());
    let server = ServerTls::from_files(files.path("a.pem"), files.path("a.key")).build(false).unwrap();
    let client = ClientTls::new().with_ca_pem(authority.pem()).build().unwrap();
    let shown = async || shake(&client, &server).await.unwrap().0;
    assert_eq!(shown().await, leaf(&first.0));

    files.write("a.pem", "no PEM");
    assert_eq!(shown().await, leaf(&first.0));
    fs::remove_file(files.path("a.key")).unwrap();
    assert_eq!(shown().await, leaf(&first.0));
    // In two steps: between them the key is that of another certificate.
    let second = authority.issue("a.test");
    files.write("a.pem", &second.0);
    assert_eq!(shown().await, leaf(&first.0));
    files.write("a.key", &second.1);
    assert_eq!(shown().await, leaf(&second.0));
}

#[test]
fn pem_without_what_is_wanted_says_what_it_holds() {
    let (certificate, key) = Authority::new().issue("a.test");
    assert_eq!(server_error("hello", &key), "certificate (given in memory): no certificate found in PEM");
    assert_eq!(
        server_error(&key, &key),
        "certificate (given in memory): no certificate found in PEM: it holds a private key"
    );
    assert_eq!(
        server_error(&certificate, &certificate),
        "private key (given in memory): no private key found in PEM: it holds a certificate"
    );
    assert_eq!(
        client_error(ClientTls::new().with_ca_pem(b"\x30\x82\x01\x02".to_vec())),
        "CA certificate (given in memory): no certificate found in PEM: it looks like DER, convert it to PEM"
    );
    let broken = certificate.replace("-----END CERTIFICATE-----", "");
    assert!(server_error(&broken, &key).starts_with("certificate (given in memory): broken PEM: "));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let authority = Authority::new();
    let (certificate, _) = authority.issue("a.test");
    let (_, key) = authority.issue("a.test");
    let text = server_error(&certificate, &key);
    assert!(text.starts_with("private key (given in memory): does not match the certificate"), "{text}");
    let text =
        client_error(ClientTls::new().with_ca_pem(authority.pem()).with_identity_pem(certificate, key));
    assert!(text.contains("does not match the certificate"), "{text}");
}

#[test]
fn an_encrypted_key_is_named_so() {
    let (certificate, _) = Authority::new().issue("a.test");
    for header in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
    ] {
        assert_eq!(
            server_error(&certificate, header),
            "private key (given in memory): the private key is encrypted with a password: decrypt it first"
        );
    }
}

#[test]
fn broken_der_inside_good_pem_is_refused() {
    let (_, key) = Authority::new().issue("a.test");
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let text = server_error(certificate, &key);
    assert!(text.starts_with("certificate (given in memory): cannot be used: "), "{text}");
    let text = client_error(ClientTls::new().with_ca_pem(certificate));
    assert!(text.starts_with("CA certificate (given in memory): cannot be used: "), "{text}");
}

#[test]
fn impossible_settings_are_refused() {
    let (certificate, key) = Authority::new().issue("a.test");
    let tls = ServerTls::from_pem(certificate, key).require_client_auth(true);
    assert_eq!(
        tls.build(false).unwrap_err().to_string(),
        "TLS server: client certificates are required but no client CA is given"
    );
    let tls = ClientTls::new().with_ca_pem(Authority::new().pem()).server_name("not a name");
    assert!(client_error(tls).contains("\"not a name\" is neither a host name nor an IP address"));
}

#[test]
fn debug_shows_no_secret() {
    let (certificate, key) = Authority::new().issue("a.test");
    let shown = format!("{:?}", ClientTls::new().with_identity_pem(certificate.clone(), key.clone()));
    assert!(!shown.contains("PRIVATE") && shown.contains("bytes of PEM"), "{shown}");
    assert!(!format!("{:?}", ServerTls::from_pem(certificate, key)).contains("PRIVATE"));
}

/// What a server shows to a client that asks for `name`, as its leaf.
async fn shown(client: &ClientTlsConfig, server: &ServerTlsConfig, name: &str) -> Result<Vec<u8>, String> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (client, _) = tokio::join!(client.handshake(near.into(), name), server.handshake(far.into()));
    client.map(|io| io.tls_identity().unwrap().leaf().to_vec()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_certificate_is_chosen_by_the_name_that_the_client_asks_for() {
    let (authority, files) = (Authority::new(), Files::new());
    let (first, second, wild) =
        (authority.issue("a.test"), authority.issue("b.test"), authority.issue("*.c.test"));
    files.write_identity(second.clone());
    let server = ServerTls::from_pem(first.0.clone(), first.1)
        .and_files(files.path("a.pem"), files.path("a.key"))
        .and_pem(wild.0.clone(), wild.1)
        .build(false)
        .unwrap();
    let client = ClientTls::new().with_ca_pem(authority.pem()).build().unwrap();
    for (name, certificate) in
        [("a.test", &first.0), ("b.test", &second.0), ("B.test", &second.0), ("x.c.test", &wild.0)]
    {
        assert_eq!(shown(&client, &server, name).await.unwrap(), leaf(certificate), "{name}");
    }
    // Whoever asks for another name, or for an address, gets the first one, and says what is wrong with it.
    for name in ["d.test", "c.test", "127.0.0.1"] {
        let error = shown(&client, &server, name).await.unwrap_err();
        assert!(error.contains("a.test"), "{name}: {error}");
    }
    let renewed = authority.issue("b.test");
    files.write_identity(renewed.clone());
    assert_eq!(shown(&client, &server, "b.test").await.unwrap(), leaf(&renewed.0));
    assert_eq!(shown(&client, &server, "a.test").await.unwrap(), leaf(&first.0));
}

#[tokio::test]
async fn certificates_out_of_their_time_are_refused() {
    let authority = Authority::new();
    let issue = |from: i32, to: i32| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(from, 1, 1), rcgen::date_time_ymd(to, 1, 1));
        (params.signed_by(&key, &authority.0).unwrap().pem(), key.serialize_pem())
    };
    let good = authority.issue("a.test");
    for (from, to, expected) in [(2000, 2001, "expired"), (2090, 2091, "not valid yet")] {
        let (certificate, key) = issue(from, to);
        let client = ClientTls::new().with_ca_pem(authority.pem());
        let server = ServerTls::from_pem(certificate.clone(), key.clone());
        let error = handshake(&client, &server, "a.test").await.0.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        let server = ServerTls::from_pem(good.0.clone(), good.1.clone()).client_ca_pem(authority.pem());
        let client = client.with_identity_pem(certificate, key);
        assert!(handshake(&client, &server, "a.test").await.1.is_err(), "{expected}");
    }
}

#[test]
fn identity_has_the_names_of_the_leaf() {
    use rcgen::SanType;
    let made = |names: Vec<SanType>| {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Shop, Ltd");
        params.distinguished_name.push(DnType::CommonName, "ada");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        TlsIdentity::from_chain(&[certificate.der().clone()]).unwrap()
    };
    let uri = |uri: &str| SanType::URI(uri.try_into().unwrap());
    let ada = made(vec![
        SanType::DnsName("a.test".try_into().unwrap()),
        uri("spiffe://shop/ada"),
        SanType::DnsName("*.b.test".try_into().unwrap()),
        SanType::IpAddress("192.0.2.1".parse().unwrap()),
        SanType::IpAddress("2001:db8::1".parse().unwrap()),
        SanType::Rfc822Name("ada@shop.test".try_into().unwrap()),
    ]);
    assert_eq!(ada.dns_names(), ["a.test", "*.b.test"]);
    assert_eq!(ada.uris(), ["spiffe://shop/ada"]);
    assert_eq!(ada.spiffe_id(), Some("spiffe://shop/ada"));
    let ips = ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse::<std::net::IpAddr>().unwrap());
    assert_eq!(ada.ip_addresses(), ips);
    assert_eq!(ada.emails(), ["ada@shop.test"]);
    assert_eq!(ada.subject(), r"CN=ada,O=Shop\, Ltd");

    let several = made(vec![uri("spiffe://shop/ada"), uri("https://shop.test")]);
    assert_eq!(several.spiffe_id(), None, "an SVID has one URI");
    for none in ["https://shop.test", "spiffe://", "spiffe:///ada", "spiffe:shop"] {
        assert_eq!(made(vec![uri(none)]).spiffe_id(), None, "{none}");
    }
    let nameless = made(Vec::new());
    assert!(nameless.dns_names().is_empty() && nameless.uris().is_empty());
    assert_eq!(nameless.subject(), ada.subject());
    let broken = TlsIdentity::from_chain(&[CertificateDer::from(vec![0x30, 0x01])]).unwrap();
    assert_eq!((broken.subject(), broken.uris().len()), ("", 0));
    assert_eq!(broken.leaf(), [0x30, 0x01]);
}
