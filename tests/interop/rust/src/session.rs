//! From flags to channels and clients.

use std::time::Duration;

use spanwire::{Channel, ClientTls};

use crate::flags::ClientFlags;
use crate::outcome::Failure;
use crate::testing::{TestServiceClient, UnimplementedServiceClient};

/// No call of a case takes longer, unless the case is about time.
pub const CALL_LIMIT: Duration = Duration::from_secs(20);

/// What a case gets.
#[derive(Debug)]
pub struct Session {
    /// The command line.
    pub flags: ClientFlags,
}

impl Session {
    /// A new channel to the server under test. Channels share no connection.
    ///
    /// # Errors
    /// The target or the TLS settings are wrong.
    pub fn channel(&self) -> Result<Channel, Failure> {
        let ClientFlags { server_host, server_port, server_host_override, .. } = &self.flags;
        let host = if server_host.contains(':') { format!("[{server_host}]") } else { server_host.clone() };
        let mut builder = Channel::builder(&format!("{host}:{server_port}"));
        if !server_host_override.is_empty() {
            builder = builder.authority(server_host_override);
        }
        if self.flags.use_tls {
            let mut tls = ClientTls::new();
            if let Some(file) = &self.flags.custom_ca_file {
                tls = tls.with_ca_file(file);
            }
            if !server_host_override.is_empty() {
                tls = tls.server_name(server_host_override);
            }
            builder = builder.tls(tls);
        }
        Ok(builder.build()?)
    }

    /// A client of TestService on a new channel.
    ///
    /// # Errors
    /// As [`Session::channel`].
    pub fn client(&self) -> Result<TestServiceClient, Failure> {
        Ok(TestServiceClient::new(self.channel()?))
    }

    /// A client of the service that no server has, on a new channel.
    ///
    /// # Errors
    /// As [`Session::channel`].
    pub fn unimplemented_client(&self) -> Result<UnimplementedServiceClient, Failure> {
        Ok(UnimplementedServiceClient::new(self.channel()?))
    }
}
