//! Telegrams to be sent: virtual meters and tests need them.

use super::AccessNumber;
use super::body::{CHECK, cbc_initial, ccm_nonce};
use crate::address::Address;
use crate::afl::{self, Fragment, MessageControl, Tag};
use crate::crypto::{self, MeterKey, Purpose};
use crate::ell;
use crate::error::{Error, ErrorKind, Layer};
use crate::link;
use crate::tpl::{self, Configuration, Fields};

/// A telegram to be sent.
///
/// ```
/// use wmbus::ell::{Header, SessionNumber};
/// use wmbus::telegram::{AccessNumber, Draft};
/// use wmbus::{Address, Buffer, MeterKey, Telegram};
/// let key: MeterKey = "000102030405060708090A0B0C0D0E0F".parse()?;
/// let meter = Address::from_link([0x2D, 0x2C, 0x57, 0x68, 0x66, 0x32, 0x30, 0x02]);
/// let draft = Draft {
///     ell: Some(Header {
///         communication_control: 0x20,
///         access_number: AccessNumber(1),
///         receiver: None,
///         session: SessionNumber::new(14_448, 1),
///     }),
///     ..Draft::new(meter, 0x78, &[0x04, 0x2B, 3, 0, 0, 0])
/// };
/// let bytes = draft.encode(Some(&key))?;
/// let mut buffer = Buffer::new();
/// assert_eq!(Telegram::parse(&bytes)?.decrypt(&key, &mut buffer)?.bytes, draft.payload);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// Which service it belongs to.
    pub control: link::Control,
    /// Who sends it.
    pub sender: Address,
    /// The extended link layer. With an encrypted session number it encrypts all above it.
    pub ell: Option<ell::Header>,
    /// The transport layer's CI, which says whether there is no header, a short or a long one.
    pub ci: u8,
    /// The meter in a long header.
    pub meter: Address,
    /// The access number in a header.
    pub access_number: AccessNumber,
    /// The status in a header.
    pub status: u8,
    /// How the transport layer protects the payload; needs a header.
    pub protection: Protection,
    /// The application's payload.
    pub payload: &'a [u8],
}

/// How the transport layer protects a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protection {
    /// Not at all.
    None,
    /// Mode 5: AES-128-CBC with header and access number as initial vector.
    Mode5,
    /// Mode 7: AES-128-CBC with a key for this message, and a CMAC in the authentication and fragmentation layer.
    Mode7 {
        /// The message counter: may never repeat.
        counter: u32,
        /// How long the CMAC is: 2, 4, 8, 12 or 16 bytes.
        tag_len: usize,
    },
    /// Mode 10: AES-128-CCM with a key for this message.
    Mode10 {
        /// The message counter: may never repeat.
        counter: u32,
        /// How long the tag is: 4, 8, 12 or 16 bytes.
        tag_len: u8,
    },
}

impl<'a> Draft<'a> {
    /// A plain telegram with a CI and a payload; the rest can be changed.
    #[must_use]
    pub const fn new(sender: Address, ci: u8, payload: &'a [u8]) -> Self {
        Self {
            control: link::Control::SEND_NO_REPLY,
            sender,
            ell: None,
            ci,
            meter: sender,
            access_number: AccessNumber(0),
            status: 0,
            protection: Protection::None,
            payload,
        }
    }

    /// The telegram, without link-layer CRCs.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`] and [`ErrorKind::KeyLength`] if encryption needs another key;
    /// [`ErrorKind::Length`] if it is too long; [`ErrorKind::Reserved`] if the CI has no header for the protection.
    pub fn encode(&self, key: Option<&MeterKey>) -> Result<Vec<u8>, Error> {
        let message = self.message(key).map_err(in_transport_layer)?;
        let mut above = Vec::new();
        if let Some(header) = self
            .authentication(key, &message, None)
            .map_err(in_transport_layer)?
        {
            header.write(&mut above);
        }
        above.extend(message);
        self.send(key, &above)
    }

    /// The telegrams of a message with [`Protection::Mode7`] that is cut into fragments of `piece_len` bytes.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); [`ErrorKind::Length`] above 255 fragments or 65,535 bytes;
    /// [`ErrorKind::UnsupportedMode`] without a layer for fragments.
    pub fn encode_fragments(
        &self,
        key: Option<&MeterKey>,
        piece_len: usize,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let message = self.message(key).map_err(in_transport_layer)?;
        let too_long = in_transport_layer(ErrorKind::Length {
            declared: usize::from(u16::MAX),
            found: message.len(),
        });
        let length = u16::try_from(message.len()).map_err(|_| too_long)?;
        let whole = self
            .authentication(key, &message, Some(length))
            .map_err(in_transport_layer)?;
        let whole = whole.ok_or(in_transport_layer(ErrorKind::UnsupportedMode(0)))?;
        let pieces: Vec<&[u8]> = message.chunks(piece_len.max(1)).collect();
        let mut telegrams = Vec::with_capacity(pieces.len());
        for (index, piece) in pieces.iter().enumerate() {
            let (is_first, is_last) = (index == 0, index + 1 == pieces.len());
            let number = u8::try_from(index + 1).map_err(|_| too_long)?;
            let header = afl::Header {
                fragment: Fragment {
                    number,
                    more: !is_last,
                },
                control: whole.control.filter(|_| is_first),
                key_information: None,
                counter: whole.counter.filter(|_| is_first),
                mac: whole.mac.filter(|_| is_last),
                message_len: whole.message_len.filter(|_| is_first),
            };
            let mut above = Vec::new();
            header.write(&mut above);
            above.extend(*piece);
            telegrams.push(self.send(key, &above)?);
        }
        Ok(telegrams)
    }

    fn send(&self, key: Option<&MeterKey>, above: &[u8]) -> Result<Vec<u8>, Error> {
        let link = link::Repr {
            control: self.control,
            address: self.sender,
        };
        let Some(ell) = &self.ell else {
            return link.emit(above);
        };
        let mut payload = Vec::new();
        let written = ell.write(self.sender, key, above, &mut payload);
        written.map_err(|kind| Error {
            layer: Layer::Ell,
            offset: link::Frame::HEADER_LEN,
            kind,
        })?;
        link.emit(&payload)
    }

    /// From the transport layer's CI on, encrypted.
    fn message(&self, key: Option<&MeterKey>) -> Result<Vec<u8>, ErrorKind> {
        let cipher = || key.ok_or(ErrorKind::KeyMissing)?.aes128();
        let mut bytes = Vec::new();
        match self.protection {
            Protection::None => {
                self.header(Configuration::PLAIN)?.write(&mut bytes);
                bytes.extend(self.payload);
            }
            Protection::Mode5 => {
                let (mut body, blocks) = self.padded()?;
                self.header(Configuration::mode_5(blocks))?
                    .write(&mut bytes);
                let initial = cbc_initial(self.addressee(), self.access_number);
                crypto::cbc_encrypt(cipher()?.as_ref(), initial, &mut body);
                bytes.extend(body);
            }
            Protection::Mode7 { counter, .. } => {
                let (mut body, blocks) = self.padded()?;
                self.header(Configuration::mode_7(blocks))?
                    .write(&mut bytes);
                let key = crypto::derive(
                    cipher()?.as_ref(),
                    Purpose::Encryption,
                    counter,
                    self.addressee().identification,
                );
                crypto::cbc_encrypt(&key, [0; 16], &mut body);
                bytes.extend(body);
            }
            Protection::Mode10 { counter, tag_len } => {
                self.header(Configuration::mode_10(tag_len, counter))?
                    .write(&mut bytes);
                let meter = self.addressee();
                let key = crypto::derive(
                    cipher()?.as_ref(),
                    Purpose::Encryption,
                    counter,
                    meter.identification,
                );
                let mut body = self.payload.to_vec();
                let authenticated = bytes.len() - size_of_val(&counter);
                let header = bytes.get(..authenticated).unwrap_or_default();
                let tag = crypto::ccm_encrypt(
                    &key,
                    ccm_nonce(meter, counter),
                    header,
                    &mut body,
                    tag_len.into(),
                );
                bytes.extend(body);
                bytes.extend(tag.ok_or(ErrorKind::Reserved(tag_len))?);
            }
        }
        Ok(bytes)
    }

    /// The header of the authentication and fragmentation layer, if the protection has one.
    fn authentication(
        &self,
        key: Option<&MeterKey>,
        message: &[u8],
        message_len: Option<u16>,
    ) -> Result<Option<afl::Header>, ErrorKind> {
        let Protection::Mode7 { counter, tag_len } = self.protection else {
            return Ok(None);
        };
        let control = MessageControl::with_tag_len(tag_len);
        let mut header = afl::Header {
            fragment: Fragment::WHOLE,
            control: Some(if message_len.is_some() {
                control.with_message_len()
            } else {
                control
            }),
            key_information: None,
            counter: Some(counter),
            mac: None,
            message_len,
        };
        let key = key.ok_or(ErrorKind::KeyMissing)?;
        let mac = header.calculate(key, self.addressee().identification, message)?;
        header.mac = mac.get(..control.tag_len()?).and_then(Tag::new);
        Ok(Some(header))
    }

    fn header(&self, configuration: Configuration) -> Result<tpl::Header, ErrorKind> {
        if !tpl::has_header(self.ci) && configuration != Configuration::PLAIN {
            return Err(ErrorKind::Reserved(self.ci));
        }
        let fields = Fields {
            access_number: self.access_number,
            status: self.status,
            configuration,
        };
        Ok(tpl::Header {
            ci: self.ci,
            address: tpl::has_long_header(self.ci).then_some(self.meter),
            fields: tpl::has_header(self.ci).then_some(fields),
        })
    }

    /// Whose key and address the protection uses.
    const fn addressee(&self) -> Address {
        if tpl::has_long_header(self.ci) {
            self.meter
        } else {
            self.sender
        }
    }

    /// The payload with filler bytes before it and behind it, and the number of its blocks.
    fn padded(&self) -> Result<(Vec<u8>, u8), ErrorKind> {
        let mut body = CHECK.to_vec();
        body.extend(self.payload);
        body.resize(body.len().next_multiple_of(16), FILLER);
        match u8::try_from(body.len() / 16) {
            Ok(blocks @ ..=15) => Ok((body, blocks)),
            _ => Err(ErrorKind::Length {
                declared: 15 * 16,
                found: body.len(),
            }),
        }
    }
}

const fn in_transport_layer(kind: ErrorKind) -> Error {
    Error {
        layer: Layer::Tpl,
        offset: link::Frame::HEADER_LEN,
        kind,
    }
}

const FILLER: u8 = 0x2F;
