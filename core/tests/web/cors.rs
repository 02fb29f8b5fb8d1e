//! Which pages may call, and what their browsers are told.

use std::time::Duration;

use spanwire::Web;

use super::client::*;

const ECHO: &str = "/test.Echo/Echo";

async fn ask(client: &mut Client, origin: &str) -> Answer {
    client
        .send(format!(
            "OPTIONS {ECHO} HTTP/1.1\r\nHost: api.example\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,x-grpc-web\r\n\r\n"
        ))
        .await;
    client.answer().await.unwrap()
}

// Wire checklist line 51.
#[tokio::test(start_paused = true)]
async fn a_page_that_may_call_is_told_so_and_for_how_long() {
    let served = serve_with(|builder| {
        builder.web(Web::new().origins([ORIGIN]).allow_headers(["Authorization"]).expose_headers(["X-Cost"]))
    });
    let mut client = served.client().await;
    let answer = ask(&mut client, ORIGIN).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some(
            "content-type, grpc-accept-encoding, grpc-encoding, grpc-timeout, x-grpc-web, x-user-agent, \
             authorization"
        )
    );
    assert_eq!(answer.header("access-control-max-age"), Some("7200"));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    assert_eq!(answer.header("vary"), Some("origin"));

    let answer = client.call(ECHO, &[("Origin", ORIGIN)], &frame(b"hi")).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(
        answer.header("access-control-expose-headers"),
        Some("grpc-encoding, grpc-message, grpc-status, grpc-status-details-bin, x-cost")
    );
    assert_eq!(answer.header("vary"), Some("origin"));
    assert_eq!(served.handle.stats().limits.iter().map(|(_, hits)| hits).sum::<u64>(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_another_origin_is_refused_and_its_call_reaches_no_handler() {
    let served = serve();
    let mut client = served.client().await;
    for origin in ["https://page.example.evil", "http://page.example", "https://page.example:8443", "null"] {
        let answer = ask(&mut client, origin).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let answer = client.call("/test.Echo/Sleep", &[("Origin", origin)], &frame(b"")).await;
        assert_eq!((answer.status, answer.header("grpc-status")), (403, Some("7")));
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("vary"), Some("origin"));
    }
    assert_eq!(served.echo.seen.started.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn without_origins_no_page_may_call_and_other_clients_may() {
    let served = serve_with(|builder| builder.web(Web::new()));
    let mut client = served.client().await;
    assert_eq!(ask(&mut client, ORIGIN).await.status, 403);
    assert_eq!(client.call(ECHO, &[("Origin", ORIGIN)], &frame(b"hi")).await.status, 403);
    let answer = client.call(ECHO, &[], &frame(b"hi")).await;
    assert_eq!(answer.messages().0, [b"hi"]);
}

#[tokio::test(start_paused = true)]
async fn any_page_may_call_where_that_was_said() {
    let served = serve_with(|builder| builder.web(Web::new().origins(["*"]).max_age(Duration::ZERO)));
    let mut client = served.client().await;
    let answer = ask(&mut client, "https://any.example").await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, Some("*")));
    assert_eq!(answer.header("access-control-max-age"), Some("0"));
    let answer = client.call(ECHO, &[("Origin", "https://any.example")], &frame(b"hi")).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("vary"), None);
}

#[tokio::test(start_paused = true)]
async fn credentials_are_allowed_to_listed_pages_alone() {
    let served = serve_with(|builder| builder.web(Web::new().origins([ORIGIN]).allow_credentials(true)));
    let mut client = served.client().await;
    assert_eq!(ask(&mut client, ORIGIN).await.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(ask(&mut client, "null").await.header("access-control-allow-credentials"), None);
    let answer = client.call(ECHO, &[("Origin", ORIGIN)], &frame(b"hi")).await;
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
}

#[tokio::test]
async fn options_that_make_no_sense_are_errors_of_bind() {
    async fn error(web: Web) -> String {
        let bound = spanwire::Server::builder().web(web).bind("inprocess:web-options").await;
        bound.unwrap_err().to_string()
    }
    let any = Web::new().origins(["*", ORIGIN]).allow_credentials(true);
    assert!(error(any).await.starts_with("web.origins: \"*\" cannot be used: with allow_credentials"));
    for bad in [
        "page.example",
        "https://page.example/",
        "https://page.example/path",
        "https://user@page.example",
        "https://page.example:443",
        "http://page.example:80",
        "null",
        "",
        "https://",
    ] {
        let text = error(Web::new().origins([bad])).await;
        assert!(text.starts_with(&format!("web.origins: {bad:?} cannot be used")), "{text}");
    }
    let text = error(Web::new().allow_headers(["a b"])).await;
    assert_eq!(text, "web.allow_headers: \"a b\" cannot be used: it is no name of metadata");
    let text = error(Web::new().expose_headers(["a,b"])).await;
    assert_eq!(text, "web.expose_headers: \"a,b\" cannot be used: it is no name of metadata");
}
