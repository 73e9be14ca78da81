//! `omnigate decode`: telegrams as lines of text to JSON, one object per line.
//!
//! Each line is `TELEGRAM_HEX [KEY_HEX]` and is answered by one line, or by an explanation of its bytes, in order, whatever is on it. What a meter's full frames teach about its
//! compact ones serves further down. A key is never part of an answer.

mod explain;
mod json;

use std::collections::HashMap;
use std::io::{self, Read, Write};

use omnigate_actors::driver::lines::{Line, LineError, LineSplitter, TelegramLine};
use wmbus::{Address, Decoder, ErrorKind, KeyError, MeterKey, Telegram, link};
use zeroize::Zeroizing;

pub use self::explain::Paint;
use self::json::{Explained, Failure, Success};

/// How a line is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With what the telegram says, as JSON.
    Values,
    /// With every byte of it, as text.
    ExplainText(Paint),
    /// With every byte of it, as JSON.
    ExplainJson,
}

/// Answers every line of `input` and says whether all of them were telegrams that could be decoded. `key` is for the lines without one.
///
/// # Errors
/// Those of `input` and `out`.
pub fn decode(
    key: Option<Key>,
    style: Style,
    mut input: impl Read,
    mut out: impl Write,
) -> io::Result<bool> {
    let mut meters = Meters {
        key,
        ..Meters::default()
    };
    let mut lines = LineSplitter::new();
    let mut chunk = vec![0; CHUNK];
    let mut all_good = true;
    loop {
        let length = match input.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            length => length?,
        };
        lines.push(chunk.get(..length).unwrap_or_default());
        let at_end = length == 0;
        while let Some(line) = lines
            .next_line()
            .or_else(|| if at_end { lines.last_line() } else { None })
        {
            all_good &= meters.answer(&line, style, &mut out)?;
        }
        // Whoever waits for an answer gets it before we wait for the next line.
        out.flush()?;
        if at_end {
            return Ok(all_good);
        }
    }
}

/// A key as it was written, to be recognised when it comes again, and made ready for its cipher.
#[derive(Clone)]
pub struct Key {
    digits: Zeroizing<String>,
    ready: MeterKey,
}

impl Key {
    /// From 32 hexadecimal digits, or 16 for DES.
    ///
    /// # Errors
    /// [`KeyError`], which does not repeat the digits.
    pub fn new(digits: &str) -> Result<Self, KeyError> {
        let ready = digits.parse()?;
        Ok(Self {
            digits: Zeroizing::new(digits.to_owned()),
            ready,
        })
    }
}

/// What is known of the meters heard so far.
#[derive(Default)]
struct Meters {
    /// For lines without a key.
    key: Option<Key>,
    /// Only meters of which a telegram was good are kept: damaged addresses do not fill the memory.
    known: HashMap<Address, Vec<Meter>>,
}

/// A meter as one key, or none, shows it: what was verified with one says nothing about telegrams with another.
struct Meter {
    key: Option<Key>,
    decoder: Decoder,
}

impl Meters {
    /// Writes the answer to a line and says whether it is a good one.
    fn answer(&mut self, line: &Line, style: Style, out: &mut impl Write) -> io::Result<bool> {
        let explained = match style {
            Style::Values => {
                let answer = self.decode(line);
                match &answer {
                    Ok(success) => json::write_line(success, out)?,
                    Err(failure) => json::write_line(failure, out)?,
                }
                return Ok(answer.is_ok());
            }
            Style::ExplainText(_) | Style::ExplainJson => self.explain(line),
        };
        match (&explained, style) {
            (Ok(explained), Style::ExplainText(paint)) => {
                let Explained {
                    explanation,
                    profile,
                } = explained;
                explain::write_text(explanation, profile.as_deref(), paint, out)?;
            }
            (Err(failure), Style::ExplainText(_)) => writeln!(out, "{failure}\n")?,
            (Ok(explained), _) => json::write_line(explained, out)?,
            (Err(failure), _) => json::write_line(failure, out)?,
        }
        Ok(explained.is_ok_and(|explained| explained.explanation.outcome.is_ok()))
    }

    fn decode(&mut self, line: &Line) -> Result<Success, Failure> {
        let line = telegram_of(line)?;
        let bytes = link::normalise(&line.telegram)?;
        let address = Telegram::parse(&bytes)?.address();
        self.ask(address, line.key, |meter| {
            let answer = meter.decode(&bytes);
            let error = answer.as_ref().err();
            let is_good = error.is_none_or(Failure::is_incomplete);
            (answer, is_good)
        })?
    }

    /// Takes the telegram apart, also one that is damaged.
    fn explain(&mut self, line: &Line) -> Result<Explained, Failure> {
        let line = telegram_of(line)?;
        let bytes = link::normalise(&line.telegram);
        let address = bytes.and_then(|bytes| Ok(Telegram::parse(&bytes)?.address()));
        let Ok(address) = address else {
            return Ok(Meter::new(None).explain(&line.telegram));
        };
        self.ask(address, line.key, |meter| {
            let explained = meter.explain(&line.telegram);
            let outcome = &explained.explanation.outcome;
            let is_good = match outcome {
                Ok(_) => true,
                Err(error) => error.kind == ErrorKind::Incomplete,
            };
            (explained, is_good)
        })
    }

    /// Lets the meter answer that is known by the address and the key, or a new one, which is kept if `answer` says that its telegram
    /// was good, or the first part of a message.
    fn ask<T>(
        &mut self,
        address: Address,
        digits: Option<&str>,
        answer: impl FnOnce(&mut Meter) -> (T, bool),
    ) -> Result<T, Failure> {
        let digits = digits.or(self.key.as_ref().map(|key| key.digits.as_str()));
        let known = self.known.get_mut(&address);
        if let Some(meter) =
            known.and_then(|meters| meters.iter_mut().find(|meter| meter.has_key(digits)))
        {
            return Ok(answer(meter).0);
        }
        let mut meter = Meter::new(digits.map(Key::new).transpose()?);
        let (answer, is_good) = answer(&mut meter);
        if is_good {
            self.known.entry(address).or_default().push(meter);
        }
        Ok(answer)
    }
}

fn telegram_of(line: &Line) -> Result<TelegramLine<'_>, Failure> {
    let text = line.text.as_deref().ok_or(LineError::TooLong)?;
    TelegramLine::parse(text)?.ok_or(Failure::NO_TELEGRAM)
}

impl Meter {
    fn new(key: Option<Key>) -> Self {
        let decoder = Decoder::new(key.as_ref().map(|key| key.ready.clone()));
        Self { key, decoder }
    }

    fn has_key(&self, digits: Option<&str>) -> bool {
        match (&self.key, digits) {
            (Some(key), Some(digits)) => key.digits.eq_ignore_ascii_case(digits),
            (key, digits) => key.is_none() && digits.is_none(),
        }
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<Success, Failure> {
        let reading = self.decoder.decode(bytes)?;
        let profile = self.decoder.profile(reading.address).cloned();
        Ok(Success { reading, profile })
    }

    fn explain(&mut self, bytes: &[u8]) -> Explained {
        let explanation = self.decoder.explain(bytes);
        let address = explanation.outcome.as_ref().map(|reading| reading.address);
        let profile = address
            .ok()
            .and_then(|address| self.decoder.profile(address));
        let profile = profile.cloned();
        Explained {
            explanation,
            profile,
        }
    }
}

/// As much of the input as is read at once.
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests;
