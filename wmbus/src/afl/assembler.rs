//! Messages out of their fragments.

use core::fmt;

use super::Header;
use crate::error::{Error, ErrorKind, Layer};

/// Joins the fragments of a message. One for each meter; empty but while fragments come in.
///
/// Fragments cannot be verified one by one: whoever forges them can keep a message from being joined, no more. What
/// was joined is verified as a whole.
///
/// Its `Debug` shows nothing of them.
#[derive(Clone, Default)]
pub struct Assembler(Option<Box<Partial>>);

#[derive(Clone)]
struct Partial {
    header: Header,
    message: Vec<u8>,
}

impl Assembler {
    /// The most bytes of a joined message: more than any meter sends, so that a forger cannot fill the memory.
    pub const MAX_MESSAGE: usize = 4096;

    /// No fragments yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds a fragment; gives the message when it is complete, with the header's fields of all fragments.
    ///
    /// A repetition of the last fragment is ignored. The first fragment begins a new message.
    ///
    /// # Errors
    /// [`ErrorKind::Incomplete`] while more fragments are to come; [`ErrorKind::Fragment`] if it does not continue the
    /// ones before it, which are forgotten; [`ErrorKind::Length`] if the message is not as long as it says, or longer
    /// than [`MAX_MESSAGE`](Self::MAX_MESSAGE).
    pub(crate) fn push(
        &mut self,
        header: &Header,
        fragment: &[u8],
    ) -> Result<(Header, Vec<u8>), Error> {
        let error = |kind| {
            Err(Error {
                layer: Layer::Afl,
                offset: 0,
                kind,
            })
        };
        let number = header.fragment.number;
        let partial = match &mut self.0 {
            Some(partial) if number > 1 => {
                let last = partial.header.fragment.number;
                if number == last {
                    return error(ErrorKind::Incomplete);
                }
                if last.checked_add(1) != Some(number) {
                    self.0 = None;
                    return error(ErrorKind::Fragment(number));
                }
                partial.header.join(header);
                partial
            }
            None if number > 1 => return error(ErrorKind::Fragment(number)),
            first => first.insert(Box::new(Partial {
                header: *header,
                message: Vec::new(),
            })),
        };
        partial.message.extend(fragment);
        let declared = partial
            .header
            .message_len
            .map_or(Self::MAX_MESSAGE, usize::from)
            .min(Self::MAX_MESSAGE);
        let found = partial.message.len();
        if found > declared {
            self.0 = None;
            return error(ErrorKind::Length { declared, found });
        }
        if header.fragment.more {
            return error(ErrorKind::Incomplete);
        }
        let Some(partial) = self.0.take() else {
            return error(ErrorKind::Incomplete);
        };
        if partial
            .header
            .message_len
            .is_some_and(|length| usize::from(length) != found)
        {
            return error(ErrorKind::Length { declared, found });
        }
        Ok((partial.header, partial.message))
    }
}

impl fmt::Debug for Assembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assembler")
    }
}

impl Header {
    /// Takes over what a further fragment adds.
    fn join(&mut self, next: &Self) {
        self.fragment = next.fragment;
        self.control = self.control.or(next.control);
        self.key_information = self.key_information.or(next.key_information);
        self.counter = self.counter.or(next.counter);
        self.mac = self.mac.or(next.mac);
        self.message_len = self.message_len.or(next.message_len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::afl::{Fragment, Tag};

    #[test]
    fn joins_fragments_in_order() {
        let first = header(1, true);
        let last = Header {
            mac: Tag::new(&[1, 2]),
            ..header(3, false)
        };
        let mut assembler = Assembler::new();
        let incomplete =
            |result: Result<_, Error>| assert_eq!(result.unwrap_err().kind, ErrorKind::Incomplete);
        incomplete(assembler.push(
            &Header {
                message_len: Some(6),
                ..first
            },
            b"ab",
        ));
        incomplete(assembler.push(&header(2, true), b"cd"));
        incomplete(assembler.push(&header(2, true), b"cd"));
        let (joined, message) = assembler.push(&last, b"ef").unwrap();
        assert_eq!(
            (message.as_slice(), joined.message_len, joined.mac),
            (&b"abcdef"[..], Some(6), last.mac)
        );
        let again = assembler.push(&last, b"ef").unwrap_err();
        assert_eq!(again.kind, ErrorKind::Fragment(3));
    }

    #[test]
    fn forgets_what_is_not_continued() {
        let mut assembler = Assembler::new();
        assert_eq!(
            assembler.push(&header(1, true), b"ab").unwrap_err().kind,
            ErrorKind::Incomplete
        );
        assert_eq!(
            assembler.push(&header(3, false), b"ef").unwrap_err().kind,
            ErrorKind::Fragment(3)
        );
        assert_eq!(
            assembler.push(&header(2, false), b"cd").unwrap_err().kind,
            ErrorKind::Fragment(2)
        );
        assert!(assembler.0.is_none());
        let short = Header {
            message_len: Some(3),
            ..header(1, true)
        };
        assert_eq!(
            assembler.push(&short, b"ab").unwrap_err().kind,
            ErrorKind::Incomplete
        );
        let error = assembler.push(&header(2, true), b"cd").unwrap_err();
        assert_eq!(
            error.kind,
            ErrorKind::Length {
                declared: 3,
                found: 4
            }
        );
        assert!(assembler.0.is_none());
    }

    #[test]
    fn a_flood_of_fragments_ends() {
        let mut assembler = Assembler::new();
        let fragment = [0; 200];
        let ended = (1..=255).find(|&number| {
            let error = assembler
                .push(&header(number, true), &fragment)
                .unwrap_err();
            matches!(
                error.kind,
                ErrorKind::Length {
                    declared: Assembler::MAX_MESSAGE,
                    ..
                }
            )
        });
        assert_eq!(ended, Some(21));
        assert!(assembler.0.is_none());
    }

    const fn header(number: u8, more: bool) -> Header {
        Header {
            fragment: Fragment { number, more },
            control: None,
            key_information: None,
            counter: None,
            mac: None,
            message_len: None,
        }
    }
}
