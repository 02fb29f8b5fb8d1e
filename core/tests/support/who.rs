//! Servers that answer with their names, and a name that resolves to them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spanwire::server::{Handler, Service};
use spanwire::{
    Address, Channel, ChannelBuilder, Kind, Method, Raw, Resolution, Server, ServerBuilder, ServerHandle,
    Status,
};

pub const WHO: Method = Method::new("/test.Who/Who", Kind::Unary);

/// A server that answers with its own name.
pub struct Who(pub &'static str);

impl Service for Who {
    fn name(&self) -> &'static str {
        "test.Who"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        let name = Arc::new(self.0);
        vec![(
            "Who",
            Handler::unary(name, |name, _: Raw, context| async move { (Ok(Raw::from(*name)), context) }),
        )]
    }
}

/// Starts a server at `inprocess:<name>`.
pub async fn start(name: &'static str) -> ServerHandle {
    run(name, Server::builder()).await
}

/// The same with another service beside.
pub async fn start_beside(name: &'static str, service: impl Service) -> ServerHandle {
    run(name, Server::builder().service(service)).await
}

async fn run(name: &'static str, builder: ServerBuilder) -> ServerHandle {
    let server = builder.service(Who(name)).bind(&format!("inprocess:{name}")).await.unwrap();
    let handle = server.handle();
    tokio::spawn(server.run());
    handle
}

/// What a name resolves to, changed by the test; and how often it was asked for.
#[derive(Clone, Default)]
pub struct Names {
    now: Arc<Mutex<Option<Result<Resolution, Status>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    pub fn set(&self, names: &[&str]) {
        let addresses = names.iter().map(|name| Address::InProcess((*name).to_owned()));
        *self.now.lock().unwrap() = Some(Ok(Resolution::new(addresses)));
    }

    /// Sets the service config of what it resolves to.
    pub fn configure(&self, json: Option<&str>) {
        if let Some(Ok(now)) = &mut *self.now.lock().unwrap() {
            now.service_config = json.map(str::to_owned);
        }
    }

    pub fn fail(&self, text: &str) {
        *self.now.lock().unwrap() = Some(Err(Status::unavailable(text)));
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn channel(&self) -> ChannelBuilder {
        self.channel_with_ttl(None)
    }

    pub fn channel_with_ttl(&self, ttl: Option<Duration>) -> ChannelBuilder {
        let names = self.clone();
        Channel::builder("who.test").resolver(move || {
            names.asked.fetch_add(1, Ordering::SeqCst);
            let now = names.now.lock().unwrap().clone().unwrap();
            async move { now.map(|found| ttl.into_iter().fold(found, Resolution::ttl)) }
        })
    }
}

pub async fn who(channel: &Channel) -> Result<String, Status> {
    let answer: Raw = channel.unary(&WHO, Raw::default()).await?;
    Ok(String::from_utf8_lossy(&answer.0).into_owned())
}

/// How many of so many calls each server got.
pub async fn spread(channel: &Channel, calls: usize) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    for _ in 0..calls {
        *spread.entry(who(channel).await.unwrap()).or_default() += 1;
    }
    spread
}

pub fn evenly(names: &[&str], each: usize) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), each)).collect()
}
