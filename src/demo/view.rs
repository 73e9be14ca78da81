//! What the subscriber of the demo shows: every message that was published, for people.

use std::collections::HashMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::Value;

/// How messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Time, topic and meaning.
    Plain,
    /// The same with colours.
    Coloured,
    /// Topic and payload as they are.
    Raw,
}

/// Shows messages one by one and remembers what the channels are called.
pub struct View {
    style: Style,
    /// What all topics of the gateway begin with.
    prefix: String,
    /// The names of channels, by the meter's topic and the channel's number.
    channels: HashMap<(String, u64), String>,
}

impl View {
    /// Of the gateway with this id.
    pub fn new(gateway_id: &str, style: Style) -> Self {
        Self {
            style,
            prefix: format!("v2/{gateway_id}/"),
            channels: HashMap::new(),
        }
    }

    /// The message as a line.
    pub fn show(&mut self, now: Timestamp, topic: &str, payload: &[u8]) -> String {
        let text = String::from_utf8_lossy(payload);
        let short = topic.strip_prefix(&self.prefix).unwrap_or(topic);
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        if self.style == Style::Raw {
            // A set message holds keys; they are not for the screen, even in a demo.
            let text = if short == SET {
                without_keys(json)
            } else {
                text.into_owned()
            };
            return format!("{topic} {}", one_line(&text));
        }
        let meaning = self
            .meaning(short, &json)
            .unwrap_or_else(|| one_line(&text));
        let time = now.strftime("%H:%M:%S");
        let topic = format!("{short:<22}");
        match self.style {
            Style::Coloured => format!("{DIM}{time}{RESET}  {CYAN}{topic}{RESET}  {meaning}"),
            Style::Plain | Style::Raw => format!("{time}  {topic}  {meaning}"),
        }
    }

    /// What the message says; nothing if it is none of the gateway's.
    fn meaning(&mut self, topic: &str, json: &Value) -> Option<String> {
        match topic {
            SET => Some(format!(
                "the cloud names the meters: {}",
                json.as_array()?.len()
            )),
            "sensors/set/result" => Some(format!(
                "{} accepted, {} refused",
                json["accepted"], json["refused"]
            )),
            "STOP" => Some("somebody stops the gateway".to_owned()),
            "status" => Some(format!(
                "the gateway is {}",
                self.bold(json["state"].as_str()?)
            )),
            "meters" => Some(format!(
                "meters that are monitored or heard: {}",
                json["meters"].as_array()?.len()
            )),
            _ => {
                let (meter, what) = topic.rsplit_once('/')?;
                match what {
                    "config" => self.config(meter, json),
                    "data" => self.data(meter, json),
                    _ => None,
                }
            }
        }
    }

    fn config(&mut self, meter: &str, json: &Value) -> Option<String> {
        let mut text = String::from("channels:");
        for channel in json["Channels"].as_array()? {
            let (number, name) = (
                channel["ChannelNumber"].as_u64()?,
                channel["ChannelName"].as_str()?,
            );
            // The short name is enough for a line.
            let short = name.split(" / ").next().unwrap_or(name);
            let _ = write!(text, "  {number} {short}");
            self.channels
                .insert((meter.to_owned(), number), name.to_owned());
        }
        Some(text)
    }

    fn data(&self, meter: &str, json: &Value) -> Option<String> {
        let number = json["channelNumber"].as_u64()?;
        let name = self
            .channels
            .get(&(meter.to_owned(), number))
            .cloned()
            .unwrap_or_else(|| format!("channel {number}"));
        let (value, time) = (json["value"].to_string(), json["timestamp"].as_str()?);
        // The interface has a unit for each type of data and does not send it.
        let unit = match json["dataType"].as_str()? {
            "accumulated-power" => "kWh",
            "power" => "W",
            _ => "",
        };
        Some(format!(
            "{name:<28} {} {unit:<3}  {}",
            self.bold(&format!("{value:>12}")),
            self.dim(time)
        ))
    }

    fn bold(&self, text: &str) -> String {
        if self.style == Style::Coloured {
            format!("{BOLD}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }

    fn dim(&self, text: &str) -> String {
        if self.style == Style::Coloured {
            format!("{DIM}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }
}

/// A set message with its keys made unreadable.
fn without_keys(mut json: Value) -> String {
    for entry in json.as_array_mut().into_iter().flatten() {
        for (name, value) in entry.as_object_mut().into_iter().flatten() {
            if name.eq_ignore_ascii_case("encryptionKey") {
                *value = Value::from("…");
            }
        }
    }
    json.to_string()
}

/// Without control characters, which could do anything to a terminal.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

/// The topic of set messages, behind the prefix.
const SET: &str = "sensors/set";
const DIM: &str = "\u{1b}[2m";
const BOLD: &str = "\u{1b}[1m";
const CYAN: &str = "\u{1b}[36m";
const RESET: &str = "\u{1b}[0m";

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"Channels":[{"ChannelNumber":1,"DataType":"accumulated-power","ChannelName":"A+ / Active positive energy"}]}"#;
    const DATA: &str = r#"{"channelNumber":1,"aggregateType":"Raw","dataType":"accumulated-power","value":2.06,"timestamp":"2020-10-25T10:08:00Z"}"#;
    const SET_MESSAGE: &str =
        r#"[{"deviceId":"32666857","encryptionKey":"9A25139E3244CC2E391A8EF6B915B697"}]"#;

    fn show(style: Style, messages: &[(&str, &str)]) -> Vec<String> {
        let mut view = View::new("demo", style);
        let now = "2020-10-25T10:08:01Z".parse().unwrap();
        messages
            .iter()
            .map(|(topic, payload)| view.show(now, topic, payload.as_bytes()))
            .collect()
    }

    #[test]
    fn says_what_messages_mean() {
        let lines = show(
            Style::Plain,
            &[
                ("v2/demo/status", r#"{"state":"online"}"#),
                ("v2/demo/sensors/set", SET_MESSAGE),
                (
                    "v2/demo/sensors/set/result",
                    r#"{"accepted":1,"refused":0,"entries":[]}"#,
                ),
                ("v2/demo/kam-32666857/config", CONFIG),
                ("v2/demo/kam-32666857/data", DATA),
                (
                    "v2/demo/kam-32666857/data",
                    &DATA
                        .replace("Number\":1", "Number\":9")
                        .replace("accumulated-", ""),
                ),
            ],
        );
        assert_eq!(
            lines,
            [
                "10:08:01  status                  the gateway is online",
                "10:08:01  sensors/set             the cloud names the meters: 1",
                "10:08:01  sensors/set/result      1 accepted, 0 refused",
                "10:08:01  kam-32666857/config     channels:  1 A+",
                "10:08:01  kam-32666857/data       A+ / Active positive energy          2.06 kWh  2020-10-25T10:08:00Z",
                "10:08:01  kam-32666857/data       channel 9                            2.06 W    2020-10-25T10:08:00Z",
            ]
        );
    }

    #[test]
    fn shows_what_it_does_not_understand_as_it_is() {
        let lines = show(
            Style::Plain,
            &[
                ("STOP", ""),
                ("v2/demo/a/b/c", "x\ny"),
                ("v2/demo/kam-1/data", "{}"),
            ],
        );
        assert_eq!(
            lines,
            [
                "10:08:01  STOP                    somebody stops the gateway",
                "10:08:01  a/b/c                   x y",
                "10:08:01  kam-1/data              {}",
            ]
        );
    }

    #[test]
    fn raw_is_topic_and_payload_without_keys() {
        let lines = show(
            Style::Raw,
            &[
                ("v2/demo/kam-1/data", DATA),
                ("v2/demo/sensors/set", SET_MESSAGE),
            ],
        );
        assert_eq!(
            lines,
            [
                format!("v2/demo/kam-1/data {DATA}"),
                r#"v2/demo/sensors/set [{"deviceId":"32666857","encryptionKey":"…"}]"#.to_owned(),
            ]
        );
    }
}
