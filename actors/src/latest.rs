//! Latest: what each meter said last, for whoever shows it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wmbus::Profile;
use wmbus::profile::Channel;

use crate::clock::Stamp;
use crate::meter::MeterName;
use crate::output::recalc::{Values, stored_values};

/// The latest reading of each meter, shared between the Publisher that writes it and whoever shows it. As many as there are meters:
/// whoever monitors a meter holds its name, and a name that nobody else holds is forgotten.
#[derive(Debug, Default)]
pub struct Latest(Mutex<HashMap<Arc<MeterName>, Reading>>);

/// What a meter said last.
#[derive(Debug, Clone)]
pub struct Reading {
    /// When its telegram was received.
    pub received_at: Stamp,
    /// What is known about the type of meter.
    pub profile: Arc<Profile>,
    /// As [`Values`] stores them.
    values: Box<[u8]>,
}

/// The value of one of a meter's channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelValue<'a> {
    /// What the channel is.
    pub channel: &'a Channel,
    /// An exact decimal in the channel's unit.
    pub value: &'a str,
}

impl Latest {
    /// Notes a reading.
    pub fn note(
        &self,
        meter: &Arc<MeterName>,
        received_at: Stamp,
        profile: &Arc<Profile>,
        values: &Values,
    ) {
        let reading = Reading {
            received_at,
            profile: Arc::clone(profile),
            values: values.as_bytes().into(),
        };
        let mut readings = self.lock();
        if let Some(known) = readings.get_mut(meter) {
            *known = reading;
            return;
        }
        // Only when there is no room left, so that it costs little per meter.
        if readings.len() == readings.capacity() {
            readings.retain(|name, _| Arc::strong_count(name) > 1);
        }
        readings.insert(Arc::clone(meter), reading);
    }

    /// What this meter said last, if it has said anything since the program started.
    pub fn of(&self, meter: &MeterName) -> Option<Reading> {
        self.lock().get(meter).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<MeterName>, Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// The values in the order of the profile's channels. One that was not sent is absent.
    pub fn values(&self) -> impl Iterator<Item = ChannelValue<'_>> {
        stored_values(&self.values).filter_map(|[number, _, value]| {
            let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
            let mut channels = self.profile.channels.iter();
            Some(ChannelValue {
                channel: channels.find(|channel| channel.number == number)?,
                value: std::str::from_utf8(value).ok()?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TELEGRAM: &str =
        "27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59";

    fn noted(latest: &Latest, device_id: &str) -> Arc<MeterName> {
        let bytes: Vec<_> = (0..TELEGRAM.len() / 2)
            .map(|at| u8::from_str_radix(&TELEGRAM[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let key = "9A25139E3244CC2E391A8EF6B915B697".parse().unwrap();
        let mut decoder = wmbus::Decoder::new(Some(key));
        let reading = decoder.decode(&bytes).unwrap();
        let profile = Arc::clone(decoder.profile(reading.address).unwrap());
        let name = Arc::new(MeterName {
            manufacturer_key: "kam".to_owned(),
            device_id: device_id.to_owned(),
        });
        let values = Values::of(&reading, &profile);
        latest.note(&name, Stamp::Known(jiff::Timestamp::MAX), &profile, &values);
        name
    }

    #[test]
    fn tells_the_values_with_their_channels() {
        let latest = Latest::default();
        let name = noted(&latest, "32666857");
        let reading = latest.of(&name).unwrap();
        let shown: Vec<_> = reading
            .values()
            .map(|value| {
                let channel = value.channel;
                format!("{} {} {}", channel.field, value.value, channel.unit)
            })
            .collect();
        let expected = [
            "energy_import 2.06 kWh",
            "energy_export 0 kWh",
            "power_import 3 W",
            "power_export 0 W",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn forgets_meters_that_nobody_monitors() {
        let latest = Latest::default();
        let kept = noted(&latest, "kept");
        for number in 0..1000 {
            drop(noted(&latest, &number.to_string()));
        }
        assert!(latest.of(&kept).is_some());
        assert!(latest.lock().len() < 100, "{}", latest.lock().len());
    }
}
