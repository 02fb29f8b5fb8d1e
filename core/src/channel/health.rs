//! Client-side health checking (gRFC A17): each server is asked all the time whether it serves, and gets calls only while it
//! says so.

use std::sync::Weak;

use prost::Message;

use super::connections::Health;
use super::side::SideNews;
use super::subchannel::Subchannel;
use crate::{Kind, Method, Status};

/// The method that is called.
pub(crate) const WATCH: Method = Method::new("/grpc.health.v1.Health/Watch", Kind::ServerStreaming);

/// `grpc.health.v1.HealthCheckRequest`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct HealthCheckRequest {
    /// Whose health is asked for; the empty name is the whole server's.
    #[prost(string, tag = "1")]
    pub(crate) service: String,
}

/// `grpc.health.v1.HealthCheckResponse`.
#[derive(Clone, Copy, PartialEq, Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// What hears the stream of one connection.
pub(crate) struct Hearing {
    pub(crate) subchannel: Weak<Subchannel>,
    /// The connection's, see [`Connections::connected`](super::connections::Connections::connected).
    pub(crate) key: u64,
}

impl Hearing {
    /// Takes what the stream brings.
    pub(crate) fn hear(&self, news: SideNews) -> Result<(), Status> {
        let Some(subchannel) = self.subchannel.upgrade() else { return Ok(()) };
        let address = subchannel.address();
        let health = match &news {
            SideNews::Begun => Health::Unknown,
            SideNews::Message(message) => match HealthCheckResponse::decode(message.clone()) {
                Ok(response) => health(response.status, &address.to_string()),
                Err(error) => return Err(Status::internal(format!("malformed health: {error}"))),
            },
            SideNews::Ended(status) => {
                let text =
                    format!("health check of {address}: {}: {}", status.code().name(), status.message());
                Health::Failing(Status::unavailable(text))
            }
            SideNews::Unimplemented => {
                tracing::error!(%address, "health check: the server has no health service; it counts as healthy");
                Health::Serving
            }
        };
        subchannel.set_health(self.key, health);
        Ok(())
    }
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
fn health(status: i32, address: &str) -> Health {
    let name = match status {
        1 => return Health::Serving,
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "a status that is not known here",
    };
    Health::Failing(Status::unavailable(format!("health check of {address}: the server says {name}")))
}
