//! An application's message: the layers that protect it, and its way to the payload.

use super::body::{Body, CHECK, Protected, Room};
use super::{Authentication, Content, Plain, Security, Telegram};
use crate::address::Address;
use crate::afl;
use crate::crypto::MeterKey;
use crate::error::{Error, ErrorKind, Layer};
use crate::proprietary;
use crate::reader::Reader;
use crate::record::Records;
use crate::tpl::{self, Application, Extension};

/// An application's message with the headers of the layers that protect it.
#[derive(Clone)]
pub(super) struct Message<'a> {
    pub(super) afl: Option<afl::Header>,
    /// From the CI of the transport layer on: what a MAC covers.
    pub(super) bytes: &'a [u8],
    pub(super) tpl: tpl::Header,
    pub(super) application: Application,
    pub(super) body: &'a [u8],
    pub(super) offset: usize,
    /// Is it under a CRC of the extended link layer, which was right?
    pub(super) checked: bool,
}

impl<'a> Message<'a> {
    #[inline]
    pub(super) fn read(
        mut reader: Reader<'a>,
        afl: Option<afl::Header>,
        checked: bool,
    ) -> Result<Self, Error> {
        reader.enter(Layer::Tpl);
        let bytes = reader.left();
        let (tpl, application) = tpl::Header::read(&mut reader)?;
        let offset = reader.offset();
        Ok(Self {
            afl,
            bytes,
            tpl,
            application,
            body: reader.rest(),
            offset,
            checked,
        })
    }

    /// Whose data these are.
    pub(super) fn meter(&self, telegram: &Telegram<'_>) -> Address {
        let sender = || proprietary::meter(telegram.sender, telegram.control, &self.tpl);
        self.tpl.address.unwrap_or_else(sender)
    }

    pub(super) const fn security(&self) -> Security {
        if matches!(
            self.application,
            Application::Content(Content::Manufacturer)
        ) {
            return Security::Manufacturer;
        }
        match self.mode() {
            0 => Security::None,
            1 | 16.. => Security::Manufacturer,
            mode => Security::Transport(mode),
        }
    }

    const fn mode(&self) -> u8 {
        match &self.tpl.fields {
            Some(fields) => fields.configuration.mode(),
            None => 0,
        }
    }

    #[inline]
    pub(super) fn open<'b>(
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
        // As transmitted: so it enters keys and initial vectors.
        let address = self.tpl.address.unwrap_or(telegram.sender);
        let tag_len = self.verify(key, address);
        let body = self.body(key, address, Room { fixed, spill });
        let body = body.map_err(|kind| match (kind, tag_len) {
            // The key is right, for the MAC is: then it is the body that does not fit.
            (ErrorKind::KeyRejected, Ok(1..)) => self.error(ErrorKind::Damaged),
            _ => self.error(kind),
        })?;
        let tag_len = tag_len.map_err(|kind| self.error(kind))?;
        let is_encrypted = body.protected == Protected::Encrypted;
        if is_encrypted && self.mode() == 7 && tag_len == 0 {
            return Err(self.error(ErrorKind::UnsupportedAuthentication(0)));
        }
        let is_authentic = match body.protected {
            Protected::Authenticated => true,
            Protected::Encrypted => tag_len > 0,
            Protected::No => tag_len >= SOUND_TAG_LEN,
        };
        let is_plain = outer.is_none() && !is_authentic && body.protected == Protected::No;
        if key.is_some() && is_plain {
            return Err(self.error(ErrorKind::NotEncrypted));
        }
        let is_own_format = self.security() == Security::Manufacturer;
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
    pub(super) fn plain<'b>(
        &self,
        telegram: &Telegram<'_>,
        body: &Body<'b>,
        is_authentic: bool,
        outer: Option<Security>,
        content: Content,
    ) -> Plain<'b> {
        Plain {
            address: self.meter(telegram).with_registered_manufacturer(),
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

    /// How long the MAC over the message is, which is right; 0 if there is none.
    #[inline]
    fn verify(&self, key: Option<&MeterKey>, address: Address) -> Result<usize, ErrorKind> {
        match (key, &self.afl) {
            (Some(key), Some(afl)) => afl.verify(key, address.identification, self.bytes),
            _ => Ok(0),
        }
    }

    /// Are these plain records, of which none is cut off?
    pub(super) fn ends_with_its_records(&self) -> bool {
        let is_records = self.application == Application::Content(Content::Full);
        let mut records = Records::new(Reader::in_layer(Layer::Apl, self.offset, self.body));
        is_records && self.security() == Security::None && records.all(|record| record.is_ok())
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

    /// The message counter, wherever it stands.
    pub(super) fn counter(&self) -> Option<u32> {
        let in_header = self
            .tpl
            .fields
            .and_then(|fields| match fields.configuration.extension {
                Extension::Mode10 { counter, .. } => Some(counter),
                Extension::None | Extension::Mode7(_) => None,
            });
        in_header.or(self.afl.and_then(|afl| afl.counter))
    }

    pub(super) const fn error(&self, kind: ErrorKind) -> Error {
        Error {
            layer: Layer::Tpl,
            offset: self.offset,
            kind,
        }
    }
}

/// The shortest MAC that makes a body authentic that is not encrypted. The sender chooses the length: with two bytes a
/// forger needs no more than 65,536 tries, which are minutes.
const SOUND_TAG_LEN: usize = 4;
