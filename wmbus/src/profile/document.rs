//! Reads a profile's TOML key by key and collects every mistake, not only the first.
//!
//! serde stops at the first mistake. So the key that it stumbled over is reported and taken away, and the table is read again, until
//! nothing is left to stumble over.

use core::fmt;
use core::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// A mistake in a profile file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    /// The line, from 1; `None` where no line is to blame.
    pub line: Option<usize>,
    /// The key, such as `fields.unit`; empty if the line is not TOML.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "{line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProfileError {}

/// A mistake in a value: where it is, in bytes from the start, and what it is.
pub(super) type Mistake = (usize, String);

/// A mistake at this value.
pub(super) fn at<T>(place: &Spanned<T>, message: &str) -> Mistake {
    (place.span().start, message.to_owned())
}

/// A file that is being read.
pub(super) struct Document<'a> {
    /// Where lines end.
    ends: Vec<usize>,
    keys: DeTable<'a>,
    asked_for: Vec<&'static str>,
    mistakes: Vec<ProfileError>,
    is_toml: bool,
}

impl<'a> Document<'a> {
    /// Reads the text as TOML, as far as it is.
    pub(super) fn new(text: &'a str) -> Self {
        let (keys, errors) = DeTable::parse_recoverable(text);
        let ends: Vec<usize> = text.match_indices('\n').map(|(end, _)| end).collect();
        let mut mistakes: Vec<_> = errors
            .iter()
            .map(|error| ProfileError {
                line: error.span().map(|span| line_of(&ends, span.start)),
                key: String::new(),
                message: error.message().to_owned(),
            })
            .collect();
        // What follows the first error of a line is its consequence.
        mistakes.dedup_by_key(|mistake| mistake.line);
        Self {
            ends,
            keys: keys.into_inner(),
            asked_for: Vec::new(),
            is_toml: mistakes.is_empty(),
            mistakes,
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: DeserializeOwned>(
        &mut self,
        key: &'static str,
    ) -> Option<Spanned<T>> {
        // What is missing may be in the part that is not TOML.
        if !self.keys.contains_key(key) && self.is_toml {
            self.report(None, key, "is missing".to_owned());
        }
        let value = self.take(key)?;
        self.read(key, value)
    }

    /// The elements of a list, without the wrong ones; none if the key is not there.
    pub(super) fn list<T: DeserializeOwned>(&mut self, key: &'static str) -> Vec<Spanned<T>> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let place = value.span();
        match value.into_inner() {
            DeValue::Array(elements) => elements
                .into_iter()
                .filter_map(|element| self.read(key, element))
                .collect(),
            _ => {
                self.report(Some(place.start), key, "a list is expected".to_owned());
                Vec::new()
            }
        }
    }

    /// What a check gave, if it found no mistake.
    pub(super) fn checked<T>(&mut self, key: &str, result: Result<T, Mistake>) -> Option<T> {
        result
            .map_err(|(offset, message)| self.report(Some(offset), key, message))
            .ok()
    }

    /// Is everything right so far?
    pub(super) fn is_right(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// The line of a place.
    pub(super) fn line_of<T>(&self, place: &Spanned<T>) -> usize {
        line_of(&self.ends, place.span().start)
    }

    /// All mistakes in the order of their lines, the first of very many. Call it after the last key was asked for.
    pub(super) fn mistakes(mut self) -> Vec<ProfileError> {
        let expected = self.asked_for.join(", ");
        for (key, _) in core::mem::take(&mut self.keys) {
            let (place, key) = (key.span().start, key.into_inner().into_owned());
            self.report(
                Some(place),
                &key,
                format!("unknown key, expected one of {expected}"),
            );
        }
        self.mistakes.sort_by_key(|mistake| mistake.line);
        self.mistakes.truncate(MOST);
        self.mistakes
    }

    fn take(&mut self, key: &'static str) -> Option<Spanned<DeValue<'a>>> {
        self.asked_for.push(key);
        self.keys.remove(key)
    }

    fn read<T: DeserializeOwned>(
        &mut self,
        key: &str,
        value: Spanned<DeValue<'a>>,
    ) -> Option<Spanned<T>> {
        let place = value.span();
        let DeValue::Table(mut table) = value.get_ref().clone() else {
            let read = T::deserialize(ValueDeserializer::from(value));
            return read
                .map_err(|error| self.report(Some(place.start), key, error.message().to_owned()))
                .ok()
                .map(|value| Spanned::new(place, value));
        };
        let mut refused = Vec::new();
        loop {
            let whole = Spanned::new(place.clone(), DeValue::Table(table.clone()));
            let error = match T::deserialize(ValueDeserializer::from(whole)) {
                Ok(value) => return refused.is_empty().then(|| Spanned::new(place, value)),
                Err(error) => error,
            };
            match error.span().and_then(|span| key_at(&table, &span)) {
                Some((inner, offset)) => {
                    self.report(
                        Some(offset),
                        &format!("{key}.{inner}"),
                        error.message().to_owned(),
                    );
                    table.remove(inner.as_str());
                    refused.push(inner);
                }
                None => {
                    // What was refused above is not missing.
                    let missing = |key: &String| error.message().contains(&format!("`{key}`"));
                    if !refused.iter().any(missing) {
                        self.report(Some(place.start), key, error.message().to_owned());
                    }
                    return None;
                }
            }
        }
    }

    fn report(&mut self, offset: Option<usize>, key: &str, message: String) {
        if self.mistakes.len() >= MOST {
            return;
        }
        let line = offset.map(|offset| line_of(&self.ends, offset));
        // The rest of a line that is not TOML means nothing.
        let broken = |mistake: &ProfileError| mistake.key.is_empty() && mistake.line == line;
        if !self.mistakes.iter().any(broken) {
            self.mistakes.push(ProfileError {
                line,
                key: key.to_owned(),
                message,
            });
        }
    }
}

/// The key of the table that an error at `place` is about, and where it is.
fn key_at(table: &DeTable<'_>, place: &Range<usize>) -> Option<(String, usize)> {
    let holds = |span: Range<usize>| span.start <= place.start && place.end <= span.end;
    table
        .iter()
        .find(|(key, value)| holds(key.span()) || holds(value.span()))
        .map(|(key, _)| (key.get_ref().to_string(), key.span().start))
}

fn line_of(ends: &[usize], offset: usize) -> usize {
    1 + ends.partition_point(|end| *end < offset)
}

/// Mistakes that are told of one file.
const MOST: usize = 100;
