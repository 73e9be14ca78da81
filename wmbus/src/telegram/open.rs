//! From the telegram to its application's payload: decryption and verification.

use core::fmt;

use super::{Content, Plain, Sealed, Security, Telegram, Upper};
use crate::address::Address;
use crate::crypto::{self, MeterKey};
use crate::ell;
use crate::error::{Error, ErrorKind, Layer};
use crate::link;
use crate::reader::Reader;
use crate::tpl::Application;

/// Room for a decrypted telegram. It can be used again for the next; it needs no allocation but for messages that were
/// joined from fragments, that two layers encrypted, or that turn out to be frame format B.
///
/// Its `Debug` shows nothing of what is in it.
#[derive(Clone)]
pub struct Buffer {
    fixed: [u8; 256],
    spill: Vec<u8>,
    retry: Option<Box<Retry>>,
}

/// A telegram of frame format B without its CRCs, and room for it when it is decrypted.
#[derive(Clone)]
struct Retry {
    bare: Vec<u8>,
    fixed: [u8; 256],
    spill: Vec<u8>,
}

impl Buffer {
    /// Room for one telegram.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            fixed: [0; 256],
            spill: Vec::new(),
            retry: None,
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buffer")
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Telegram<'a> {
    /// Decrypts with the meter's key, and verifies all that can be verified with it.
    ///
    /// A telegram that is not encrypted is a forgery if a key is known, unless a MAC of at least four bytes is right. For
    /// meters that encrypt in their manufacturer's own way there is [`proprietary`](Self::proprietary).
    ///
    /// # Errors
    /// [`ErrorKind::KeyRejected`] if the key does not fit; [`ErrorKind::NotEncrypted`] for plain text;
    /// [`ErrorKind::Mac`] if the key fits and the MAC is wrong; [`ErrorKind::UnsupportedMode`];
    /// [`ErrorKind::UnsupportedAuthentication`], also of a message in mode 7 that has no MAC; [`ErrorKind::KeyLength`]; [`ErrorKind::ApplicationError`] if the meter
    /// sends one; [`ErrorKind::Incomplete`] for a [fragment](Telegram::join); those of [`Telegram::parse`] in layers
    /// that decryption laid open.
    #[inline]
    pub fn decrypt<'b>(
        &'b self,
        key: &MeterKey,
        buffer: &'b mut Buffer,
    ) -> Result<Plain<'b>, Error> {
        self.open(Some(key), buffer)
    }

    /// Takes a telegram for which no key is known: one that is not encrypted, or one that was published after
    /// decryption, so that its headers declare an encryption that its body no longer has.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`] if the body is encrypted; else as [`decrypt`](Self::decrypt).
    pub fn published<'b>(&'b self, buffer: &'b mut Buffer) -> Result<Plain<'b>, Error> {
        self.open(None, buffer)
    }

    /// A body in the manufacturer's own format ([`Content::Manufacturer`]), as it was received;
    /// `None` for any other.
    ///
    /// It may be encrypted in the manufacturer's own way, and nothing of it is verified: whoever
    /// decodes it for a meter with a key has to.
    #[must_use]
    pub fn proprietary(&self) -> Option<Plain<'_>> {
        self.undeclared()
            .filter(|plain| plain.content == Content::Manufacturer)
    }

    /// A body that no layer declares encrypted, as it was received; `None` for any other.
    ///
    /// A part of it may be encrypted all the same, as with [`proprietary`](Self::proprietary).
    pub(crate) fn undeclared(&self) -> Option<Plain<'_>> {
        let Upper::Open(message) = &self.upper else {
            return None;
        };
        let body = message.as_it_is(0);
        let content = match (message.security(), message.application) {
            (Security::Manufacturer, _) => Content::Manufacturer,
            (Security::None, Application::Content(content)) => content,
            _ => return None,
        };
        Some(message.plain(self, &body, false, None, content))
    }

    #[inline]
    fn open<'b>(&self, key: Option<&MeterKey>, buffer: &'b mut Buffer) -> Result<Plain<'b>, Error>
    where
        'a: 'b,
    {
        let Buffer {
            fixed,
            spill,
            retry,
        } = buffer;
        let error = match self.open_as_it_is(key, fixed, spill) {
            Ok(plain) => return Ok(plain),
            Err(error) => error,
        };
        self.open_as_format_b(key, retry).unwrap_or(Err(error))
    }

    #[inline]
    fn open_as_it_is<'b>(
        &self,
        key: Option<&MeterKey>,
        fixed: &'b mut [u8; 256],
        spill: &'b mut Vec<u8>,
    ) -> Result<Plain<'b>, Error>
    where
        'a: 'b,
    {
        let sealed = match &self.upper {
            Upper::Open(message) => return message.open(self, key, None, Some(fixed), spill),
            Upper::Fragment { .. } => return Err(afl_error(0, ErrorKind::Incomplete)),
            Upper::Sealed(sealed) => sealed,
        };
        let payload = sealed.unseal(self.sender, key, fixed)?;
        let reader = Reader::in_layer(Layer::Tpl, sealed.offset + ell::CRC_LEN, payload);
        let offset = reader.offset();
        match Upper::read(reader, true)? {
            Upper::Open(message) => {
                message.open(self, key, Some(Security::ExtendedLink), None, spill)
            }
            // Fragments that would have to be decrypted before they can be joined: no meter does that.
            Upper::Fragment { header, .. } => Err(afl_error(
                offset,
                ErrorKind::Fragment(header.fragment.number),
            )),
            Upper::Sealed(_) => Err(afl_error(offset, ErrorKind::NoData)),
        }
    }

    /// A telegram that cannot be opened may be one of frame format B: [`link::normalise`] leaves it to decryption
    /// to tell. `None` if it is not.
    #[cold]
    fn open_as_format_b<'b>(
        &self,
        key: Option<&MeterKey>,
        retry: &'b mut Option<Box<Retry>>,
    ) -> Option<Result<Plain<'b>, Error>> {
        let bare = link::strip(link::Format::B, self.bytes).ok()?;
        let room = Retry {
            bare,
            fixed: [0; 256],
            spill: Vec::new(),
        };
        let Retry { bare, fixed, spill } = &mut **retry.insert(Box::new(room));
        let telegram = Telegram::parse(bare);
        Some(telegram.and_then(|telegram| telegram.open_as_it_is(key, fixed, spill)))
    }
}

impl<'a> Sealed<'a> {
    /// The payload under the extended link layer's encryption, without its CRC. A payload that was published after
    /// decryption is right as it is.
    #[inline]
    pub(super) fn unseal<'b>(
        &self,
        sender: Address,
        key: Option<&MeterKey>,
        room: &'b mut [u8; 256],
    ) -> Result<&'b [u8], Error>
    where
        'a: 'b,
    {
        let error = |kind| Error {
            layer: Layer::Ell,
            offset: self.offset,
            kind,
        };
        let Some(key) = key else {
            let published = ell::is_right(self.bytes).then_some(self.bytes);
            let published = published.ok_or(error(ErrorKind::KeyMissing))?;
            return Ok(published.get(ell::CRC_LEN..).unwrap_or_default());
        };
        let counter = self.header.initial_counter(sender, self.session);
        let found = self.bytes.len();
        let too_long = error(ErrorKind::Length {
            declared: room.len(),
            found,
        });
        let decrypted = room.get_mut(..found).ok_or(too_long)?;
        decrypted.copy_from_slice(self.bytes);
        crypto::ctr(key.aes128().map_err(error)?.as_ref(), counter, decrypted);
        if ell::is_right(decrypted) {
            return Ok(decrypted.get(ell::CRC_LEN..).unwrap_or_default());
        }
        let is_plain = ell::is_right(self.bytes);
        Err(error(if is_plain {
            ErrorKind::NotEncrypted
        } else {
            ErrorKind::KeyRejected
        }))
    }
}

const fn afl_error(offset: usize, kind: ErrorKind) -> Error {
    Error {
        layer: Layer::Afl,
        offset,
        kind,
    }
}
