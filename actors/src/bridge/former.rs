//! What an earlier run described where nothing is described any more: at another prefix, before Home Assistant was switched off, or of a
//! gateway with another id. No I/O.
//!
//! Where that was, the retained `bridge/info` of the earlier run says; which meters, its retained list does. Home Assistant forgets what is
//! cleared at the broker, and keeps the rest for ever.

use std::collections::VecDeque;

use serde_json::Value;

use super::home_assistant::HomeAssistant;
use super::retained;
use crate::meter::MeterId;
use crate::mqtt::Outgoing;

/// See the [module documentation](self).
#[derive(Default)]
pub(super) struct Former {
    /// Nothing once all of it is cleared for certain.
    place: Option<Place>,
    /// The topics that are to be cleared on this connection; not known before the first is.
    left: Option<VecDeque<String>>,
    /// The number of the message with which the last was.
    cleared_with: Option<u64>,
}

struct Place {
    home_assistant: HomeAssistant,
    gateway_id: String,
    /// Only the gateway is described elsewhere now.
    of_gateway_only: bool,
}

impl Former {
    /// Reads what an earlier run said of itself; `now` is where descriptions are to be in this one. What cannot be read is as good as
    /// nothing.
    pub(super) fn recall(info: &[u8], gateway_id: &str, now: Option<&HomeAssistant>) -> Self {
        Self {
            place: Place::read(info).and_then(|place| place.unless(gateway_id, now)),
            ..Self::default()
        }
    }

    /// Adds messages that clear what is left, at most so many; `sent` were sent before them. `meters` are all that may have been described.
    /// Says whether that was all.
    pub(super) fn clear(
        &mut self,
        meters: impl Iterator<Item = MeterId>,
        room: usize,
        sent: u64,
        messages: &mut Vec<Outgoing>,
    ) -> bool {
        let Some(place) = &self.place else {
            return true;
        };
        let left = self.left.get_or_insert_with(|| place.topics(meters));
        let now = left.drain(..room.min(left.len()));
        messages.extend(now.map(|topic| retained(topic, String::new())));
        let is_all = left.is_empty();
        if is_all {
            self.cleared_with
                .get_or_insert(sent + messages.len() as u64);
        }
        is_all
    }

    /// So many messages were acknowledged, since there is this connection.
    pub(super) fn acknowledged(&mut self, total: u64) {
        if self.cleared_with.is_some_and(|number| number <= total) {
            *self = Self::default();
        }
    }

    /// On a new connection nothing was cleared yet.
    pub(super) fn forget_told(&mut self) {
        (self.left, self.cleared_with) = (None, None);
    }
}

impl Place {
    fn read(info: &[u8]) -> Option<Self> {
        let info: Value = serde_json::from_slice(info).ok()?;
        let prefix = info.pointer("/config/home_assistant")?.as_str()?;
        Some(Self {
            home_assistant: HomeAssistant {
                prefix: prefix.parse().ok()?,
            },
            gateway_id: info.get("gateway")?.as_str()?.to_owned(),
            of_gateway_only: false,
        })
    }

    /// Itself, as far as it is not where descriptions are now.
    fn unless(self, gateway_id: &str, now: Option<&HomeAssistant>) -> Option<Self> {
        let of_gateway_only = now == Some(&self.home_assistant);
        let is_here = of_gateway_only && self.gateway_id == gateway_id;
        (!is_here).then_some(Self {
            of_gateway_only,
            ..self
        })
    }

    fn topics(&self, meters: impl Iterator<Item = MeterId>) -> VecDeque<String> {
        let gateway = self.home_assistant.topic_of_gateway(&self.gateway_id);
        let meters = meters.filter(|_| !self.of_gateway_only);
        let meters = meters.map(|meter| self.home_assistant.topic_of_meter(meter));
        std::iter::once(gateway).chain(meters).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(prefix: &str) -> HomeAssistant {
        HomeAssistant {
            prefix: prefix.parse().unwrap(),
        }
    }

    fn meters() -> impl Iterator<Item = MeterId> {
        ["1", "2"].into_iter().map(|number| MeterId {
            manufacturer: "KAM".parse().unwrap(),
            identification: number.parse().unwrap(),
        })
    }

    fn cleared(former: &mut Former, room: usize) -> (bool, Vec<String>) {
        let mut messages = Vec::new();
        let is_all = former.clear(meters(), room, 0, &mut messages);
        assert!(messages.iter().all(|message| message.payload.is_empty()));
        let topics = messages.iter().map(|message| message.topic.to_string());
        (is_all, topics.collect())
    }

    const INFO: &[u8] = br#"{"gateway": "g", "config": {"home_assistant": "old"}}"#;
    const GATEWAY: &str = "old/device/omnigate_gateway_g/config";
    const METERS: [&str; 2] = [
        "old/device/omnigate_kam_00000001/config",
        "old/device/omnigate_kam_00000002/config",
    ];

    #[test]
    fn what_is_described_elsewhere_now_or_nowhere_is_cleared() {
        let all = [GATEWAY, METERS[0], METERS[1]];
        for (gateway_id, now, topics) in [
            ("g", None, &all[..]),
            ("g", Some(at("new")), &all),
            ("g", Some(at("old")), &[]),
            ("other", Some(at("old")), &[GATEWAY]),
        ] {
            let mut former = Former::recall(INFO, gateway_id, now.as_ref());
            assert_eq!(cleared(&mut former, 100).1, topics, "{gateway_id} {now:?}");
        }
        for info in [
            &b""[..],
            b"{}",
            br#"{"gateway": "g", "config": {"home_assistant": null}}"#,
        ] {
            assert!(
                cleared(&mut Former::recall(info, "g", None), 100)
                    .1
                    .is_empty()
            );
        }
    }

    #[test]
    fn in_steps_and_on_every_connection_until_the_broker_has_all_of_it() {
        let mut former = Former::recall(INFO, "g", None);
        assert_eq!(
            cleared(&mut former, 2),
            (false, vec![GATEWAY.into(), METERS[0].into()])
        );
        assert_eq!(cleared(&mut former, 2), (true, vec![METERS[1].into()]));
        former.acknowledged(0);
        former.forget_told();
        assert_eq!(cleared(&mut former, 3).1.len(), 3);
        assert_eq!(cleared(&mut former, 3), (true, vec![]));
        former.acknowledged(3);
        former.forget_told();
        assert_eq!(cleared(&mut former, 3), (true, vec![]));
    }
}
