//! Telegrams as lines of text: `TELEGRAM_HEX [KEY_HEX]`, blank lines and `#` comments between them. Pure: bytes in, lines out.
//!
//! The files of telegrams that people keep and the FIFO of the driver daemon have this form. Keys on a line are for `decode`; the
//! Driver takes keys from the set message only.

use std::fmt;

/// Cuts a stream of bytes into lines, whatever the chunks are.
#[derive(Debug, Default)]
pub struct LineSplitter {
    buffer: Vec<u8>,
    consumed: usize,
    number: u64,
    oversized: bool,
}

/// One line and its number, counted from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the stream.
    pub number: u64,
    /// Its bytes without the line end, or nothing if it was longer than [`LONGEST_LINE`].
    pub text: Option<Vec<u8>>,
}

impl LineSplitter {
    /// A stream at its first line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next chunk.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer.extend_from_slice(chunk);
    }

    /// The next complete line. A line that grows beyond [`LONGEST_LINE`] is skipped to its end, so that no input fills the memory.
    pub fn next_line(&mut self) -> Option<Line> {
        let rest = self.buffer.get(self.consumed..).unwrap_or_default();
        match rest.iter().position(|&byte| byte == b'\n') {
            Some(length) => {
                let text = rest.get(..length).unwrap_or_default().to_vec();
                self.consumed += length + 1;
                Some(self.line(text))
            }
            None => {
                if rest.len() > LONGEST_LINE {
                    self.oversized = true;
                    self.buffer.clear();
                    self.consumed = 0;
                }
                None
            }
        }
    }

    /// What stands after the last line end, when the stream has ended.
    pub fn last_line(&mut self) -> Option<Line> {
        let text = self.buffer.split_off(self.consumed.min(self.buffer.len()));
        self.buffer.clear();
        self.consumed = 0;
        (!text.is_empty() || self.oversized).then(|| self.line(text))
    }

    fn line(&mut self, text: Vec<u8>) -> Line {
        self.number += 1;
        let oversized = std::mem::take(&mut self.oversized) || text.len() > LONGEST_LINE;
        Line {
            number: self.number,
            text: (!oversized).then_some(text),
        }
    }
}

/// Longest line in bytes: a telegram of 256 bytes with link-layer CRCs and a key have 650.
pub const LONGEST_LINE: usize = 2048;

/// A line that holds a telegram.
#[derive(PartialEq, Eq)]
pub struct TelegramLine<'a> {
    /// The telegram, from its L field on.
    pub telegram: Vec<u8>,
    /// What stands after it, a key if anything: not checked, and secret.
    pub key: Option<&'a str>,
}

impl<'a> TelegramLine<'a> {
    /// Reads a line; nothing for blank lines and comments.
    ///
    /// # Errors
    /// [`LineError`], which says what is wrong without repeating the line, for it may hold a key.
    pub fn parse(line: &'a [u8]) -> Result<Option<Self>, LineError> {
        let line = str::from_utf8(line).map_err(|_| LineError::NotText)?;
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(telegram) = words.next() else {
            return Ok(None);
        };
        let key = words.next();
        if words.next().is_some() {
            return Err(LineError::TooManyWords);
        }
        Ok(Some(Self {
            telegram: bytes_from_hex(telegram)?,
            key,
        }))
    }
}

impl fmt::Debug for TelegramLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "TelegramLine({} bytes, key redacted)",
            self.telegram.len()
        )
    }
}

/// Why a line is no telegram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It is longer than [`LONGEST_LINE`].
    #[error("longer than {LONGEST_LINE} bytes")]
    TooLong,
    /// It is not UTF-8.
    #[error("not text")]
    NotText,
    /// The telegram has a character, counted from 1, that is no hexadecimal digit.
    #[error("character {0} of the telegram is no hexadecimal digit")]
    NotHex(usize),
    /// The telegram has half a byte too many.
    #[error("odd number of hexadecimal digits")]
    OddLength,
    /// Something follows the telegram and the key.
    #[error("more than a telegram and a key")]
    TooManyWords,
}

/// Bytes from hexadecimal digits in either case.
fn bytes_from_hex(text: &str) -> Result<Vec<u8>, LineError> {
    let digits = text
        .chars()
        .enumerate()
        .map(|(index, digit)| {
            digit
                .to_digit(16)
                .map(|digit| digit as u8)
                .ok_or(LineError::NotHex(index + 1))
        })
        .collect::<Result<Vec<u8>, _>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(LineError::OddLength);
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<Line> {
        let mut splitter = LineSplitter::new();
        let mut lines = Vec::new();
        for chunk in chunks {
            splitter.push(chunk);
            lines.extend(std::iter::from_fn(|| splitter.next_line()));
        }
        lines.extend(splitter.last_line());
        lines
    }

    #[test]
    fn a_last_line_without_line_end_counts() {
        let lines = lines_of(&[b"a\nb\r\n\nc"]);
        let text: Vec<_> = lines
            .into_iter()
            .map(|line| (line.number, line.text.unwrap()))
            .collect();
        assert_eq!(
            text,
            [
                (1, b"a".to_vec()),
                (2, b"b\r".to_vec()),
                (3, vec![]),
                (4, b"c".to_vec())
            ]
        );
    }

    #[test]
    fn an_endless_line_is_skipped_without_being_kept() {
        let mut splitter = LineSplitter::new();
        for _ in 0..10_000 {
            splitter.push(&[b'4'; 1000]);
            assert_eq!(splitter.next_line(), None);
            assert!(splitter.buffer.capacity() < 4 * LONGEST_LINE);
        }
        splitter.push(b"4\n44\n");
        assert_eq!(
            splitter.next_line(),
            Some(Line {
                number: 1,
                text: None
            })
        );
        assert_eq!(
            splitter.next_line(),
            Some(Line {
                number: 2,
                text: Some(b"44".to_vec())
            })
        );
    }

    #[test]
    fn telegram_key_comment_and_blank() {
        let line = TelegramLine::parse(b"  2D44 9A25139E  # kitchen\r")
            .unwrap()
            .unwrap();
        assert_eq!(
            (line.telegram, line.key),
            (vec![0x2D, 0x44], Some("9A25139E"))
        );
        assert_eq!(TelegramLine::parse(b"# 2D44").unwrap(), None);
        assert_eq!(TelegramLine::parse(b" \t\r").unwrap(), None);
        assert_eq!(TelegramLine::parse(b"2d4"), Err(LineError::OddLength));
        assert_eq!(TelegramLine::parse(b"2dx4"), Err(LineError::NotHex(3)));
        assert_eq!(TelegramLine::parse(b"2d\xff"), Err(LineError::NotText));
        assert_eq!(
            TelegramLine::parse(b"2d44 00 00"),
            Err(LineError::TooManyWords)
        );
    }

    #[test]
    fn the_debug_output_holds_no_key() {
        let line = TelegramLine::parse(b"2D44 9A25139E").unwrap().unwrap();
        assert!(!format!("{line:?}").contains("9A25"));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(bytes in prop::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'\n')], 0..400), size in 1usize..50) {
            let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(lines_of(&chunks), lines_of(&[&bytes]));
        }

        #[test]
        fn every_telegram_reads_back(telegram in prop::collection::vec(any::<u8>(), 1..300)) {
            let text: String = telegram.iter().map(|byte| format!("{byte:02X}")).collect();
            prop_assert_eq!(TelegramLine::parse(text.as_bytes()).unwrap().unwrap().telegram, telegram);
        }
    }
}
