//! Plain unary calls.

use std::collections::BTreeSet;

use prost::Message;

use super::{check_large, large_request};
use crate::outcome::{Outcome, check, check_equal};
use crate::session::{CALL_LIMIT, Session};
use crate::testing::{Empty, SimpleRequest};
use crate::zeros;

pub(super) async fn empty_unary(session: &Session) -> Outcome {
    let response = session.client()?.empty_call(Empty {}).timeout(CALL_LIMIT).await?;
    check_equal(response.encoded_len(), 0, "response bytes")
}

pub(super) async fn large_unary(session: &Session) -> Outcome {
    check_large(session.client()?.unary_call(large_request()).timeout(CALL_LIMIT).await?)
}

pub(super) async fn pick_first_unary(session: &Session) -> Outcome {
    const CALLS: usize = 100;
    let client = session.client()?;
    let request = SimpleRequest {
        response_size: 1,
        payload: zeros(1),
        fill_server_id: true,
        ..SimpleRequest::default()
    };
    let mut servers = BTreeSet::new();
    for _ in 0..CALLS {
        servers.insert(client.unary_call(request.clone()).timeout(CALL_LIMIT).await?.server_id);
    }
    check(!servers.contains(""), "the server gave no server_id")?;
    check_equal(servers.len(), 1, "servers that answered")
}
