//! Statuses other than OK.

use spanwire::{Code, Status};

use crate::outcome::{Failure, Outcome, check_code, check_equal};
use crate::session::{CALL_LIMIT, Session};
use crate::testing::{EchoStatus, Empty, SimpleRequest, StreamingOutputCallRequest};

const SPECIAL_MESSAGE: &str = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

/// A status that the server is asked to answer with.
fn wanted(message: &str) -> Option<EchoStatus> {
    Some(EchoStatus { code: 2, message: message.to_owned() })
}

fn check_echo<T>(result: Result<T, Status>, message: &str) -> Outcome {
    let Err(status) = result else { return Err(Failure::Failed("the call succeeded".to_owned())) };
    check_equal(status.code(), Code::Unknown, "status code")?;
    check_equal(status.message(), message, "status message")
}

pub(super) async fn status_code_and_message(session: &Session) -> Outcome {
    const MESSAGE: &str = "test status message";
    let client = session.client()?;
    let request = SimpleRequest { response_status: wanted(MESSAGE), ..SimpleRequest::default() };
    check_echo(client.unary_call(request).timeout(CALL_LIMIT).await, MESSAGE)?;

    let mut call = client.full_duplex_call().timeout(CALL_LIMIT).await?;
    call.send(StreamingOutputCallRequest {
        response_status: wanted(MESSAGE),
        ..StreamingOutputCallRequest::default()
    })
    .await?;
    call.half_close();
    check_echo(call.next().await, MESSAGE)
}

pub(super) async fn special_status_message(session: &Session) -> Outcome {
    let request = SimpleRequest { response_status: wanted(SPECIAL_MESSAGE), ..SimpleRequest::default() };
    check_echo(session.client()?.unary_call(request).timeout(CALL_LIMIT).await, SPECIAL_MESSAGE)
}

pub(super) async fn unimplemented_method(session: &Session) -> Outcome {
    let result = session.client()?.unimplemented_call(Empty {}).timeout(CALL_LIMIT).await;
    check_code(result, Code::Unimplemented)
}

pub(super) async fn unimplemented_service(session: &Session) -> Outcome {
    let result = session.unimplemented_client()?.unimplemented_call(Empty {}).timeout(CALL_LIMIT).await;
    check_code(result, Code::Unimplemented)
}
