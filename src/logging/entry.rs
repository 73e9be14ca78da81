//! A log message as it is written: text, without anything that could pass for another message.

use std::fmt::{self, Write};

use slog::{KV, Key, Level, OwnedKVList, Record, Serializer};

/// A message with its keys and values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// How important it is.
    pub level: Level,
    /// What happened.
    pub message: String,
    /// What it is about; the message's own keys first, then those of its logger.
    pub pairs: Vec<(Key, String)>,
}

impl Entry {
    /// Takes the record's texts. Control characters, which names that came by radio or from the broker may hold, are escaped.
    pub fn of(record: &Record<'_>, logger_values: &OwnedKVList) -> Self {
        let mut pairs = Pairs(Vec::new());
        // Neither fails: the serializer below does not.
        let _ = record.kv().serialize(record, &mut pairs);
        let _ = logger_values.serialize(record, &mut pairs);
        Self {
            level: record.level(),
            message: escaped(*record.msg()),
            pairs: pairs.0,
        }
    }
}

impl KV for Entry {
    fn serialize(&self, _: &Record<'_>, serializer: &mut dyn Serializer) -> slog::Result {
        self.pairs
            .iter()
            .try_for_each(|(key, value)| serializer.emit_str(key, value))
    }
}

/// `message, key: value, key: value`
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.pairs
            .iter()
            .try_for_each(|(key, value)| write!(f, ", {key}: {value}"))
    }
}

struct Pairs(Vec<(Key, String)>);

impl Serializer for Pairs {
    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.0.push((key, escaped(value)));
        Ok(())
    }
}

fn escaped(text: impl fmt::Display) -> String {
    struct Escaping(String);

    impl Write for Escaping {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for character in text.chars() {
                if character.is_control() {
                    self.0.extend(character.escape_default());
                } else {
                    self.0.push(character);
                }
            }
            Ok(())
        }
    }

    let mut escaping = Escaping(String::new());
    // Writing to memory does not fail; a `Display` that does leaves what it has written.
    let _ = write!(escaping, "{text}");
    escaping.0
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use slog::{Drain, Logger, Never, info, o, warn};

    use super::*;

    /// Keeps what it is given.
    #[derive(Clone, Default)]
    pub struct Memory(Arc<Mutex<Vec<Entry>>>);

    impl Memory {
        /// What came, in `Display`'s form, with the level's first letter.
        pub fn lines(&self) -> Vec<String> {
            let line = |entry: &Entry| format!("{} {entry}", &entry.level.as_str()[..1]);
            self.0.lock().unwrap().iter().map(line).collect()
        }
    }

    impl Drain for Memory {
        type Ok = ();
        type Err = Never;

        fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
            self.0.lock().unwrap().push(Entry::of(record, values));
            Ok(())
        }
    }

    #[test]
    fn has_the_keys_of_the_message_and_of_its_logger() {
        let memory = Memory::default();
        let log = Logger::root(memory.clone(), o!("actor" => "parser"));
        info!(log, "heard {}", 7; "bytes" => 12, "seconds" => 0.5);
        let lines = memory.lines();
        assert!(lines[0].starts_with("I heard 7, "), "{lines:?}");
        for part in ["actor: parser", "bytes: 12", "seconds: 0.5"] {
            assert!(lines[0].contains(part), "{lines:?}");
        }
    }

    #[test]
    fn nobody_can_forge_a_message_within_a_message() {
        let memory = Memory::default();
        let log = Logger::root(memory.clone(), o!());
        warn!(log, "unknown\nERROR"; "name" => "kam\r\u{1b}[2J-1\u{9b}");
        assert_eq!(
            memory.lines(),
            ["W unknown\\nERROR, name: kam\\r\\u{1b}[2J-1\\u{9b}"]
        );
    }
}
