//! The service that is attacked.

use std::future::pending;
use std::sync::Arc;

use spanwire::server::{Context, Handler, Service};
use spanwire::{Raw, Sending, Status, Streaming};

/// `attack.Target`: methods that answer, and two that never do.
#[derive(Debug)]
pub struct Target;

impl Service for Target {
    fn name(&self) -> &'static str {
        "attack.Target"
    }

    fn methods(&self) -> Vec<(&'static str, Handler)> {
        vec![
            (
                "Echo",
                Handler::unary(Arc::new(()), |_: Arc<()>, message: Raw, context: Context| async move {
                    (Ok(message), context)
                }),
            ),
            // The address of the connection's other end: the same as long as the connection is.
            (
                "WhoAmI",
                Handler::unary(Arc::new(()), |_: Arc<()>, _: Raw, context: Context| async move {
                    (Ok(Raw(context.peer().addr().to_string().into())), context)
                }),
            ),
            (
                "Wait",
                Handler::unary(Arc::new(()), |_: Arc<()>, _: Raw, _: Context| {
                    pending::<(Result<Raw, Status>, Context)>()
                }),
            ),
            (
                "Down",
                Handler::server_streaming(
                    Arc::new(()),
                    |_: Arc<()>, wanted: Raw, replies, context: Context| async move {
                        (down(&wanted, replies).await, context)
                    },
                ),
            ),
            (
                "Up",
                Handler::client_streaming(
                    Arc::new(()),
                    |_: Arc<()>, requests, context: Context| async move { (up(requests).await, context) },
                ),
            ),
            (
                "Stall",
                Handler::client_streaming(
                    Arc::new(()),
                    |_: Arc<()>, requests: Streaming<Raw>, _: Context| async move {
                        let _unread = requests;
                        pending::<(Result<Raw, Status>, Context)>().await
                    },
                ),
            ),
        ]
    }
}

/// Sends as many messages of such a size as the request says: `count size`.
async fn down(wanted: &Raw, mut replies: Sending<Raw>) -> Result<(), Status> {
    let wanted = String::from_utf8_lossy(&wanted.0);
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0_usize);
    let mut words = wanted.split(' ');
    let (count, size) = (number(words.next()), number(words.next()));
    let message = Raw(vec![7; size].into());
    for _ in 0..count {
        replies.send(message.clone()).await?;
    }
    Ok(())
}

/// Answers with the number of messages.
async fn up(mut requests: Streaming<Raw>) -> Result<Raw, Status> {
    let mut count = 0;
    while requests.next().await?.is_some() {
        count += 1;
    }
    Ok(Raw(count.to_string().into()))
}
