//! What a session is made from.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::changeable::Changeable;
use crate::counters::Counters;
use crate::secrets::Secret;
use crate::supervision::policy::Backoff;

use super::session::{Outgoing, QoS};

/// One connection of the gateway.
#[derive(Clone)]
pub struct Config {
    /// What all connections have in common. When it changes, the session replaces its connection within a second, as if it broke.
    pub broker: Changeable<Broker>,
    /// Tells the gateway's connections apart at the broker. A client that connects with the same id takes its place.
    pub client_id: String,
    /// What the broker publishes when this connection breaks.
    pub will: Option<Outgoing>,
    /// What is subscribed after every connect.
    pub subscriptions: Vec<Subscription>,
    /// How many messages may wait for their acknowledgement at once, 1 to 65,000.
    pub window: usize,
    /// The largest payload that is taken in, in bytes. Of a larger one only its size is.
    pub largest_payload: usize,
    /// Counts connects, losses and failures.
    pub counters: Arc<Counters>,
}

/// How to reach the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Broker {
    /// Where it is.
    pub url: BrokerUrl,
    /// Who we are.
    pub username: Option<String>,
    /// How we prove it. The MQTT library makes copies of it that it does not wipe.
    pub password: Option<Secret>,
    /// Certificates, for `mqtts`.
    pub tls: Tls,
    /// After so much silence the connection is tested, and after one and a half times of it given up. Whole seconds.
    pub keep_alive: Duration,
    /// How long a connect may take. Whole seconds; the library looks every three.
    pub connect_timeout: Duration,
    /// How long a message may wait for its acknowledgement before the connection is replaced.
    pub ack_timeout: Duration,
    /// Waits between attempts.
    pub backoff: Backoff,
}

impl Broker {
    /// The broker at `url` without credentials, with the usual times: 30 s keep-alive, 10 s to connect, 30 s to acknowledge, and attempts
    /// after 0.5 s to 60 s.
    pub fn at(url: BrokerUrl) -> Self {
        Self {
            url,
            username: None,
            password: None,
            tls: Tls::default(),
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            ack_timeout: Duration::from_secs(30),
            backoff: BACKOFF,
        }
    }
}

/// Evaluated by the compiler.
const BACKOFF: Backoff = match Backoff::new(Duration::from_millis(500), Duration::from_secs(60), 50)
{
    Ok(backoff) => backoff,
    Err(_) => panic!("back-off"),
};

/// Certificates in PEM files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities of which one must have signed the broker's certificate; `None`: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The gateway's own certificate, for brokers that want one.
    pub certificate_file: Option<PathBuf>,
    /// Its private key; `None`: it is in the same file.
    pub private_key_file: Option<PathBuf>,
}

impl Tls {
    /// The files that are named.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [
            &self.ca_file,
            &self.certificate_file,
            &self.private_key_file,
        ]
        .into_iter()
        .flatten()
    }
}

/// Messages that a session wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// A topic without wildcards.
    pub topic: String,
    /// At most this.
    pub qos: QoS,
}

/// Where a broker is: `mqtt://host:port`, or `mqtts://` over TLS. The port is 1883 or 8883 if it is not given.
///
/// ```
/// use omnigate_actors::mqtt::BrokerUrl;
/// let url: BrokerUrl = "mqtts://broker.example".parse()?;
/// assert_eq!((url.host(), url.port(), url.is_tls()), ("broker.example", 8883, true));
/// assert_eq!(url.to_string(), "mqtts://broker.example:8883");
/// # Ok::<(), omnigate_actors::mqtt::UrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    tls: bool,
    host: String,
    port: u16,
}

impl BrokerUrl {
    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is encrypted and the broker proves who it is.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether nobody on the way can listen: encrypted, or within this machine.
    pub fn is_private(&self) -> bool {
        let address: Result<std::net::IpAddr, _> = self.host.parse();
        self.tls || self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// A broker on this machine.
impl Default for BrokerUrl {
    fn default() -> Self {
        Self {
            tls: false,
            host: "localhost".to_owned(),
            port: 1883,
        }
    }
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(UrlError::Scheme),
        };
        if rest.contains('@') {
            return Err(UrlError::Credentials);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
                let address: std::net::Ipv6Addr = host.parse().map_err(|_| UrlError::Host)?;
                let port = match rest {
                    "" => None,
                    _ => Some(rest.strip_prefix(':').ok_or(UrlError::Port)?),
                };
                (address.to_string(), port)
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host.to_owned(), Some(port)),
                None => (rest.to_owned(), None),
            },
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(UrlError::Host);
        }
        let port = match port {
            None if tls => 8883,
            None => 1883,
            Some(port) => port
                .parse()
                .ok()
                .filter(|&port| port > 0)
                .ok_or(UrlError::Port)?,
        };
        Ok(Self { tls, host, port })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// Text that is not where a broker is. Says nothing of the text: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It begins with something else.
    #[error("a broker's URL begins with mqtt:// or mqtts://")]
    Scheme,
    /// User name and password have settings of their own.
    #[error(
        "a broker's URL holds no user name and no password: give them as `username` and `password`"
    )]
    Credentials,
    /// No name and no address.
    #[error("a broker's URL names a host: mqtt://host:port")]
    Host,
    /// No port.
    #[error("a broker's port is a number from 1 to 65535")]
    Port,
}

#[cfg(test)]
mod url_tests {
    use super::*;

    #[test]
    fn reads_hosts_addresses_and_ports() {
        for (text, shown) in [
            ("mqtt://localhost", "mqtt://localhost:1883"),
            ("mqtt://10.0.0.1:1884/", "mqtt://10.0.0.1:1884"),
            ("mqtts://a-b.example:1", "mqtts://a-b.example:1"),
            ("mqtt://[::1]", "mqtt://[::1]:1883"),
            ("mqtts://[fe80::1]:65535", "mqtts://[fe80::1]:65535"),
        ] {
            assert_eq!(text.parse::<BrokerUrl>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn only_tls_and_this_machine_are_private() {
        for (text, private) in [
            ("mqtt://localhost", true),
            ("mqtt://127.0.0.1", true),
            ("mqtt://[::1]", true),
            ("mqtts://broker.example", true),
            ("mqtt://broker.example", false),
            ("mqtt://192.168.1.2", false),
            ("mqtt://localhost.example", false),
        ] {
            let url: BrokerUrl = text.parse().unwrap();
            assert_eq!(url.is_private(), private, "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for (text, error) in [
            ("localhost", UrlError::Scheme),
            ("tcp://localhost", UrlError::Scheme),
            ("mqtt://user:secret@host", UrlError::Credentials),
            ("mqtt://", UrlError::Host),
            ("mqtt://:1883", UrlError::Host),
            ("mqtt://a b", UrlError::Host),
            ("mqtt://a/b", UrlError::Host),
            ("mqtt://[::1", UrlError::Host),
            ("mqtt://[1.2.3.4]", UrlError::Host),
            ("mqtt://[::1]1883", UrlError::Port),
            ("mqtt://host:", UrlError::Port),
            ("mqtt://host:0", UrlError::Port),
            ("mqtt://host:65536", UrlError::Port),
            ("mqtt://::1", UrlError::Host),
        ] {
            assert_eq!(text.parse::<BrokerUrl>(), Err(error), "{text}");
        }
    }
}
