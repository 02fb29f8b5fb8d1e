//! The services that come with the engine: health, reflection, channelz. A server has those that its builder was asked for.

mod channelz;
#[allow(dead_code, unreachable_pub, reason = "generated for any place, clients included")]
mod generated;
mod health;
mod reflection;

use generated::grpc;

pub use health::Health;
