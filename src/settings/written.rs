//! What a settings file says, key by key, to tell what a newer one changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

/// The keys that a file gives, `section.key`, and the text of their values. Some are secrets: none is ever printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Written(BTreeMap<String, Zeroizing<String>>);

impl Written {
    /// Those of this text, as far as it is TOML.
    pub fn of(text: &str) -> Self {
        let (table, _) = DeTable::parse_recoverable(text);
        let mut written = Self::default();
        written.add("", table.get_ref(), text);
        written
    }

    fn add(&mut self, section: &str, table: &DeTable<'_>, text: &str) {
        for (name, value) in table {
            let key = format!("{section}{}", name.get_ref());
            match value.get_ref() {
                DeValue::Table(table) => self.add(&format!("{key}."), table, text),
                DeValue::Array(list) => {
                    let tables = list.iter().filter_map(|item| item.get_ref().as_table());
                    for (number, table) in tables.enumerate() {
                        self.add(&format!("{key}[{number}]."), table, text);
                    }
                    self.set(key, text.get(value.span()));
                }
                _ => self.set(key, text.get(value.span())),
            }
        }
    }

    fn set(&mut self, key: String, value: Option<&str>) {
        let value = value.unwrap_or_default().to_owned();
        self.0.insert(key, Zeroizing::new(value));
    }

    /// The keys that only one of the two gives, or that they give other values.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        keys.into_iter()
            .filter(|key| self.0.get(*key) != other.0.get(*key))
            .cloned()
            .collect()
    }

    /// Says of this key what `newer` says.
    pub fn adopt(&mut self, key: &str, newer: &Self) {
        match newer.0.get(key) {
            Some(value) => self.0.insert(key.to_owned(), value.clone()),
            None => self.0.remove(key),
        };
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Written({} keys, values redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "[log]\nlevel = 'info'\n[mqtt]\nurl = 'mqtt://a'\npassword = 'x'\n";

    #[test]
    fn keys_that_came_went_or_changed_are_differences() {
        let new =
            "# a comment\n[mqtt]\npassword = 'y'\nurl = 'mqtt://a'\n[driver]\npath = 'auto'\n";
        let (mut old, new) = (Written::of(OLD), Written::of(new));
        assert_eq!(
            old.differences(&new),
            ["driver.path", "log.level", "mqtt.password"]
        );
        old.adopt("log.level", &new);
        old.adopt("driver.path", &new);
        assert_eq!(old.differences(&new), ["mqtt.password"]);
        assert!(!format!("{old:?}").contains('x'));
    }

    #[test]
    fn lists_and_tables_in_them_are_looked_into() {
        let written = |ports: &str, name: &str| {
            Written::of(&format!(
                "ports = {ports}\n[[output]]\nname = '{name}'\n[deep.er]\nkey = 1\n"
            ))
        };
        let old = written("[1, 2]", "a");
        assert!(old.differences(&written("[1, 2]", "a")).is_empty());
        assert_eq!(
            old.differences(&written("[1, 3]", "b")),
            ["output[0].name", "ports"]
        );
    }
}
