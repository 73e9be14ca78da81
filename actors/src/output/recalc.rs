//! The ReCalc output: the topics and payloads of the ReCalc API, version 2, that the cloud knows.
//!
//! Pure: names and values in, text out. Values are written as exact decimals and never pass through a binary fraction; times are UTC in
//! RFC 3339 with whole seconds and `Z`.

use std::fmt;
use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use wmbus::{Profile, Reading};

use super::{Origin, Output, Tag};
use crate::clock::Stamp;
use crate::meter::MeterName;
use crate::mqtt::{Outgoing, QoS};
use crate::publisher::{MeterReading, News};

/// See the [module documentation](self). Publishes a message for each channel of the meter's profile, and the list of the channels.
pub struct ReCalc {
    topics: Topics,
}

impl ReCalc {
    /// Below these topics.
    pub fn new(topics: Topics) -> Self {
        Self { topics }
    }
}

impl Output for ReCalc {
    fn tag(&self) -> Tag {
        Tag(1)
    }

    fn encode(&self, reading: &MeterReading) -> Box<[u8]> {
        Values::of(&reading.reading, &reading.profile).into_bytes()
    }

    fn render(&self, kept: &[u8], of: &Origin<'_>, messages: &mut Vec<Outgoing>) {
        let topic: Arc<str> = self.topics.data(of.meter).into();
        let payloads = data_payloads(kept, of.received_at);
        messages.extend(payloads.map(|payload| Outgoing {
            topic: Arc::clone(&topic),
            payload,
            qos: QoS::AtLeastOnce,
            retained: false,
        }));
    }

    /// A meter without channels has nothing to announce; the API has no word for one that is removed.
    fn announce(&self, meter: &MeterName, news: &News, messages: &mut Vec<Outgoing>) {
        if let News::Introduced(profile) = news
            && !profile.channels.is_empty()
        {
            messages.push(Outgoing {
                topic: self.topics.config(meter).into(),
                payload: config_payload(profile).into_bytes(),
                qos: QoS::AtLeastOnce,
                retained: false,
            });
        }
    }
}

/// What ends every gateway that hears it, beside its own [`Topics::stop`].
pub const STOP_ALL: &str = "STOP";

/// The topics of one gateway.
///
/// ```
/// use omnigate_actors::output::recalc::Topics;
/// let topics = Topics::new("706462169")?;
/// assert_eq!(topics.set(), "v2/706462169/sensors/set");
/// assert!(Topics::new("a/b").is_err());
/// # Ok::<(), omnigate_actors::output::recalc::GatewayIdError>(())
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

    /// Where the gateway lists, retained, the meters that it monitors or hears.
    pub fn meters(&self) -> String {
        self.of(format_args!("meters"))
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

/// The payload of [`Topics::config`]: the channels of a type of meter.
///
/// ```
/// use omnigate_actors::output::recalc::config_payload;
/// let profiles = wmbus::Profiles::embedded();
/// let profile = profiles.find_by_key("KAM".parse()?, "OmniPower1").unwrap();
/// assert!(config_payload(profile).starts_with(
///     r#"{"Channels":[{"ChannelNumber":1,"DataType":"accumulated-power","ChannelName":"A+ / Active positive energy"},"#
/// ));
/// # Ok::<(), wmbus::AddressError>(())
/// ```
pub fn config_payload(profile: &Profile) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config<'a> {
        channels: Vec<Channel<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Channel<'a> {
        channel_number: u32,
        data_type: &'a str,
        channel_name: &'a str,
    }
    let channels = profile.channels.iter().map(|channel| Channel {
        channel_number: channel.number,
        data_type: &channel.data_type,
        channel_name: &channel.name,
    });
    let config = Config {
        channels: channels.collect(),
    };
    // Numbers, texts and lists of them: there is nothing that could fail.
    serde_json::to_string(&config).unwrap_or_default()
}

/// What is published of one reading, short enough to be stored: a line per channel with its number, its data type as JSON text and its
/// value, separated by tabs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(Box<[u8]>);

impl Values {
    /// The values of the profile's channels. One that was not sent is absent.
    pub fn of(reading: &Reading, profile: &Profile) -> Self {
        let mut lines = Vec::with_capacity(32 * profile.channels.len());
        for channel in &profile.channels {
            if let Some(value) = reading.channel(profile, channel) {
                let data_type = serde_json::to_string(&channel.data_type).unwrap_or_default();
                // Writing to memory cannot fail.
                let _ = writeln!(lines, "{}\t{data_type}\t{value}", channel.number);
            }
        }
        Self(lines.into())
    }

    /// As [`Self::into_bytes`] gave them.
    pub fn stored(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Whether there is nothing to publish.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As stored.
    pub fn into_bytes(self) -> Box<[u8]> {
        self.0
    }
}

/// The payloads of [`Topics::data`] of one stored reading, one for each channel. `received_at` is when its telegram was; an estimate is
/// marked with `"timestampEstimated":true`, and without a time there is nothing to send.
///
/// ```
/// let stored = b"1\t\"accumulated-power\"\t2.06\n";
/// # use omnigate_actors::clock::Stamp;
/// let received_at = Stamp::Known("2020-10-25T10:08:00.9Z".parse()?);
/// let payloads: Vec<_> = omnigate_actors::output::recalc::data_payloads(stored, received_at).collect();
/// assert_eq!(
///     String::from_utf8(payloads.concat())?,
///     r#"{"channelNumber":1,"aggregateType":"Raw","dataType":"accumulated-power","value":2.06,"timestamp":"2020-10-25T10:08:00Z"}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn data_payloads(stored: &[u8], received_at: Stamp) -> impl Iterator<Item = Vec<u8>> {
    let second = received_at.time().map(whole_second);
    let mark = if received_at.is_estimated() {
        ",\"timestampEstimated\":true"
    } else {
        ""
    };
    let end = second.map(|second| format!(",\"timestamp\":\"{second}\"{mark}}}"));
    stored_values(stored).filter_map(move |[number, data_type, value]| {
        let parts = [
            b"{\"channelNumber\":",
            number,
            b",\"aggregateType\":\"Raw\",\"dataType\":",
            data_type,
            b",\"value\":",
            value,
            end.as_ref()?.as_bytes(),
        ];
        Some(parts.concat())
    })
}

/// The number, the data type as JSON text, and the value of each channel of a stored reading.
pub fn stored_values(stored: &[u8]) -> impl Iterator<Item = [&[u8]; 3]> {
    stored.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b'\t');
        Some([parts.next()?, parts.next()?, parts.next()?])
    })
}

/// The time as it is written in payloads. A time that a time stamp holds is one in whole seconds too.
pub(crate) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

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

    fn decode(telegram: &str) -> (Reading, Arc<Profile>) {
        let bytes: Vec<_> = (0..telegram.len() / 2)
            .map(|at| u8::from_str_radix(&telegram[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let key = "9A25139E3244CC2E391A8EF6B915B697".parse().unwrap();
        let mut decoder = wmbus::Decoder::new(Some(key));
        let reading = decoder.decode(&bytes).unwrap();
        let profile = Arc::clone(decoder.profile(reading.address).unwrap());
        (reading, profile)
    }

    #[test]
    fn a_captured_telegram_gives_the_documented_messages() {
        let (reading, profile) = decode(
            "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59",
        );
        let stored = Values::of(&reading, &profile).into_bytes();
        let payloads: Vec<_> = data_payloads(
            &stored,
            Stamp::Known("2020-10-25T10:08:00Z".parse().unwrap()),
        )
        .map(|payload| String::from_utf8(payload).unwrap())
        .collect();
        let expected = [(1, "accumulated-power", "2.06"), (2, "accumulated-power", "0"), (3, "power", "3"), (4, "power", "0")]
            .map(|(number, data_type, value)| {
                format!(r#"{{"channelNumber":{number},"aggregateType":"Raw","dataType":"{data_type}","value":{value},"timestamp":"2020-10-25T10:08:00Z"}}"#)
            });
        assert_eq!(payloads, expected);
    }

    #[test]
    fn the_config_message_names_the_channels() {
        let (_, profile) = decode(
            "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59",
        );
        assert_eq!(
            config_payload(&profile),
            r#"{"Channels":[{"ChannelNumber":1,"DataType":"accumulated-power","ChannelName":"A+ / Active positive energy"},{"ChannelNumber":2,"DataType":"accumulated-power","ChannelName":"A- / Active negative energy"},{"ChannelNumber":3,"DataType":"power","ChannelName":"P+ / Active positive power"},{"ChannelNumber":4,"DataType":"power","ChannelName":"P- / Active negative power"}]}"#
        );
    }

    #[test]
    fn a_reading_without_channels_is_empty() {
        let (reading, profile) = decode(
            "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59",
        );
        let unknown = Profile::unknown(profile.manufacturer);
        let values = Values::of(&reading, &unknown);
        assert!(values.is_empty());
        assert_eq!(
            data_payloads(&values.into_bytes(), Stamp::Known(Timestamp::UNIX_EPOCH)).count(),
            0
        );
    }

    #[test]
    fn damaged_lines_are_skipped() {
        let stored = b"1\t\"a\"\n\n2\n3\t\"a\"\t7\n";
        let payloads: Vec<_> =
            data_payloads(stored, Stamp::Estimated(Timestamp::UNIX_EPOCH)).collect();
        assert_eq!(payloads.len(), 1);
        assert!(payloads[0].starts_with(b"{\"channelNumber\":3,"));
        assert!(
            payloads[0]
                .ends_with(b",\"timestamp\":\"1970-01-01T00:00:00Z\",\"timestampEstimated\":true}")
        );
    }
}
