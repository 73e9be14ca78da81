//! Outputs: the forms in which readings are published, each switched on or off in the settings.
//!
//! An [`Output`] is asked three times about a reading: what of it is to be kept ([`Output::encode`], when it goes into the outbox), which
//! messages that makes ([`Output::render`], when it is sent, with the time stamp that is known then), and, apart from readings, what is said
//! of a meter that is introduced or removed ([`Output::announce`]). What the outputs keep of a reading is one row of the outbox, packed
//! together by `body.rs`. A row that was written by another version, or by an output that is switched off by now, gives the messages of those
//! that are there; the rest is skipped and counted.
//!
//! [`recalc`] is the cloud's interface, [`state`] one retained JSON object per meter. Another output is one more file here and one more line
//! where the program is wired.

pub mod base_topic;
mod body;
pub mod catalogue;
pub mod fields;
pub mod recalc;
mod register;
pub mod state;

use std::sync::Arc;

use crate::clock::Stamp;
use crate::counters::{Count, Counters};
use crate::meter::MeterName;
use crate::mqtt::Outgoing;
use crate::publisher::{MeterReading, News};
use crate::store::outbox::NewRow;

/// A form in which readings are published. Called on the Publisher's thread; shared by all its lives.
pub trait Output: Send + Sync {
    /// What its parts of the outbox's rows are called there, for ever.
    fn tag(&self) -> Tag;

    /// What is to be kept of a reading until it is sent; empty if this output has nothing to say of it. Holds no time stamp.
    fn encode(&self, reading: &MeterReading) -> Box<[u8]>;

    /// Adds the messages that make up what was kept.
    fn render(&self, kept: &[u8], of: &Origin<'_>, messages: &mut Vec<Outgoing>);

    /// Adds the messages that tell something new of a meter, apart from readings.
    fn announce(&self, meter: &MeterName, news: &News, messages: &mut Vec<Outgoing>);
}

/// Names an output in the rows of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub u8);

/// Where what was kept comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// Whose reading it is.
    pub meter: &'a MeterName,
    /// When the telegram was received. A row that is handed out has a time.
    pub received_at: Stamp,
}

/// The outputs that are switched on.
#[derive(Clone)]
pub struct Outputs {
    outputs: Arc<[Box<dyn Output>]>,
    counters: Arc<Counters>,
}

impl Outputs {
    /// These.
    pub fn new(outputs: Vec<Box<dyn Output>>, counters: Arc<Counters>) -> Self {
        Self {
            outputs: outputs.into(),
            counters,
        }
    }

    /// A reading as the outbox keeps it; `None` if no output has anything to say of it.
    pub fn encode(&self, reading: &MeterReading) -> Option<Box<[u8]>> {
        let parts = self
            .outputs
            .iter()
            .map(|output| (output.tag(), output.encode(reading)));
        body::pack(parts.filter(|(_, part)| !part.is_empty()))
    }

    /// Adds the messages of a row.
    pub fn render(&self, row: &NewRow, messages: &mut Vec<Outgoing>) {
        let origin = Origin {
            meter: &row.meter,
            received_at: row.received_at,
        };
        for part in body::unpack(&row.body) {
            let known = part.ok().and_then(|(tag, part)| {
                let output = self.outputs.iter().find(|output| output.tag() == tag)?;
                Some((output, part))
            });
            match known {
                Some((output, part)) => output.render(part, &origin, messages),
                None => self.counters.increment(Count::OutboxPartsSkipped),
            }
        }
    }

    /// Adds what all outputs tell of a meter.
    pub fn announce(&self, meter: &MeterName, news: &News, messages: &mut Vec<Outgoing>) {
        for output in self.outputs.iter() {
            output.announce(meter, news, messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::QoS;

    /// Publishes what it kept, in one message.
    struct Echo(u8);

    impl Output for Echo {
        fn tag(&self) -> Tag {
            Tag(self.0)
        }

        fn encode(&self, _: &MeterReading) -> Box<[u8]> {
            Box::new([self.0])
        }

        fn render(&self, kept: &[u8], of: &Origin<'_>, messages: &mut Vec<Outgoing>) {
            messages.push(Outgoing {
                topic: of.meter.to_string().into(),
                payload: kept.to_vec(),
                qos: QoS::AtLeastOnce,
                retained: false,
            });
        }

        fn announce(&self, _: &MeterName, _: &News, _: &mut Vec<Outgoing>) {}
    }

    fn row(body: Box<[u8]>) -> NewRow {
        NewRow {
            meter: Arc::new(MeterName {
                manufacturer_key: "kam".to_owned(),
                device_id: "1".to_owned(),
            }),
            received_at: Stamp::Known(jiff::Timestamp::UNIX_EPOCH),
            body,
        }
    }

    #[test]
    fn what_no_output_knows_is_skipped_and_counted() {
        let counters: Arc<Counters> = Arc::default();
        let outputs = Outputs::new(vec![Box::new(Echo(1)), Box::new(Echo(3))], counters.clone());
        let parts = [
            (Tag(3), b"c".to_vec()),
            (Tag(2), b"b".to_vec()),
            (Tag(1), b"a".to_vec()),
        ];
        let body = body::pack(parts.into_iter().map(|(tag, part)| (tag, part.into()))).unwrap();
        let mut messages = Vec::new();
        outputs.render(&row(body), &mut messages);
        let payloads: Vec<_> = messages
            .iter()
            .map(|message| &message.payload[..])
            .collect();
        assert_eq!(payloads, [b"c", b"a"]);
        assert_eq!(counters.value(Count::OutboxPartsSkipped), 1);

        let old = b"1\t\"accumulated-power\"\t2.06\n";
        outputs.render(&row(Box::new(*old)), &mut messages);
        assert_eq!(messages.len(), 2);
        assert_eq!(counters.value(Count::OutboxPartsSkipped), 2);
    }
}
