//! The types of single settings: what may be written, in which unit, from where to where. Their errors never repeat what was written.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;
use std::time::Duration;

use omnigate_actors::recalc::{GatewayIdError, Topics};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A whole number from `MIN` to `MAX`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// The number, if it is within the bounds.
    pub const fn new(number: u64) -> Option<Self> {
        if MIN <= number && number <= MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The number as seconds.
    pub const fn seconds(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<const MIN: u64, const MAX: u64>;

        impl<const MIN: u64, const MAX: u64> Visitor<'_> for Number<MIN, MAX> {
            type Value = Bounded<MIN, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                Bounded::new(number)
                    .ok_or_else(|| E::custom(format!("{number} is out of range, expected {self}")))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::custom(format!(
                        "{number} is out of range, expected {self}"
                    ))),
                }
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
                Err(E::invalid_type(Unexpected::Other("text"), &self))
            }
        }

        impl<const MIN: u64, const MAX: u64> fmt::Display for Number<MIN, MAX> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.expecting(f)
            }
        }

        deserializer.deserialize_u64(Number)
    }
}

/// Reads a setting from text with [`FromStr`].
pub(super) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(Error::custom)
}

/// The gateway's id in topics: 1 to 64 letters, digits, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayId(Topics);

impl GatewayId {
    /// The topics of the gateway with this id.
    pub fn topics(&self) -> &Topics {
        &self.0
    }
}

impl FromStr for GatewayId {
    type Err = GatewayIdError;

    fn from_str(text: &str) -> Result<Self, GatewayIdError> {
        Topics::new(text).map(Self)
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.gateway_id())
    }
}

/// Where the broker is: `mqtt://HOST[:PORT]`, or `mqtts://HOST[:PORT]` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerUrl {
    tls: bool,
    host: String,
    port: u16,
}

impl BrokerUrl {
    /// A broker on this machine.
    pub fn local() -> Self {
        Self {
            tls: false,
            host: "localhost".to_owned(),
            port: 1883,
        }
    }

    /// Whether the connection is encrypted.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// A name or an address; one of IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// 1883 or, with TLS, 8883, unless it was given.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(BrokerUrlError::Form)?;
        let tls = match scheme {
            "mqtt" => false,
            "mqtts" => true,
            _ => return Err(BrokerUrlError::Form),
        };
        if rest.contains('@') {
            return Err(BrokerUrlError::Credentials);
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        // The colons inside the brackets of an IPv6 address are not the port's.
        let after_brackets = rest.find(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match rest.get(after_brackets..).and_then(|tail| tail.find(':')) {
            Some(colon) => {
                let (host, port) = rest.split_at(after_brackets + colon);
                let port: NonZeroU16 = port
                    .trim_start_matches(':')
                    .parse()
                    .map_err(|_| BrokerUrlError::Port)?;
                (host, port.get())
            }
            None => (rest, if tls { 8883 } else { 1883 }),
        };
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || "-._".contains(c) || (bracketed && "[]:%".contains(c))
        };
        if host.is_empty() || !host.chars().all(allowed) {
            return Err(BrokerUrlError::Form);
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Text that is no broker's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerUrlError {
    /// It has another form.
    #[error("expected mqtt://HOST, mqtt://HOST:PORT or the same with mqtts")]
    Form,
    /// It holds a user name or a password, which would be shown wherever the address is.
    #[error("a user name and a password do not belong here: use `username` and `password_file`")]
    Credentials,
    /// The port is no number from 1 to 65535.
    #[error("the port is a number from 1 to 65535")]
    Port,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_named_with_or_without_port() {
        let show = |text: &str| text.parse::<BrokerUrl>().map(|url| url.to_string());
        assert_eq!(show("mqtt://localhost").unwrap(), "mqtt://localhost:1883");
        assert_eq!(
            show("mqtts://cloud.example.org/").unwrap(),
            "mqtts://cloud.example.org:8883"
        );
        assert_eq!(
            show("mqtt://192.0.2.7:4711").unwrap(),
            "mqtt://192.0.2.7:4711"
        );
        assert_eq!(
            show("mqtts://[2001:db8::1]").unwrap(),
            "mqtts://[2001:db8::1]:8883"
        );
        assert_eq!(
            show("mqtt://[2001:db8::1]:99").unwrap(),
            "mqtt://[2001:db8::1]:99"
        );
    }

    #[test]
    fn anything_else_is_refused_without_repeating_it() {
        for (text, error) in [
            ("localhost", BrokerUrlError::Form),
            ("http://localhost", BrokerUrlError::Form),
            ("mqtt://", BrokerUrlError::Form),
            ("mqtt://a/b", BrokerUrlError::Form),
            ("mqtt://a b", BrokerUrlError::Form),
            ("mqtt://2001:db8::1", BrokerUrlError::Port),
            ("mqtt://a:", BrokerUrlError::Port),
            ("mqtt://a:0", BrokerUrlError::Port),
            ("mqtt://a:65536", BrokerUrlError::Port),
            ("mqtt://me:s3cret@a", BrokerUrlError::Credentials),
        ] {
            assert_eq!(text.parse::<BrokerUrl>(), Err(error), "{text}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}
