//! The ReCalc API, version 2: the topics and payloads that the cloud knows.
//!
//! Pure: names and values in, text out. Values are written as exact decimals and never pass through a binary fraction; times are UTC in
//! RFC 3339 with whole seconds and `Z`.

use std::fmt;
use std::sync::Arc;

use crate::meter::MeterName;

/// What ends every gateway that hears it, beside its own [`Topics::stop`].
pub const STOP_ALL: &str = "STOP";

/// The topics of one gateway.
///
/// ```
/// use omnigate_actors::recalc::Topics;
/// let topics = Topics::new("706462169")?;
/// assert_eq!(topics.set(), "v2/706462169/sensors/set");
/// assert!(Topics::new("a/b").is_err());
/// # Ok::<(), omnigate_actors::recalc::GatewayIdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    gateway_id: Arc<str>,
}

impl Topics {
    /// The topics of the gateway with this id.
    ///
    /// # Errors
    /// [`GatewayIdError`] unless the id is 1 to 64 letters, digits, `-`, `_` and `.`: all others would mean something in a topic, or make
    /// the ids of the gateway's two MQTT clients longer than brokers accept.
    pub fn new(gateway_id: &str) -> Result<Self, GatewayIdError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=64).contains(&gateway_id.len()) && gateway_id.bytes().all(allowed) {
            Ok(Self {
                gateway_id: gateway_id.into(),
            })
        } else {
            Err(GatewayIdError)
        }
    }

    /// The gateway's id.
    pub fn gateway_id(&self) -> &str {
        &self.gateway_id
    }

    /// Where the cloud says which meters to monitor.
    pub fn set(&self) -> String {
        self.of(format_args!("sensors/set"))
    }

    /// Where the gateway answers that, entry by entry.
    pub fn set_result(&self) -> String {
        self.of(format_args!("sensors/set/result"))
    }

    /// Where the gateway says, retained, how it is.
    pub fn status(&self) -> String {
        self.of(format_args!("status"))
    }

    /// What ends this gateway.
    pub fn stop(&self) -> String {
        self.of(format_args!("STOP"))
    }

    /// Where the gateway says which channels a meter has.
    pub fn config(&self, meter: &MeterName) -> String {
        self.of(format_args!("{meter}/config"))
    }

    /// Where the gateway publishes a meter's values.
    pub fn data(&self, meter: &MeterName) -> String {
        self.of(format_args!("{meter}/data"))
    }

    /// The MQTT client id of one of the gateway's connections.
    pub fn client_id(&self, role: &str) -> String {
        format!("omnigate-{}-{role}", self.gateway_id)
    }

    fn of(&self, rest: fmt::Arguments<'_>) -> String {
        format!("v2/{}/{rest}", self.gateway_id)
    }
}

/// Text that is no gateway id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a gateway id is 1 to 64 letters, digits, '-', '_' and '.'")]
pub struct GatewayIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_those_that_the_cloud_knows() {
        let topics = Topics::new("706462169").unwrap();
        let meter = MeterName {
            manufacturer_key: "kam".to_owned(),
            device_id: "32666857".to_owned(),
        };
        assert_eq!(topics.config(&meter), "v2/706462169/kam-32666857/config");
        assert_eq!(topics.data(&meter), "v2/706462169/kam-32666857/data");
        assert_eq!(topics.set_result(), "v2/706462169/sensors/set/result");
        assert_eq!(topics.status(), "v2/706462169/status");
        assert_eq!(topics.stop(), "v2/706462169/STOP");
        assert_eq!(
            topics.client_id("publisher"),
            "omnigate-706462169-publisher"
        );
    }

    #[test]
    fn an_id_that_would_change_the_topic_is_refused() {
        let long = "x".repeat(65);
        for bad in ["", "a/b", "+", "#", "a b", "a\0b", "ä", &long] {
            assert_eq!(Topics::new(bad), Err(GatewayIdError), "{bad:?}");
        }
    }
}
