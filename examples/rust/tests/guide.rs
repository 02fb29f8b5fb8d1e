//! Runs every Rust snippet of README.md, docs/rust.md, docs/security.md, docs/server.md and docs/web.md; `build/snippets.rs` makes the tests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::error::Error;
use std::future::pending;
use std::sync::Once;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use spanwire::middleware::{Call, Next, Reply};
use spanwire::{
    Channel, ClientTls, Code, Context, Encoding, Engine, Health, Jwt, Keepalive, Kind, Method, Raw, Sending,
};
use spanwire::{Sent, Server, ServerTls, Status, Streaming, Web};
use spanwire_examples as store;
use store::shop::v1::*;

type Outcome = Result<(), Box<dyn Error>>;

/// Longer than any snippet takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a snippet against a shop of its own.
async fn run(snippet: impl AsyncFnOnce(Channel, OrdersClient) -> Outcome) {
    prepare_folder();
    let server = Server::builder().service(OrdersServer::new(Shop)).bind("127.0.0.1:0").await.unwrap();
    let channel = Channel::new(&server.local_addr().to_string()).unwrap();
    tokio::spawn(server.run());
    let outcome = tokio::time::timeout(PATIENCE, snippet(channel.clone(), OrdersClient::new(channel)));
    outcome.await.expect("the snippet ends").unwrap();
}

/// The shop that the guide speaks of. Order 0 does not exist, and order 99 never comes.
#[derive(Debug)]
struct Shop;

impl Orders for Shop {
    async fn get(&self, request: GetOrder, context: &mut Context) -> Result<Order, Status> {
        match request.id {
            0 => return Err(Status::not_found("there is no order 0")),
            99 => pending().await,
            _ => {}
        }
        if let Some(id) = context.metadata().get("x-request-id").map(str::to_owned) {
            context.append_header("x-request-id", &id)?;
        }
        context.trailers_mut().append("x-cost", "1").unwrap();
        Ok(Order { id: request.id, state: State::Paid.into(), lines: Vec::new() })
    }

    async fn watch(
        &self,
        _request: GetOrder,
        replies: &mut Sending<Update>,
        _context: &mut Context,
    ) -> Result<(), Status> {
        for state in [State::Placed, State::Paid, State::Sent] {
            replies.send(Update { state: state.into() }).await?;
        }
        Ok(())
    }

    async fn place(&self, requests: &mut Streaming<Line>, _context: &mut Context) -> Result<Order, Status> {
        let mut order = Order { id: 8, state: State::Placed.into(), lines: Vec::new() };
        while let Some(line) = requests.next().await? {
            order.lines.push(line);
        }
        Ok(order)
    }

    async fn quote(
        &self,
        requests: &mut Streaming<Line>,
        replies: &mut Sending<Price>,
        _context: &mut Context,
    ) -> Result<(), Status> {
        while let Some(line) = requests.next().await? {
            replies.send(Price { article: line.article, cents: 10 * u64::from(line.pieces) }).await?;
        }
        Ok(())
    }
}

/// Makes a folder with the certificates and keys that the guides name, and works there from then on.
fn prepare_folder() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
        for name in ["server", "client"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &ca).unwrap();
            std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
        // The key of RFC 8037, A.2.
        let keys = r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        std::fs::write(folder.join("keys.json"), keys).unwrap();
        std::env::set_current_dir(folder).unwrap();
    });
}

include!(concat!(env!("OUT_DIR"), "/snippets.rs"));
