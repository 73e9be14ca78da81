//! A telegram's stages as types: values can be read only from what was decrypted and verified.
//!
//! ```text
//! bytes ── link::normalise ──▶ Telegram::parse ──▶ Telegram ── decrypt(key) ──▶ Plain ──▶ records
//!                                                          └─ published() ──▶     (no key is known)
//! ```

mod body;
mod clear;
mod draft;
mod message;
mod open;
mod plain;
#[cfg(test)]
mod tests;

use core::fmt;

use crate::address::Address;
use crate::afl::{self, Assembler};
use crate::ell;
use crate::error::{Error, ErrorKind, Layer};
use crate::link;
use crate::reader::Reader;
use crate::wired::LongFrame;

use message::Message;

pub(crate) use clear::Clear;
pub use draft::{Draft, Protection};
pub use open::Buffer;
pub use plain::{AccessNumber, Authentication, Content, Plain, Security};

/// A telegram whose headers are read as far as they are not encrypted. Nothing of it is verified yet.
///
/// ```
/// use wmbus::{Buffer, MeterKey, Telegram, link};
/// // A captured telegram of an electricity meter, and its key.
/// let bytes = hex("27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59");
/// let key: MeterKey = "9A25139E3244CC2E391A8EF6B915B697".parse()?;
/// let bytes = link::normalise(&bytes)?;
/// let telegram = Telegram::parse(&bytes)?;
/// assert_eq!(telegram.address().to_string(), "KAM-32666857-30-02");
/// let mut buffer = Buffer::new();
/// let plain = telegram.decrypt(&key, &mut buffer)?;
/// assert_eq!((plain.ci, &plain.bytes[..2]), (0x79, &[0x13, 0x8C][..]));
/// # fn hex(text: &str) -> Vec<u8> {
/// #     text.as_bytes().chunks(2).map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()).collect()
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Its `Debug` shows no payload.
#[derive(Clone)]
pub struct Telegram<'a> {
    /// All of it; empty if it was joined from fragments.
    bytes: &'a [u8],
    control: link::Control,
    sender: Address,
    ell: Option<ell::Header>,
    upper: Upper<'a>,
}

impl fmt::Debug for Telegram<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telegram")
            .field("control", &self.control)
            .field("address", &self.address())
            .field("sender", &self.sender)
            .field("security", &self.security())
            .finish_non_exhaustive()
    }
}

/// What stands above the extended link layer.
#[derive(Clone)]
enum Upper<'a> {
    /// CRC and payload, encrypted by the extended link layer.
    Sealed(Sealed<'a>),
    /// Not encrypted down here.
    Open(Message<'a>),
    /// A piece of such a message.
    Fragment {
        header: afl::Header,
        piece: &'a [u8],
    },
}

#[derive(Clone)]
struct Sealed<'a> {
    header: ell::Header,
    session: ell::SessionNumber,
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Telegram<'a> {
    /// Reads the headers of a [normalised](link::normalise) radio telegram or of a wired long frame.
    ///
    /// # Errors
    /// Those of the layers: see [`link::Frame::new_checked`], [`LongFrame::new_checked`], [`ell::Header::read`],
    /// [`afl::Header::read`], [`Configuration::read`](crate::tpl::Configuration::read); [`ErrorKind::UnknownCi`] for a layer unknown here;
    /// [`ErrorKind::NoData`] if there is no layer above the link layer, or one without data.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if LongFrame::begins(bytes) {
            return Self::parse_wired(bytes);
        }
        let frame = link::Frame::new_checked(bytes)?;
        let mut reader = Reader::in_layer(Layer::Ell, link::Frame::HEADER_LEN, frame.payload());
        let ell = ell::Header::read(&mut reader)?;
        let upper = match ell.and_then(|ell| Some((ell, ell.session?))) {
            Some((header, session)) if session.is_encrypted() => {
                let offset = reader.offset();
                reader.clone().take(ell::CRC_LEN)?;
                Upper::Sealed(Sealed {
                    header,
                    session,
                    bytes: reader.rest(),
                    offset,
                })
            }
            Some(_) => Upper::read(ell::read_checked(reader)?, true)?,
            None => Upper::read(reader, false)?,
        };
        Ok(Self {
            bytes,
            control: frame.control(),
            sender: frame.address(),
            ell,
            upper,
        })
    }

    #[cold]
    fn parse_wired(bytes: &'a [u8]) -> Result<Self, Error> {
        let frame = LongFrame::new_checked(bytes)?;
        let reader = Reader::in_layer(Layer::Tpl, LongFrame::HEADER_LEN, frame.payload());
        let upper = Upper::read(reader, false)?;
        let nobody = Address::from_link([0; Address::LEN]);
        let sender = upper.address().unwrap_or(nobody);
        Ok(Self {
            bytes,
            control: frame.control(),
            sender,
            ell: None,
            upper,
        })
    }

    /// The meter that the data belong to, as far as can be seen before decryption: from the transport layer's long
    /// header if there is one, else the sender, put right where its manufacturer has an order of its own. By wire without
    /// a long header nobody is named: all zero.
    ///
    /// Meters are known by it, so its manufacturer is the registered one.
    #[inline]
    #[must_use]
    pub fn address(&self) -> Address {
        let address = match &self.upper {
            Upper::Open(message) => message.meter(self),
            Upper::Sealed(_) | Upper::Fragment { .. } => self.sender,
        };
        address.with_registered_manufacturer()
    }

    /// Who sent the radio telegram: the meter, or an adapter in its name.
    #[must_use]
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// Which service the telegram belongs to.
    #[must_use]
    pub const fn control(&self) -> link::Control {
        self.control
    }

    /// The access number: the transport layer's if it can be seen, else the extended link layer's.
    #[must_use]
    pub fn access_number(&self) -> Option<AccessNumber> {
        let above = match &self.upper {
            Upper::Open(message) => message.tpl.fields.map(|fields| fields.access_number),
            Upper::Sealed(_) | Upper::Fragment { .. } => None,
        };
        above.or(self.ell.map(|ell| ell.access_number))
    }

    /// The session number of the extended link layer.
    #[must_use]
    pub fn session(&self) -> Option<ell::SessionNumber> {
        self.ell.and_then(|ell| ell.session)
    }

    /// How the telegram declares itself protected, as far as can be seen before decryption.
    #[must_use]
    pub const fn security(&self) -> Security {
        match &self.upper {
            Upper::Sealed(_) => Security::ExtendedLink,
            Upper::Open(message) => message.security(),
            Upper::Fragment { .. } => Security::None,
        }
    }

    /// Is it a piece of a message, to be [joined](Self::join) with the others?
    #[inline]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        matches!(self.upper, Upper::Fragment { .. })
    }

    /// Joins the fragments of a message: gives the telegram itself if it is whole.
    ///
    /// # Errors
    /// Those of [`Assembler`]; [`ErrorKind::Incomplete`] while fragments are still to come; those of
    /// [`parse`](Self::parse) for what was joined, with places counted from its first byte.
    pub fn join<'b>(
        self,
        assembler: &mut Assembler,
        joined: &'b mut Vec<u8>,
    ) -> Result<Telegram<'b>, Error>
    where
        'a: 'b,
    {
        let Upper::Fragment { header, piece } = self.upper else {
            return Ok(self);
        };
        let (header, message) = assembler.push(&header, piece)?;
        *joined = message;
        let reader = Reader::in_layer(Layer::Tpl, 0, joined);
        let upper = Upper::Open(Message::read(reader, Some(header), false)?);
        Ok(Telegram {
            bytes: &[],
            upper,
            control: self.control,
            sender: self.sender,
            ell: self.ell,
        })
    }
}

/// Is a telegram whose CRCs of frame format B are right one of that format, or a bare one whose last bytes are right by
/// chance? `None` if only decryption can tell. `stripped` is the telegram without them.
pub(crate) fn is_format_b(bytes: &[u8], stripped: &[u8]) -> Option<bool> {
    let Ok(telegram) = Telegram::parse(stripped) else {
        return Some(false);
    };
    match &telegram.upper {
        Upper::Sealed(_) => None,
        Upper::Fragment { .. } => Some(true),
        // Plain records tell by where they end.
        Upper::Open(message) if !message.ends_with_its_records() => {
            let bare = Telegram::parse(bytes);
            let is_bare = bare.is_ok_and(|telegram| match &telegram.upper {
                Upper::Open(message) => message.ends_with_its_records(),
                Upper::Sealed(_) | Upper::Fragment { .. } => false,
            });
            if is_bare {
                return Some(false);
            }
            message.is_whole()
        }
        Upper::Open(message) => message.is_whole(),
    }
}

impl<'a> Upper<'a> {
    fn read(mut reader: Reader<'a>, checked: bool) -> Result<Self, Error> {
        if !reader.any_left() {
            return Err(reader.error(ErrorKind::NoData));
        }
        reader.enter(Layer::Afl);
        let afl = afl::Header::read(&mut reader)?;
        match afl {
            Some(header) if !header.fragment.is_whole() => Ok(Self::Fragment {
                header,
                piece: reader.rest(),
            }),
            _ => Message::read(reader, afl, checked).map(Self::Open),
        }
    }

    const fn address(&self) -> Option<Address> {
        match self {
            Self::Open(message) => message.tpl.address,
            Self::Sealed(_) | Self::Fragment { .. } => None,
        }
    }
}
