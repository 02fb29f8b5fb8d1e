//! The access log: one line for each call of a server that has ended. A process has one log, so these are one test.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use spanwire::bridge::log;
use spanwire::telemetry::AccessLog;
use spanwire::{Channel, Method, Raw, Server, Telemetry};
use support::{ECHO, Echo, FAIL};

#[tokio::test(start_paused = true)]
async fn each_call_is_a_line_with_what_it_was() {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let keep = move |_, target: &str, text: &str| {
        if target == "spanwire::access" {
            sink.lock().unwrap().push(text.to_owned());
        }
    };
    log::set(log::level(3).unwrap(), Some(Arc::new(keep))).unwrap();
    for (name, access_log) in
        [("all", AccessLog::All), ("errors", AccessLog::Errors), ("off", AccessLog::Off)]
    {
        let telemetry = Telemetry::builder().endpoint("").access_log(access_log).build().unwrap();
        let server = Server::builder().service(Echo::default()).telemetry(&telemetry);
        let server = server.bind(&format!("inprocess:{name}")).await.unwrap();
        tokio::spawn(server.run());
        let channel = Channel::new(&format!("inprocess:{name}")).unwrap();
        let call = |method: &Method| {
            let call = channel.unary::<Raw, Raw>(method, Raw::from("hello"));
            call.metadata("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        };
        call(&ECHO).await.unwrap();
        let _ = call(&FAIL).await.unwrap_err();
        let unknown = Method::new("/test.Echo/Unknown", spanwire::Kind::Unary);
        let _ = call(&unknown).await.unwrap_err();
        let lines = std::mem::take(&mut *lines.lock().unwrap());
        let about = |line: &String| {
            let field = |name: &str| {
                let start = line.find(&format!(" {name}=")).unwrap_or_else(|| panic!("{name}: {line}"));
                let value = &line[start + name.len() + 2..];
                value.split(' ').next().unwrap_or_default().trim_matches('"').to_owned()
            };
            assert!(field("duration_ms").parse::<f64>().is_ok(), "{line}");
            assert_eq!(field("peer"), "inprocess", "{line}");
            assert_eq!(field("trace_id"), "0af7651916cd43dd8448eb211c80319c", "{line}");
            ["method", "status", "received_bytes", "sent_bytes"].map(field).join(" ")
        };
        let ok = "/test.Echo/Echo OK 5 5";
        let failed = ["/test.Echo/Fail FAILED_PRECONDITION 5 0", "/test.Echo/Unknown UNIMPLEMENTED 0 0"];
        let known: Vec<_> = lines.iter().map(about).collect();
        match access_log {
            AccessLog::All => assert_eq!(known, [&[ok], &failed[..]].concat()),
            AccessLog::Errors => assert_eq!(known, failed),
            _ => assert_eq!(known, [""; 0]),
        }
    }
}
