//! `omnigate decode`: telegrams as lines of text to JSON, one object per line.
//!
//! Each line is `TELEGRAM_HEX [KEY_HEX]` and is answered by one line, in order, whatever is on it. What a meter's full frames teach about its
//! compact ones serves further down. A key is never part of an answer.

mod json;

use std::collections::HashMap;
use std::io::{self, Read, Write};

use omnigate_actors::driver::lines::{Line, LineError, LineSplitter, TelegramLine};
use wmbus::{Address, Decoder, KeyError, MeterKey, Telegram, link};
use zeroize::Zeroizing;

use self::json::{Failure, Success};

/// Answers every line of `input` and says whether all of them were telegrams that could be decoded. `key` is for the lines without one.
///
/// # Errors
/// Those of `input` and `out`.
pub fn decode(key: Option<Key>, mut input: impl Read, mut out: impl Write) -> io::Result<bool> {
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
            all_good &= meters.answer(&line, &mut out)?;
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
    fn answer(&mut self, line: &Line, out: &mut impl Write) -> io::Result<bool> {
        let answer = self.decode(line);
        match &answer {
            Ok(success) => json::write_line(success, out)?,
            Err(failure) => json::write_line(failure, out)?,
        }
        Ok(answer.is_ok())
    }

    fn decode(&mut self, line: &Line) -> Result<Success, Failure> {
        let text = line.text.as_deref().ok_or(LineError::TooLong)?;
        let line = TelegramLine::parse(text)?.ok_or(Failure::NO_TELEGRAM)?;
        let bytes = link::normalise(&line.telegram)?;
        let address = Telegram::parse(&bytes)?.address();
        let digits = line
            .key
            .or(self.key.as_ref().map(|key| key.digits.as_str()));
        let known = self.known.get_mut(&address);
        if let Some(meter) =
            known.and_then(|meters| meters.iter_mut().find(|meter| meter.has_key(digits)))
        {
            return meter.decode(&bytes);
        }
        let mut meter = Meter::new(digits.map(Key::new).transpose()?);
        let answer = meter.decode(&bytes);
        // The first part of a message is kept for the others.
        if answer
            .as_ref()
            .map_or_else(Failure::is_incomplete, |_| true)
        {
            self.known.entry(address).or_default().push(meter);
        }
        answer
    }
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
}

/// As much of the input as is read at once.
const CHUNK: usize = 64 * 1024;

#[cfg(test)]
mod tests;
