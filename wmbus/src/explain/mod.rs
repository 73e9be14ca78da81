//! A telegram taken apart: every byte with its layer, its field, what the field means and what it says.
//!
//! For people who want to understand a meter they do not know, or an error. Each layer has a file that walks over its
//! bytes; `Page` sees to it that every byte is written down once, whatever they are.

mod afl;
mod apl;
mod ell;
mod frame;
mod link;
mod record;
mod tpl;

use std::borrow::Cow;

use crate::decoder::Decoder;
use crate::error::{Error, ErrorKind, Layer};
use crate::proprietary::Note;
use crate::reader::Reader;
use crate::reading::Reading;
use crate::telegram::{Buffer, Clear, Telegram};

/// A telegram taken apart.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Explanation {
    /// The parts, in the order sent. Together they are the whole telegram, and no byte is in two of them.
    pub parts: Vec<Part>,
    /// The message that the telegram completes, if it is the last fragment of one: taken apart in the same way, with
    /// places counted from the message's first byte. Else empty.
    pub joined: Vec<Part>,
    /// What [`Decoder::decode`] makes of the telegram.
    pub outcome: Result<Reading, Error>,
    /// Where the error is, counted as in `joined` if that is not empty, else as in `parts`. `None` without an error, and
    /// in a joined message that has no readable header.
    pub failed_at: Option<usize>,
}

/// One field of a telegram.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Where it begins, counted from the telegram's first byte as it was given.
    pub offset: usize,
    /// Its bytes as they were received.
    pub bytes: Vec<u8>,
    /// The same decrypted, if they were encrypted and the key fits.
    pub decrypted: Option<Vec<u8>>,
    /// The layer it belongs to.
    pub layer: Layer,
    /// The field's name in the standard, as `CI` or `DIF`.
    pub field: &'static str,
    /// What the field is about.
    pub meaning: Cow<'static, str>,
    /// What it says; empty if nothing more than `meaning`.
    pub value: String,
}

impl Decoder {
    /// Takes a telegram apart, byte by byte, and decodes it: also one that cannot be decoded, as far as it goes.
    ///
    /// ```
    /// use wmbus::Decoder;
    /// let bytes = [0x0F, 0x44, 0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02, 0x78, 0x02, 0x2B, 0x03, 0x00, 0x2F];
    /// let explanation = Decoder::new(None).explain(&bytes);
    /// let power = explanation.parts.iter().find(|part| part.field == "data").unwrap();
    /// assert_eq!((power.offset, &*power.meaning, &*power.value), (13, "power", "3 W"));
    /// ```
    pub fn explain(&mut self, bytes: &[u8]) -> Explanation {
        let mut fragments = self.fragments().clone();
        let outcome = self.decode(bytes);
        let received = link::Received::new(bytes, |bare| self.opens(bare));
        let bare = received.bare();
        let parsed = Telegram::parse(bare);
        let clear = match &parsed {
            Ok(telegram) => telegram.clear(self.key()),
            Err(_) => Clear {
                bytes: bare.to_vec(),
                ..Clear::default()
            },
        };
        let mut page = Page::new(&clear);
        let mut buffer = Buffer::new();
        let plain = parsed
            .as_ref()
            .ok()
            .and_then(|telegram| self.open(telegram, &mut buffer).ok());
        let is_fragment = parsed.as_ref().is_ok_and(Telegram::is_fragment);
        let mut message = Vec::new();
        let joined = parsed.as_ref().ok().filter(|_| is_fragment);
        let joined = joined.and_then(|last| last.clone().join(&mut fragments, &mut message).ok());
        if received.is_frame() {
            frame::explain(&mut page, self, plain.as_ref());
        } else {
            link::explain(&mut page);
        }
        let error = outcome.as_ref().err().copied();
        let in_telegram = |error: &Error| {
            !is_fragment || matches!(error.kind, ErrorKind::Incomplete | ErrorKind::Fragment(_))
        };
        page.rest(error.filter(in_telegram));
        let failed_at = match (&error, &joined) {
            (Some(error), _) if in_telegram(error) => Some(received.place(error.offset)),
            (Some(error), Some(_)) => Some(error.offset),
            _ => None,
        };
        Explanation {
            parts: received.place_all(page.parts, &clear),
            joined: joined.map_or(Vec::new(), |joined| self.explain_joined(&joined, error)),
            outcome,
            failed_at,
        }
    }

    /// Takes a message apart that was joined from fragments.
    fn explain_joined(&mut self, telegram: &Telegram<'_>, error: Option<Error>) -> Vec<Part> {
        let received = link::Received::joined(telegram.joined().unwrap_or_default());
        let clear = telegram.clear(self.key());
        let mut page = Page::new(&clear);
        let mut buffer = Buffer::new();
        let plain = self.open(telegram, &mut buffer).ok();
        frame::explain_message(&mut page, self, plain.as_ref());
        page.rest(error);
        received.place_all(page.parts, &clear)
    }

    /// Can it be opened as it is? What is sealed as it is, may be opened as frame format B.
    fn opens(&self, bare: &[u8]) -> bool {
        let mut buffer = Buffer::new();
        Telegram::parse(bare).is_ok_and(|telegram| {
            !telegram.clear(self.key()).is_sealed() && self.open(&telegram, &mut buffer).is_ok()
        })
    }
}

/// A part in the making: so many bytes of the telegram without link-layer CRCs.
struct Draft {
    len: usize,
    layer: Layer,
    field: &'static str,
    meaning: Cow<'static, str>,
    value: String,
}

/// The telegram's bytes from front to back, and what was written down of them.
struct Page<'a> {
    clear: &'a Clear,
    parts: Vec<Draft>,
    at: usize,
    /// What is behind it belongs to the link layer, or to the protection.
    end: usize,
    layer: Layer,
}

impl<'a> Page<'a> {
    fn new(clear: &'a Clear) -> Self {
        Self {
            clear,
            parts: Vec::new(),
            at: 0,
            end: clear.bytes.len(),
            layer: Layer::Link,
        }
    }

    /// What was not written down yet, up to the end of this layer.
    fn left(&self) -> &'a [u8] {
        self.clear.bytes.get(self.at..self.end).unwrap_or_default()
    }

    /// The same, to be read.
    fn reader(&self) -> Reader<'a> {
        Reader::in_layer(self.layer, self.at, self.left())
    }

    /// From here on the bytes belong to this layer.
    const fn enter(&mut self, layer: Layer) {
        self.layer = layer;
    }

    /// Writes down a field of the next bytes; nothing if there are none.
    fn add(
        &mut self,
        len: usize,
        field: &'static str,
        meaning: impl Into<Cow<'static, str>>,
        value: impl Into<String>,
    ) {
        let len = len.min(self.left().len());
        if len == 0 {
            return;
        }
        self.parts.push(Draft {
            len,
            layer: self.layer,
            field,
            meaning: meaning.into(),
            value: value.into(),
        });
        self.at += len;
    }

    /// Writes down what a manufacturer's own format was read as, as far as it was, with what lies between; only what
    /// begins before `end`.
    fn add_notes(&mut self, notes: &[Note], end: usize) {
        let begin = self.at;
        for note in notes {
            if !(begin..end).contains(&note.at.start) {
                continue;
            }
            let until = |at: usize, page: &Self| at.saturating_sub(page.at);
            self.add(until(note.at.start, self), "data", "not known", "");
            let number = note
                .number
                .map_or(String::new(), |number| number.to_string());
            self.add(until(note.at.end, self), "data", note.name, number);
        }
    }

    /// Are the next bytes still encrypted? Then all that is left is written down as that.
    fn is_sealed(&mut self) -> bool {
        let is_sealed = self.clear.sealed_from.is_some_and(|from| from <= self.at);
        if is_sealed {
            self.add(usize::MAX, "payload", "encrypted", "");
        }
        is_sealed
    }

    /// Writes down what no layer took.
    fn rest(&mut self, error: Option<Error>) {
        self.end = self.clear.bytes.len();
        if let Some(error) = error {
            self.enter(error.layer);
            // What stands before the error was understood, even if not by name.
            let before = error.offset.saturating_sub(self.at);
            if before > 0 && error.offset < self.end {
                self.add(before, "data", "read before the error", "");
            }
            self.add(usize::MAX, "data", "not understood", error.kind.to_string());
        }
        self.add(usize::MAX, "data", "left over", "");
    }
}

/// One of the bits of a flag byte and what it says when it is set.
type Flag = (u8, &'static str);

/// What the bits that are set say; `none` if none is.
fn flags(byte: u8, flags: &[Flag]) -> String {
    let set: Vec<_> = flags
        .iter()
        .filter(|(bit, _)| byte & bit != 0)
        .map(|&(_, text)| text)
        .collect();
    if set.is_empty() {
        return "no flags".to_owned();
    }
    set.join(", ")
}

#[cfg(test)]
mod tests;
