//! The set message: the cloud's complete list of meters to monitor, parsed and validated.
//!
//! Pure: bytes in, entries and their answers out. The message is a JSON list of objects with `deviceId`, `manufacturerKey`,
//! `encryptionKey` and `manufacturerDeviceKey`; each name may also begin with a capital letter. Rules:
//!
//! * what is not a JSON list, or is too large, changes nothing ([`Unusable`]);
//! * every entry is answered in [`SetReport`], in the order of the message. An entry that cannot be used is answered with the reason,
//!   and its meter is not in the new set; the others work;
//! * of several entries for one meter the last counts, and the others are answered. That holds for an unusable one too;
//! * members with other names are ignored. An `encryptionKey` that is absent, null or empty means that the meter does not encrypt; the
//!   answer says so, because it is also what a misspelt name looks like.
//!
//! Nothing here prints what it read except a well-formed `deviceId` and `manufacturerKey`: a key may have been put into any member.

mod afterthoughts;
mod doubt;
mod entry;
mod report;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

pub use afterthoughts::Afterthoughts;
pub use doubt::Doubt;
pub use entry::Entry;
use entry::RawEntry;
pub(crate) use entry::wipe;
pub use report::{SetReport, Unusable};

/// A set message that can be applied.
pub struct SetMessage {
    entries: Vec<Entry>,
    report: SetReport,
}

/// How large a set message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole message.
    pub bytes: usize,
    /// Entries, usable or not.
    pub meters: usize,
}

impl Default for Limits {
    /// 4 MiB, 10,000 entries.
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            meters: 10_000,
        }
    }
}

impl SetMessage {
    /// Reads a set message.
    ///
    /// # Errors
    /// [`Unusable`] if the message as a whole cannot be used; then nothing may be changed.
    ///
    /// # Example
    /// ```
    /// use omnigate_actors::set_message::{Limits, SetMessage};
    /// let message = br#"[{"deviceId": "32666857", "manufacturerKey": "kam", "encryptionKey": "oops", "manufacturerDeviceKey": "OmniPower1"}]"#;
    /// let (entries, report) = SetMessage::parse(message, &Limits::default())?.into_parts();
    /// assert!(entries.is_empty());
    /// assert_eq!(
    ///     report.to_json(),
    ///     r#"{"accepted":0,"refused":1,"entries":[{"deviceId":"32666857","manufacturerKey":"kam","accepted":false,"reason":"encryptionKey: a key of 32 hexadecimal digits is needed, 4 characters were given"}]}"#
    /// );
    /// # Ok::<(), omnigate_actors::set_message::Unusable>(())
    /// ```
    pub fn parse(payload: &[u8], limits: &Limits) -> Result<Self, Unusable> {
        if payload.len() > limits.bytes {
            return Err(Unusable::TooLarge {
                bytes: payload.len(),
                limit: limits.bytes,
            });
        }
        match serde_json::from_slice(payload) {
            Ok(Value::Array(list)) => Self::of_list(list, limits),
            Ok(other) => {
                wipe(other);
                Err(Unusable::NotAList)
            }
            // The error's own text may quote the message.
            Err(error) => Err(Unusable::NotJson {
                line: error.line(),
                column: error.column(),
            }),
        }
    }

    /// The same of a list that was read already.
    ///
    /// # Errors
    /// [`Unusable::TooManyMeters`].
    pub fn of_list(list: Vec<Value>, limits: &Limits) -> Result<Self, Unusable> {
        if list.len() > limits.meters {
            let meters = list.len();
            list.into_iter().for_each(wipe);
            return Err(Unusable::TooManyMeters {
                meters,
                limit: limits.meters,
            });
        }
        Ok(Self::judge(list.into_iter().map(RawEntry::read).collect()))
    }

    /// How many meters it names that can be monitored.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The usable entries, and the answer to all of them.
    pub fn into_parts(self) -> (Vec<Entry>, SetReport) {
        (self.entries, self.report)
    }

    fn judge(raw: Vec<RawEntry>) -> Self {
        let last_of: HashMap<_, _> = raw
            .iter()
            .enumerate()
            .filter_map(|(position, raw)| Some((raw.id()?, position)))
            .collect();
        let mut entries = Vec::with_capacity(raw.len());
        let mut answers = Vec::with_capacity(raw.len());
        for (position, raw) in raw.into_iter().enumerate() {
            let last = raw.id().and_then(|id| last_of.get(&id));
            let replaced = last.is_some_and(|&last| last != position);
            let (answer, entry) = raw.answer(replaced);
            answers.push(answer);
            entries.extend(entry);
        }
        Self {
            entries,
            report: SetReport { entries: answers },
        }
    }
}

/// Shows how many entries, never what is in them.
impl fmt::Debug for SetMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SetMessage({} meters)", self.entries.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set_message::entry::capitalised;
    use proptest::prelude::*;

    const KEY: &str = "9A25139E3244CC2E391A8EF6B915B697";

    fn parse(message: &str) -> (Vec<Entry>, Value) {
        let set = SetMessage::parse(message.as_bytes(), &Limits::default()).unwrap();
        let (entries, report) = set.into_parts();
        (entries, serde_json::from_str(&report.to_json()).unwrap())
    }

    fn entry(device_id: &str, manufacturer: &str, key: &str) -> String {
        format!(
            r#"{{"deviceId": "{device_id}", "manufacturerKey": "{manufacturer}", "encryptionKey": "{key}", "manufacturerDeviceKey": "OmniPower1"}}"#
        )
    }

    fn reason(answer: &Value) -> &str {
        assert_eq!(answer["accepted"], false);
        answer["reason"].as_str().unwrap()
    }

    #[test]
    fn reads_the_documented_message() {
        let (entries, answer) = parse(&format!("[{}]", entry("32666857", "kam", KEY)));
        let [entry] = &entries[..] else {
            panic!("one entry")
        };
        assert_eq!(entry.id.to_string(), "KAM-32666857");
        assert_eq!(entry.name.to_string(), "kam-32666857");
        assert_eq!(entry.device_key, "OmniPower1");
        assert_eq!(entry.key, Some(KEY.parse().unwrap()));
        assert_eq!(
            answer,
            serde_json::json!({"accepted": 1, "refused": 0, "entries": [
                {"deviceId": "32666857", "manufacturerKey": "kam", "accepted": true}
            ]})
        );
    }

    #[test]
    fn accepts_both_spellings_of_every_name_in_any_mixture() {
        let names = [
            "deviceId",
            "manufacturerKey",
            "encryptionKey",
            "manufacturerDeviceKey",
        ];
        for mixture in 0..16_u32 {
            let mut message = format!("[{}]", entry("32666857", "kam", KEY));
            for (bit, name) in names.iter().enumerate() {
                if mixture >> bit & 1 == 1 {
                    let quoted = |name: &str| format!("\"{name}\"");
                    message = message.replace(&quoted(name), &quoted(&capitalised(name)));
                }
            }
            let (entries, _) = parse(&message);
            assert_eq!(entries.len(), 1, "{message}");
            assert_eq!(entries[0].key, Some(KEY.parse().unwrap()));
            assert_eq!(entries[0].device_key, "OmniPower1");
        }
        let (_, answer) =
            parse(r#"[{"deviceId": "1", "DeviceId": "2", "manufacturerKey": "kam"}]"#);
        assert_eq!(
            reason(&answer["entries"][0]),
            "deviceId stands there in both spellings"
        );
    }

    #[test]
    fn unusable_entries_are_answered_and_the_others_work() {
        let message = format!(
            r#"[5, "{KEY}", null, {{}}, {{"deviceId": "12345678"}}, {{"deviceId": 12345678, "manufacturerKey": "kam"}},
                {}, {}, {}, {}, {}]"#,
            entry("123456789", "kam", KEY),
            entry("12345678", "kamstrup", KEY),
            entry("12345678", "kam", "12"),
            entry("87654321", "kam", &KEY.replace('F', "G")),
            entry("32666857", "KAM", KEY),
        );
        let (entries, answer) = parse(&message);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].name.to_string(), "KAM-32666857");
        assert_eq!(
            (&answer["accepted"], &answer["refused"]),
            (&1.into(), &10.into())
        );
        let answers = answer["entries"].as_array().unwrap();
        let reasons: Vec<_> = answers[..10].iter().map(reason).collect();
        assert_eq!(
            reasons,
            [
                "not a JSON object",
                "not a JSON object",
                "not a JSON object",
                "deviceId is missing",
                "manufacturerKey is missing",
                "deviceId is not text in quotes",
                "deviceId is not a number of one to eight digits",
                "manufacturerKey is not three ASCII letters",
                "encryptionKey: a key of 32 hexadecimal digits is needed, 2 characters were given",
                "encryptionKey: character 23 of the key is not a hexadecimal digit",
            ]
        );
        assert_eq!(answers[8]["deviceId"], "12345678");
        assert!(answers[6].get("deviceId").is_none());
    }

    #[test]
    fn the_last_entry_for_a_meter_wins_whatever_its_spelling() {
        let other = "00112233445566778899AABBCCDDEEFF";
        let message = format!(
            "[{},{},{}]",
            entry("00666857", "kam", KEY),
            entry("32666857", "kam", KEY),
            entry("666857", "KAM", other)
        );
        let (entries, answer) = parse(&message);
        let names: Vec<_> = entries.iter().map(|e| e.name.to_string()).collect();
        assert_eq!(names, ["kam-32666857", "KAM-666857"]);
        assert_eq!(entries[1].key, Some(other.parse().unwrap()));
        assert_eq!(
            reason(&answer["entries"][0]),
            "replaced by a later entry for the same meter"
        );
    }

    #[test]
    fn an_unusable_last_entry_removes_its_meter() {
        let message = format!(
            "[{},{}]",
            entry("32666857", "kam", KEY),
            entry("32666857", "kam", "oops")
        );
        let (entries, answer) = parse(&message);
        assert!(entries.is_empty());
        assert!(reason(&answer["entries"][0]).starts_with("replaced"));
        assert!(reason(&answer["entries"][1]).starts_with("encryptionKey"));
    }

    #[test]
    fn the_same_number_of_two_manufacturers_is_two_meters() {
        let message = format!("[{},{}]", entry("1", "kam", KEY), entry("1", "elv", KEY));
        assert_eq!(parse(&message).0.len(), 2);
    }

    #[test]
    fn an_absent_key_is_accepted_with_a_warning() {
        for message in [
            r#"[{"deviceId": "1", "manufacturerKey": "kam"}]"#,
            r#"[{"deviceId": "1", "manufacturerKey": "kam", "encryptionKey": null}]"#,
            r#"[{"deviceId": "1", "manufacturerKey": "kam", "encryptionKey": ""}]"#,
            r#"[{"deviceId": "1", "manufacturerKey": "kam", "encryptionkey": "00112233445566778899AABBCCDDEEFF"}]"#,
        ] {
            let (entries, answer) = parse(message);
            assert_eq!(entries[0].key, None);
            assert!(
                answer["entries"][0]["warning"]
                    .as_str()
                    .unwrap()
                    .contains("encryptionKey")
            );
        }
    }

    #[test]
    fn what_is_no_list_is_unusable_as_a_whole() {
        let limits = Limits {
            bytes: 30,
            meters: 2,
        };
        let of = |message: &str| SetMessage::parse(message.as_bytes(), &limits).map(|_| ());
        assert_eq!(of("[]"), Ok(()));
        assert_eq!(of(" [1,2] "), Ok(()));
        assert_eq!(
            of("[1,2,3]"),
            Err(Unusable::TooManyMeters {
                meters: 3,
                limit: 2
            })
        );
        assert_eq!(
            of(&" ".repeat(31)),
            Err(Unusable::TooLarge {
                bytes: 31,
                limit: 30
            })
        );
        for no_list in ["{}", "null", "7", "\"[]\""] {
            assert_eq!(of(no_list), Err(Unusable::NotAList), "{no_list}");
        }
        for no_json in ["", "[", "[] []", "[}", "\u{feff}[]"] {
            assert!(
                matches!(of(no_json), Err(Unusable::NotJson { .. })),
                "{no_json}"
            );
        }
        let answer = of("[{").unwrap_err().to_json();
        assert_eq!(
            answer,
            r#"{"accepted":0,"refused":0,"error":"not JSON: mistake in line 1, column 2","entries":[]}"#
        );
    }

    #[test]
    fn deep_nesting_is_refused_and_harmless() {
        let deep = "[".repeat(1_000_000);
        assert!(matches!(
            SetMessage::parse(deep.as_bytes(), &Limits::default()),
            Err(Unusable::NotJson { .. })
        ));
    }

    #[test]
    fn no_answer_repeats_a_key_wherever_it_stood() {
        for member in [
            "deviceId",
            "manufacturerKey",
            "encryptionKey",
            "manufacturerDeviceKey",
            "anything",
        ] {
            for wrong in [KEY.to_owned(), format!("{KEY}0"), KEY[1..].to_owned()] {
                let message = format!(
                    r#"[{{"deviceId": "1", "manufacturerKey": "kam", "{member}": "{wrong}"}}]"#
                );
                let set = SetMessage::parse(message.as_bytes(), &Limits::default()).unwrap();
                let seen = format!("{set:?}{:?}{}", set.report, set.report.to_json());
                assert!(
                    !seen.contains(&wrong) && !seen.contains(&wrong[..31]),
                    "{seen}"
                );
            }
        }
        let unusable = SetMessage::parse(format!("[{KEY}").as_bytes(), &Limits::default());
        assert!(!unusable.unwrap_err().to_json().contains(&KEY[..4]));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = SetMessage::parse(&bytes, &Limits::default());
        }

        #[test]
        fn every_entry_is_answered_and_no_meter_comes_twice(ids in proptest::collection::vec(0..6_u32, 0..20), bad in any::<u32>()) {
            let list: Vec<_> = ids
                .iter()
                .enumerate()
                .map(|(at, id)| entry(&id.to_string(), "kam", if bad >> at & 1 == 1 { "bad" } else { KEY }))
                .collect();
            let (entries, answer) = parse(&format!("[{}]", list.join(",")));
            let answers = answer["entries"].as_array().unwrap();
            prop_assert_eq!(answers.len(), ids.len());
            prop_assert_eq!(answers.iter().filter(|a| a["accepted"] == true).count(), entries.len());
            for id in 0..6 {
                let last = ids.iter().rposition(|&other| other == id);
                let usable = last.is_some_and(|at| bad >> at & 1 == 0);
                let count = entries.iter().filter(|e| e.name.device_id == id.to_string()).count();
                prop_assert_eq!(count, usize::from(usable));
            }
        }
    }
}
