//! From the telegram to its application's payload: decryption and verification.

use super::{Authentication, Content, Message, Plain, Sealed, Security, Telegram, Upper};
use crate::address::Address;
use crate::crypto::{self, MeterKey, Purpose};
use crate::ell;
use crate::error::{Error, ErrorKind, Layer};
use crate::link;
use crate::reader::Reader;
use crate::tpl::{self, Application, Configuration, Extension};

/// Room for a decrypted telegram. It can be used again for the next; it needs no allocation but for messages that were
/// joined from fragments, that two layers encrypted, or that turn out to be frame format B.
#[derive(Clone, Debug)]
pub struct Buffer {
    fixed: [u8; 256],
    spill: Vec<u8>,
    retry: Option<Box<Retry>>,
}

/// A telegram of frame format B without its CRCs, and room for it when it is decrypted.
#[derive(Clone, Debug)]
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

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Telegram<'a> {
    /// Decrypts with the meter's key, and verifies all that can be verified with it.
    ///
    /// A telegram that is not encrypted is a forgery if a key is known, unless a MAC made with the key is right. For
    /// meters that encrypt in their manufacturer's own way there is [`proprietary`](Self::proprietary).
    ///
    /// # Errors
    /// [`ErrorKind::KeyRejected`] if the key does not fit; [`ErrorKind::NotEncrypted`] for plain text;
    /// [`ErrorKind::Mac`] if the key fits and the MAC is wrong; [`ErrorKind::UnsupportedMode`];
    /// [`ErrorKind::UnsupportedAuthentication`]; [`ErrorKind::KeyLength`]; [`ErrorKind::ApplicationError`] if the meter
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
    fn unseal<'b>(
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
        crypto::ctr(key.aes128().map_err(error)?, counter, decrypted);
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

/// Where a decrypted body goes.
struct Room<'b> {
    /// `None` where what the extended link layer decrypted is in it.
    fixed: Option<&'b mut [u8; 256]>,
    spill: &'b mut Vec<u8>,
}

impl<'b> Room<'b> {
    fn copy_of(self, bytes: &[u8]) -> &'b mut [u8] {
        if let Some(room) = self.fixed.and_then(|fixed| fixed.get_mut(..bytes.len())) {
            room.copy_from_slice(bytes);
            return room;
        }
        self.spill.clear();
        self.spill.extend_from_slice(bytes);
        self.spill
    }
}

/// A message's body as plain text.
struct Body<'b> {
    bytes: &'b [u8],
    /// How many bytes before `bytes` belong to the protection.
    skipped: usize,
    protected: Protected,
}

/// What the key did for a body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protected {
    /// It was plain text.
    No,
    /// It was encrypted.
    Encrypted,
    /// It was encrypted and a MAC was right.
    Authenticated,
}

impl<'a> Message<'a> {
    #[inline]
    fn open<'b>(
        &self,
        telegram: &Telegram<'_>,
        key: Option<&MeterKey>,
        outer: Option<Security>,
        fixed: Option<&'b mut [u8; 256]>,
        spill: &'b mut Vec<u8>,
    ) -> Result<Plain<'b>, Error>
    where
        'a: 'b,
    {
        let meter = self.tpl.address.unwrap_or(telegram.sender);
        let mac = self.verify(key, meter);
        let body = self
            .body(key, meter, Room { fixed, spill })
            .map_err(|kind| match (kind, mac) {
                // The key is right, for the MAC is: then it is the body that does not fit.
                (ErrorKind::KeyRejected, Ok(true)) => self.error(ErrorKind::Damaged),
                _ => self.error(kind),
            })?;
        let is_authentic =
            mac.map_err(|kind| self.error(kind))? || body.protected == Protected::Authenticated;
        let is_own_format = self.security() == Security::Manufacturer;
        let is_plain = outer.is_none() && !is_authentic && body.protected == Protected::No;
        if key.is_some() && is_plain {
            return Err(self.error(ErrorKind::NotEncrypted));
        }
        let content = match self.application {
            Application::Error => {
                let code = body.bytes.first().copied().unwrap_or_default();
                return Err(self.error(ErrorKind::ApplicationError(code)));
            }
            Application::Content(_) if is_own_format => Content::Manufacturer,
            Application::Content(content) => content,
        };
        Ok(self.plain(telegram, &body, is_authentic, outer, content))
    }

    #[inline]
    fn plain<'b>(
        &self,
        telegram: &Telegram<'_>,
        body: &Body<'b>,
        is_authentic: bool,
        outer: Option<Security>,
        content: Content,
    ) -> Plain<'b> {
        Plain {
            address: self.meter(telegram),
            sender: telegram.sender,
            ci: self.tpl.ci,
            content,
            bytes: body.bytes,
            offset: self.offset + body.skipped,
            access_number: match self.tpl.fields {
                Some(fields) => Some(fields.access_number),
                None => telegram.ell.map(|ell| ell.access_number),
            },
            status: self.tpl.fields.map(|fields| fields.status),
            configuration: self.tpl.fields.map(|fields| fields.configuration.field),
            session: telegram.session(),
            message_counter: self.counter(),
            security: match (self.security(), outer) {
                (Security::None | Security::Manufacturer, Some(outer)) => outer,
                (own, _) => own,
            },
            authentication: match (is_authentic, self.checked) {
                (true, _) => Authentication::Mac,
                (false, true) => Authentication::Crc,
                (false, false) => Authentication::None,
            },
        }
    }

    /// Is there a MAC over the message, and is it right?
    #[inline]
    fn verify(&self, key: Option<&MeterKey>, meter: Address) -> Result<bool, ErrorKind> {
        match (key, &self.afl) {
            (Some(key), Some(afl)) => afl.verify(key, meter.identification, self.bytes),
            _ => Ok(false),
        }
    }

    /// The body as plain text, decrypted if a key is known.
    #[inline]
    fn body<'b>(
        &self,
        key: Option<&MeterKey>,
        meter: Address,
        room: Room<'b>,
    ) -> Result<Body<'b>, ErrorKind>
    where
        'a: 'b,
    {
        let Some(fields) = &self.tpl.fields else {
            return Ok(self.as_it_is(0));
        };
        let configuration = &fields.configuration;
        match (configuration.mode(), key) {
            (0 | 1 | 16.., _) => Ok(self.as_it_is(0)),
            (5 | 7, None) if self.body.starts_with(&CHECK) => Ok(self.as_it_is(CHECK.len())),
            (2 | 5 | 7 | 10, None) => Err(ErrorKind::KeyMissing),
            (2, Some(key)) => self.decrypt_des(configuration, key, room),
            (5, Some(key)) => {
                let [m0, m1, a0, a1, a2, a3, a4, a5] = meter.to_link();
                let n = fields.access_number.0;
                let initial = [m0, m1, a0, a1, a2, a3, a4, a5, n, n, n, n, n, n, n, n];
                self.decrypt_blocks(configuration, key.aes128()?, initial, room)
            }
            (7, Some(key)) => {
                let counter = self
                    .counter()
                    .filter(|_| configuration.extension.derives_key());
                let counter = counter.ok_or(ErrorKind::UnsupportedMode(7))?;
                let key = crypto::derive(
                    key.aes128()?,
                    Purpose::Encryption,
                    counter,
                    meter.identification,
                );
                self.decrypt_blocks(configuration, &key, [0; 16], room)
            }
            (10, Some(key)) => self.decrypt_ccm(configuration, key, meter, room),
            (mode, _) => Err(ErrorKind::UnsupportedMode(mode)),
        }
    }

    /// Is nothing of the message cut off? `None` if only a MAC can tell.
    pub(super) fn is_whole(&self) -> Option<bool> {
        let Some(fields) = &self.tpl.fields else {
            return Some(true);
        };
        let configuration = &fields.configuration;
        let encrypted = match configuration.mode() {
            10 => return None,
            5 | 7 => configuration.encrypted_blocks_len(),
            2 => configuration.encrypted_bytes_len().into(),
            _ => 0,
        };
        let has_mac = self.afl.is_some_and(|afl| afl.mac.is_some());
        match self.body.len() >= encrypted {
            true if has_mac && !self.body.starts_with(&CHECK) => None,
            is_whole => Some(is_whole),
        }
    }

    /// Modes 5 and 7: the first blocks are encrypted, and begin with two filler bytes that tell whether the key fits.
    fn decrypt_blocks<'b>(
        &self,
        configuration: &Configuration,
        cipher: &aes::Aes128Enc,
        initial: [u8; 16],
        room: Room<'b>,
    ) -> Result<Body<'b>, ErrorKind> {
        // Some meters leave the number of blocks at 0 and encrypt all that are whole.
        let encrypted = match configuration.encrypted_blocks_len() {
            0 => self.body.len() - self.body.len() % 16,
            length => length,
        };
        if encrypted == 0 {
            return Err(ErrorKind::NotEncrypted);
        }
        let decrypted = room.copy_of(self.body);
        let missing = encrypted.saturating_sub(decrypted.len());
        let blocks = decrypted
            .get_mut(..encrypted)
            .ok_or(ErrorKind::Truncated { missing })?;
        crypto::cbc_decrypt(cipher, initial, blocks);
        match decrypted.strip_prefix(&CHECK) {
            Some(bytes) => Ok(Body {
                bytes,
                skipped: CHECK.len(),
                protected: Protected::Encrypted,
            }),
            None if self.body.starts_with(&CHECK) => Err(ErrorKind::NotEncrypted),
            None => Err(ErrorKind::KeyRejected),
        }
    }

    /// Mode 2: DES in blocks of 8 bytes, the initial vector is 0.
    fn decrypt_des<'b>(
        &self,
        configuration: &Configuration,
        key: &MeterKey,
        room: Room<'b>,
    ) -> Result<Body<'b>, ErrorKind> {
        let encrypted = configuration.encrypted_bytes_len();
        if !encrypted.is_multiple_of(8) {
            return Err(ErrorKind::Reserved(encrypted));
        }
        if encrypted == 0 {
            return Err(ErrorKind::NotEncrypted);
        }
        let decrypted = room.copy_of(self.body);
        let missing = usize::from(encrypted).saturating_sub(decrypted.len());
        let blocks = decrypted
            .get_mut(..encrypted.into())
            .ok_or(ErrorKind::Truncated { missing })?;
        crypto::des_cbc_decrypt(key.des()?, [0; 8], blocks);
        match decrypted.strip_prefix(&CHECK) {
            Some(bytes) => Ok(Body {
                bytes,
                skipped: CHECK.len(),
                protected: Protected::Encrypted,
            }),
            None => Err(ErrorKind::KeyRejected),
        }
    }

    /// Mode 10: all is encrypted, and a tag follows that authenticates it together with the header up to the counter.
    fn decrypt_ccm<'b>(
        &self,
        configuration: &Configuration,
        key: &MeterKey,
        meter: Address,
        room: Room<'b>,
    ) -> Result<Body<'b>, ErrorKind> {
        let Extension::Mode10 { counter, .. } = configuration.extension else {
            return Err(ErrorKind::UnsupportedMode(10));
        };
        let tag_len = configuration.extension.tag_len();
        let missing = tag_len.saturating_sub(self.body.len());
        let (encrypted, tag) = self
            .body
            .len()
            .checked_sub(tag_len)
            .and_then(|at| self.body.split_at_checked(at))
            .ok_or(ErrorKind::Truncated { missing })?;
        let declared = configuration.encrypted_bytes_len();
        if !configuration.extension.derives_key()
            || (u16::from(declared) != tpl::ALL_BYTES && usize::from(declared) != encrypted.len())
        {
            return Err(ErrorKind::UnsupportedMode(10));
        }
        let key = crypto::derive(
            key.aes128()?,
            Purpose::Encryption,
            counter,
            meter.identification,
        );
        let header_len = self.bytes.len() - self.body.len() - size_of_val(&counter);
        let header = self.bytes.get(..header_len).unwrap_or_default();
        let bytes = room.copy_of(encrypted);
        crypto::ccm_decrypt(&key, ccm_nonce(meter, counter), header, bytes, tag)
            .ok_or(ErrorKind::KeyRejected)?;
        Ok(Body {
            bytes,
            skipped: 0,
            protected: Protected::Authenticated,
        })
    }

    fn as_it_is<'b>(&self, skipped: usize) -> Body<'b>
    where
        'a: 'b,
    {
        Body {
            bytes: self.body.get(skipped..).unwrap_or_default(),
            skipped,
            protected: Protected::No,
        }
    }

    /// The message counter, wherever it stands.
    fn counter(&self) -> Option<u32> {
        let in_header = self
            .tpl
            .fields
            .and_then(|fields| match fields.configuration.extension {
                Extension::Mode10 { counter, .. } => Some(counter),
                Extension::None | Extension::Mode7(_) => None,
            });
        in_header.or(self.afl.and_then(|afl| afl.counter))
    }

    const fn error(&self, kind: ErrorKind) -> Error {
        Error {
            layer: Layer::Tpl,
            offset: self.offset,
            kind,
        }
    }
}

/// Mode 10: manufacturer, identification, version, medium, a zero, and the counter, highest byte first.
pub(super) const fn ccm_nonce(meter: Address, counter: u32) -> [u8; 13] {
    let [m0, m1, a0, a1, a2, a3, a4, a5] = meter.to_link();
    let [c3, c2, c1, c0] = counter.to_be_bytes();
    [m0, m1, a0, a1, a2, a3, a4, a5, 0, c3, c2, c1, c0]
}

/// What the encrypted part of modes 2, 5 and 7 begins with: two filler bytes.
///
/// Source: EN 13757-7, 7.6 (decryption verification).
pub(super) const CHECK: [u8; 2] = [0x2F; 2];
