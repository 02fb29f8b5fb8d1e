//! What the system says of DNS: whom to ask, and for which names.

use std::net::SocketAddr;
use std::time::Duration;

use resolv_conf::Config;

/// Where Unix has it. Elsewhere there is none, and a server has to be named in the target.
const FILE: &str = "/etc/resolv.conf";

const PORT: u16 = 53;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct System {
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
    /// For one question.
    pub(super) patience: Duration,
    /// How often each server is asked.
    pub(super) rounds: usize,
}

impl System {
    /// Reads the system's file. It is read for each lookup, because it may change.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn read() -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("{FILE}: {error}");
        let text = std::fs::read(FILE).map_err(|error| wrong(&error))?;
        System::parse(&text).map_err(|error| wrong(&error))
    }

    /// One server of the program's own choice, and only the names that it asks for.
    pub(super) fn only(server: SocketAddr) -> Self {
        let system = Config::new();
        System { servers: vec![server], search: Vec::new(), ..System::of(&system) }
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        Config::parse(text).map(|config| System::of(&config)).map_err(|error| error.to_string())
    }

    fn of(config: &Config) -> Self {
        let servers = config.get_nameservers_or_local();
        System {
            servers: servers.iter().map(|server| SocketAddr::new(server.into(), PORT)).collect(),
            search: config.get_last_search_or_domain().cloned().collect(),
            ndots: config.ndots as usize,
            patience: Duration::from_secs(config.timeout.max(1).into()),
            rounds: config.attempts.max(1) as usize,
        }
    }

    /// The names that `name` may mean, in the order in which they are asked for. `prefix` goes before each.
    pub(super) fn names(&self, prefix: &str, name: &str) -> Vec<String> {
        let alone = format!("{prefix}{name}");
        if name.ends_with('.') {
            return vec![alone];
        }
        let mut names: Vec<_> = self.search.iter().map(|domain| format!("{alone}.{domain}")).collect();
        // One with enough dots is more likely whole.
        let whole = name.matches('.').count() >= self.ndots;
        names.insert(if whole { 0 } else { names.len() }, alone);
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system(text: &str) -> System {
        System::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn file_of_the_system_is_read() {
        let system = system(
            "# as in a cluster\nnameserver 10.0.0.10\nnameserver fd00::a\nsearch a.test b.test\noptions ndots:2 timeout:3 attempts:4\n",
        );
        let servers: Vec<SocketAddr> = vec!["10.0.0.10:53".parse().unwrap(), "[fd00::a]:53".parse().unwrap()];
        assert_eq!(system.servers, servers);
        assert_eq!((system.patience, system.rounds), (Duration::from_secs(3), 4));
        assert_eq!(system.names("", "x"), ["x.a.test", "x.b.test", "x"]);
        assert_eq!(
            system.names("_grpc_config.", "x"),
            ["_grpc_config.x.a.test", "_grpc_config.x.b.test", "_grpc_config.x"]
        );
        assert_eq!(system.names("", "x.y.z"), ["x.y.z", "x.y.z.a.test", "x.y.z.b.test"]);
        assert_eq!(system.names("", "x."), ["x."]);
    }

    #[test]
    fn empty_file_means_this_machine() {
        let system = system("");
        assert_eq!(system.servers.first(), Some(&"127.0.0.1:53".parse().unwrap()));
        assert_eq!((system.patience, system.rounds), (Duration::from_secs(5), 2));
    }

    #[test]
    fn named_server_is_asked_alone() {
        let server = "192.0.2.1:5353".parse().unwrap();
        let system = System::only(server);
        assert_eq!((system.servers.clone(), system.names("", "x")), (vec![server], vec!["x".to_owned()]));
    }
}
