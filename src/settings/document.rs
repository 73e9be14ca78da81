//! Reads a TOML document section by section and collects every mistake in it, not only the first.
//!
//! serde stops at the first mistake. So the key that it stumbled over is reported, taken away, and the section is read again, until
//! nothing is left to stumble over. Messages never quote a text of the document: it may be a secret in the wrong place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// Something in the settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line it is on, from 1; none if it is about something that is missing.
    pub line: Option<usize>,
    /// The key, `section.key`; empty if the line is not TOML.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// A document that is being read.
pub struct Document<'a> {
    text: &'a str,
    sections: DeTable<'a>,
    asked_for: Vec<&'static str>,
    mistakes: Vec<Mistake>,
    is_toml: bool,
}

/// The keys that a section gives, right or wrong, and their lines.
#[derive(Debug, Default)]
pub struct Keys {
    section: &'static str,
    lines: BTreeMap<String, usize>,
    refused: BTreeSet<String>,
}

impl Keys {
    /// Whether the key is given.
    pub fn has(&self, key: &str) -> bool {
        self.lines.contains_key(key)
    }

    /// Whether the key is given and was refused, so that the section has its default instead.
    pub fn refused(&self, key: &str) -> bool {
        self.refused.contains(key)
    }

    /// A mistake at the key.
    pub fn mistake(&self, key: &str, what: impl Into<String>) -> Mistake {
        Mistake {
            line: self.lines.get(key).copied(),
            key: format!("{}.{key}", self.section),
            what: what.into(),
        }
    }
}

impl<'a> Document<'a> {
    /// Reads the text as TOML, as far as it is.
    pub fn new(text: &'a str) -> Self {
        let (sections, errors) = DeTable::parse_recoverable(text);
        let mut mistakes: Vec<_> = errors
            .iter()
            // Not its `Display`, which quotes the line.
            .map(|error| Mistake {
                line: error.span().map(|span| line_at(text, span.start)),
                key: String::new(),
                what: error.message().to_owned(),
            })
            .collect();
        // What follows the first error of a line is its consequence.
        mistakes.dedup_by_key(|mistake| mistake.line);
        Self {
            text,
            sections: sections.into_inner(),
            asked_for: Vec::new(),
            is_toml: mistakes.is_empty(),
            mistakes,
        }
    }

    /// The section, without what is wrong in it; none if without that it cannot be.
    pub fn section<S: DeserializeOwned>(&mut self, name: &'static str) -> (Option<S>, Keys) {
        self.asked_for.push(name);
        let mut keys = Keys {
            section: name,
            ..Keys::default()
        };
        let (mut table, span) = match self.sections.remove(name) {
            None => (DeTable::new(), 0..0),
            Some(value) => {
                let span = value.span();
                match value.into_inner() {
                    DeValue::Table(table) => (table, span),
                    _ => {
                        self.report(
                            &span,
                            name.to_owned(),
                            format!("a section is expected: [{name}]"),
                        );
                        (DeTable::new(), 0..0)
                    }
                }
            }
        };
        for key in table.keys() {
            keys.lines.insert(
                key.get_ref().to_string(),
                line_at(self.text, key.span().start),
            );
        }
        loop {
            let whole = Spanned::new(span.clone(), DeValue::Table(table.clone()));
            let error = match S::deserialize(ValueDeserializer::from(whole)) {
                Ok(section) => return (Some(section), keys),
                Err(error) => error,
            };
            let culprit = error.span().and_then(|place| key_at(&table, &place));
            match culprit {
                Some((key, place)) => {
                    self.report(
                        &place,
                        format!("{name}.{key}"),
                        without_quotation(error.message()),
                    );
                    table.remove(key.as_str());
                    keys.refused.insert(key);
                }
                None => {
                    let (key, what) = match missing_key(error.message()) {
                        // It is there, but was refused above.
                        Some(key) if keys.refused(key) => return (None, keys),
                        Some(key) => (format!("{name}.{key}"), "is missing".to_owned()),
                        None => (name.to_owned(), without_quotation(error.message())),
                    };
                    // What is missing may be in the part that is not TOML.
                    if self.is_toml {
                        self.mistakes.push(Mistake {
                            line: None,
                            key,
                            what,
                        });
                    }
                    return (None, keys);
                }
            }
        }
    }

    /// The mistakes in the sections that were read, and what is not TOML, in the order of their lines. The other sections are somebody
    /// else's.
    pub fn mistakes_in_sections(mut self) -> Vec<Mistake> {
        self.mistakes.sort();
        self.mistakes
    }

    /// All mistakes, in the order of their lines. Call it after the last [`Document::section`].
    pub fn mistakes(mut self) -> Vec<Mistake> {
        let expected = self
            .asked_for
            .iter()
            .map(|name| format!("[{name}]"))
            .collect::<Vec<_>>()
            .join(", ");
        for (name, _) in std::mem::take(&mut self.sections) {
            let (span, name) = (name.span(), name.into_inner().into_owned());
            self.report(
                &span,
                name,
                format!("unknown section, expected one of {expected}"),
            );
        }
        self.mistakes_in_sections()
    }

    fn report(&mut self, place: &Range<usize>, key: String, what: String) {
        let line = Some(line_at(self.text, place.start));
        // The rest of a line that is not TOML means nothing.
        let broken = |mistake: &Mistake| mistake.key.is_empty() && mistake.line == line;
        if !self.mistakes.iter().any(broken) {
            self.mistakes.push(Mistake { line, key, what });
        }
    }
}

/// The key of the table that an error at `place` is about, and where the key is.
fn key_at(table: &DeTable<'_>, place: &Range<usize>) -> Option<(String, Range<usize>)> {
    let holds = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
    table
        .iter()
        .find(|(key, value)| holds(key.span()) || holds(value.span()))
        .map(|(key, _)| (key.get_ref().to_string(), key.span()))
}

/// serde has no other way to say which key is missing.
fn missing_key(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// What serde says, without the text that it found: `invalid type: string "…", expected …`, ``unknown variant `…`, expected …``.
fn without_quotation(message: &str) -> String {
    let quotes = [
        "invalid type: string ",
        "invalid value: string ",
        "unknown variant ",
    ];
    match message.rsplit_once(", expected ") {
        Some((found, expected)) if quotes.iter().any(|quote| found.starts_with(quote)) => {
            format!("expected {expected}")
        }
        _ => message.to_owned(),
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::settings::values::Bounded;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Fruit {
        name: String,
        #[serde(default)]
        count: Option<Bounded<1, 9>>,
        #[serde(default)]
        ripe: bool,
    }

    fn read(text: &str) -> (Option<Fruit>, Vec<String>) {
        let mut document = Document::new(text);
        let (fruit, _) = document.section("fruit");
        (
            fruit,
            document.mistakes().iter().map(Mistake::to_string).collect(),
        )
    }

    #[test]
    fn what_is_right_is_read() {
        let (fruit, mistakes) = read("[fruit]\nname = 'fig'\ncount = 9\n");
        assert_eq!(
            fruit,
            Some(Fruit {
                name: "fig".to_owned(),
                count: Bounded::new(9),
                ripe: false
            })
        );
        assert!(mistakes.is_empty());
    }

    #[test]
    fn every_mistake_is_found_with_its_line_and_key() {
        let (fruit, mistakes) = read(
            "colour = 'red'\n[fruit]\nname = 'fig'\ncount = 10\nripe = 'yes'\nsize = 3\nweight = 4\n[vegetable]\nname = 'leek'\n",
        );
        assert_eq!(
            fruit,
            Some(Fruit {
                name: "fig".to_owned(),
                count: None,
                ripe: false
            })
        );
        assert_eq!(
            mistakes,
            [
                "1: colour: unknown section, expected one of [fruit]",
                "4: fruit.count: 10 is out of range, expected a whole number from 1 to 9",
                "5: fruit.ripe: expected a boolean",
                "6: fruit.size: unknown field `size`, expected one of `name`, `count`, `ripe`",
                "7: fruit.weight: unknown field `weight`, expected one of `name`, `count`, `ripe`",
                "8: vegetable: unknown section, expected one of [fruit]",
            ]
        );
    }

    #[test]
    fn a_missing_key_is_said_once_and_a_refused_one_is_not_missing() {
        assert_eq!(read("").1, ["fruit.name: is missing"]);
        assert_eq!(
            read("[fruit]\ncount = 0\n").1,
            [
                "fruit.name: is missing",
                "2: fruit.count: 0 is out of range, expected a whole number from 1 to 9",
            ]
        );
        assert_eq!(
            read("[fruit]\nname = 5\n").1,
            ["2: fruit.name: invalid type: integer `5`, expected a string"]
        );
        assert_eq!(
            read("fruit = 5\n").1.first().unwrap(),
            "fruit.name: is missing"
        );
    }

    #[test]
    fn what_is_not_toml_is_reported_line_by_line_and_never_quoted() {
        let (_, mistakes) =
            read("[fruit]\nname = s3cret\ncount = \nripe = 'yes'\nsize == s3cret\n");
        let lines: Vec<_> = mistakes
            .iter()
            .map(|mistake| mistake.split(':').next().unwrap())
            .collect();
        assert_eq!(lines, ["2", "3", "4", "5"], "{mistakes:?}");
        assert!(
            !mistakes.iter().any(|mistake| mistake.contains("s3cret")),
            "{mistakes:?}"
        );
    }
}
