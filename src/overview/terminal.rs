//! The overview for a terminal: aligned, with colours only where there is somebody to see them.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::words::ago;
use super::{Condition, Meter, Overview, Value};
use crate::table::Table;

/// The overview as lines of text.
pub fn render(overview: &Overview, coloured: bool) -> String {
    let mut text = Text {
        lines: String::new(),
        coloured,
        now: overview.time,
    };
    text.summary(overview);
    text.stations(overview);
    text.meters(&overview.meters);
    text.unknown(overview);
    text.actors(overview);
    text.lines
}

struct Text {
    lines: String,
    coloured: bool,
    now: Timestamp,
}

/// Codes of ISO 6429.
#[derive(Clone, Copy)]
enum Colour {
    Title = 1,
    Bad = 31,
    Good = 32,
}

impl Text {
    fn summary(&mut self, overview: &Overview) {
        let (colour, state) = if overview.is_ready() {
            (Colour::Good, "ready")
        } else {
            (Colour::Bad, "not ready")
        };
        let (gateway, version) = (&overview.gateway, &overview.version);
        let since = overview
            .started
            .map(|started| format!(", started {}", self.ago(started)))
            .unwrap_or_default();
        self.line(
            Some(colour),
            &format!("{gateway}: {state}, omnigate {version}{since}"),
        );
        for trouble in &overview.troubles {
            let since = trouble
                .since
                .map(|since| format!(", since {}", self.ago(since)))
                .unwrap_or_default();
            let line = format!("  {}: {}{since}", trouble.part, trouble.what);
            self.line(Some(Colour::Bad), &line);
        }
    }

    fn stations(&mut self, overview: &Overview) {
        let Overview {
            source,
            broker,
            outbox,
            ..
        } = overview;
        let mut facts = vec![source.state.clone()];
        facts.extend(source.link_mode.clone());
        facts.extend(source.path.clone());
        facts.extend(source.dongle.clone());
        facts.extend(
            source
                .last_telegram
                .map(|last| format!("last telegram {}", self.ago(last))),
        );
        if source.recovery_steps > 0 {
            facts.push(format!("{} recovery steps", source.recovery_steps));
        }
        let mut table = Table::plain();
        table.add(["source".to_owned(), facts.join(", ")]);
        let mut facts = vec![format!("{} waiting, {} sent", outbox.waiting, outbox.sent)];
        facts.extend(
            outbox
                .oldest
                .map(|oldest| format!("oldest {}", self.ago(oldest))),
        );
        if outbox.dropped > 0 {
            facts.push(format!("{} dropped", outbox.dropped));
        }
        table.add(["outbox".to_owned(), facts.join(", ")]);
        let state = match broker.away_since {
            _ if broker.connected => "connected".to_owned(),
            Some(since) => format!("away since {}", self.ago(since)),
            None => "away".to_owned(),
        };
        table.add([
            "broker".to_owned(),
            format!("{state}, {}, {} messages", broker.url, broker.published),
        ]);
        self.line(None, "");
        self.table(&table, None);
    }

    fn meters(&mut self, meters: &[Meter]) {
        if meters.is_empty() {
            self.line(None, "");
            self.line(None, "No meters are monitored.");
            return;
        }
        let mut table = Table::new(["METER", "STATE", "HEARD", "SIGNAL", "LATEST VALUES"]);
        for meter in meters {
            table.add([
                meter.name.clone(),
                meter.state().to_owned(),
                match meter.last_heard {
                    Some(at) => self.ago(at),
                    None if meter.condition == Condition::Unheard => "never".to_owned(),
                    None => "time unknown".to_owned(),
                },
                signal(meter.rssi),
                values(&meter.values),
            ]);
        }
        self.line(None, "");
        self.table(&table, Some(Colour::Title));
    }

    fn unknown(&mut self, overview: &Overview) {
        if overview.unknown.is_empty() {
            return;
        }
        let mut table = Table::new(["NOT MONITORED", "MEASURES", "HEARD", "SIGNAL", "TELEGRAMS"]);
        for meter in overview.unknown.iter().take(SHOWN) {
            table.add([
                format!("{}-{}", meter.manufacturer, meter.id),
                meter.medium.clone(),
                meter
                    .last_heard
                    .map_or_else(|| "time unknown".to_owned(), |at| self.ago(at)),
                signal(meter.rssi),
                meter.telegrams.to_string(),
            ]);
        }
        self.line(None, "");
        self.table(&table, Some(Colour::Title));
        if let Some(more @ 1..) = overview.unknown.len().checked_sub(SHOWN) {
            self.line(None, &format!("and {more} more, heard less often"));
        }
    }

    fn actors(&mut self, overview: &Overview) {
        let mut table = Table::new(["ACTOR", "STATE", "RESTARTS", "LAST ERROR"]);
        for actor in &overview.actors {
            let error = match (&actor.last_error, actor.last_error_at) {
                (Some(error), Some(at)) => format!("{error}, {}", self.ago(at)),
                (Some(error), None) => error.clone(),
                (None, _) => String::new(),
            };
            table.add([
                actor.name.clone(),
                actor.state.clone(),
                actor.restarts.to_string(),
                error,
            ]);
        }
        self.line(None, "");
        self.table(&table, Some(Colour::Title));
    }

    /// A table, its first line in this colour.
    fn table<const COLUMNS: usize>(&mut self, table: &Table<COLUMNS>, mut colour: Option<Colour>) {
        for line in table.lines() {
            self.line(colour.take(), &line);
        }
    }

    /// Text from the air or the cloud must not command the terminal: control characters are replaced.
    fn line(&mut self, colour: Option<Colour>, text: &str) {
        let harmless = text.chars().map(|letter| {
            if letter.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                letter
            }
        });
        let colour = colour.filter(|_| self.coloured);
        if let Some(colour) = colour {
            // Writing to memory cannot fail.
            let _ = write!(self.lines, "\u{1b}[{}m", colour as u8);
        }
        self.lines.extend(harmless);
        self.lines.push_str(if colour.is_some() {
            "\u{1b}[0m\n"
        } else {
            "\n"
        });
    }

    fn ago(&self, time: Timestamp) -> String {
        ago(self.now.duration_since(time))
    }
}

fn signal(dbm: Option<i8>) -> String {
    dbm.map_or_else(String::new, |dbm| format!("{dbm} dBm"))
}

fn values(values: &[Value]) -> String {
    let shown: Vec<_> = values
        .iter()
        .map(
            |Value {
                 name, value, unit, ..
             }| {
                let name = name
                    .split_once(" / ")
                    .map_or(name.as_str(), |(short, _)| short);
                format!("{name} {value} {unit}").trim_end().to_owned()
            },
        )
        .collect();
    shown.join("  ")
}

/// Meters on the air that are shown.
const SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::tests::overview;

    #[test]
    fn columns_are_aligned() {
        let text = render(&overview(), false);
        let expected = "\
706462169: ready, omnigate 0.1.0, started 2 h ago

source  listening, C1a, /dev/serial/by-id/usb-IMST_iM871A-if00, last telegram now
outbox  0 waiting, 0 sent
broker  connected, mqtt://localhost:1883, 1234 messages

METER  STATE    HEARD  SIGNAL   LATEST VALUES
kam-1  reading  now    -71 dBm  A+ 424788.78 kWh
kam-2  reading  now    -71 dBm  A+ 424788.78 kWh

ACTOR   STATE    RESTARTS  LAST ERROR
driver  running  1         panic: ouch, 5 s ago
";
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_from_outside_commands_the_terminal() {
        let mut overview = overview();
        overview.meters[0].model = "\u{1b}]0;evil\u{7}".to_owned();
        overview.meters[0].condition = Condition::Refused("\u{1b}[2J".to_owned());
        overview.actors[0].last_error = Some("a\nb".to_owned());
        assert!(!render(&overview, false).contains('\u{1b}'));
        let coloured = render(&overview, true);
        assert!(!coloured.contains("\u{1b}[2J") && !coloured.contains("a\nb"));
        assert!(coloured.starts_with("\u{1b}[32m706462169: ready"));
    }
}
