//! The Publisher's care for the retained list of meters.

use std::time::{Duration, Instant};

use super::in_flight::Sent;
use super::{Publisher, retained};
use crate::meter_list;

/// What the broker was told.
#[derive(Default)]
pub(super) struct MetersDuty {
    /// When it was last looked whether there is something new.
    looked: Option<Instant>,
    /// When it was told, on this connection, and what of it counts.
    told: Option<(Instant, u64)>,
}

impl Publisher {
    /// Publishes the list if it is time for it and it has changed, or was not told for long.
    pub(super) fn keep_meters(&mut self) {
        let gap = self.config.meters_gap;
        let looked = self.meters.looked.map(|looked| looked.elapsed());
        if !self.uplink.is_connected()
            || self.farewell.is_some()
            || looked.is_some_and(|since| since < gap)
        {
            return;
        }
        let Some(list) = &self.config.meters else {
            return;
        };
        let list = list();
        self.meters.looked = Some(Instant::now());
        let gist = meter_list::gist(&list);
        let known = self
            .meters
            .told
            .is_some_and(|(at, told)| told == gist && at.elapsed() < TOLD_AGAIN);
        if known {
            return;
        }
        self.meters.told = Some((Instant::now(), gist));
        self.batch.push(retained(
            &self.config.topics.meters(),
            meter_list::payload(list),
        ));
        self.in_flight.push(Sent::Meters, 1);
        self.hand_over();
    }

    /// On a new connection nothing was told.
    pub(super) fn forget_meters(&mut self) {
        self.meters = MetersDuty::default();
    }
}

/// What has not changed is told again after so long, for the signal strengths and counts in it.
const TOLD_AGAIN: Duration = Duration::from_hours(1);
