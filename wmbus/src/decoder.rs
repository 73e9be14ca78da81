//! The decoder of one meter: from a telegram's bytes to a reading.

use std::sync::Arc;

use crate::address::Address;
use crate::afl::Assembler;
use crate::compact::Layout;
use crate::crc;
use crate::crypto::MeterKey;
use crate::error::{Error, ErrorKind, Layer};
use crate::link;
use crate::profile::{Flag, MeterType, Profile, Profiles};
use crate::proprietary;
use crate::reader::Reader;
use crate::reading::Reading;
use crate::record::{Quantity, Record, Records, Value};
use crate::signature::Signature;
use crate::telegram::{Authentication, Buffer, Content, Plain, Security, Telegram};

/// Decodes the telegrams of one meter: decrypts and verifies them with its key, knows its profile, and learns the
/// layouts of its compact frames from its full ones.
///
/// A layout is learned only from a telegram that was valid to its last byte, is used only for the meter it was learned
/// from, and never takes the place of one of the profile's. Of a telegram that is refused, nothing stays.
///
/// ```
/// use wmbus::Decoder;
/// # fn hex(text: &str) -> Vec<u8> {
/// #     text.as_bytes().chunks(2).map(|d| u8::from_str_radix(str::from_utf8(d).unwrap(), 16).unwrap()).collect()
/// # }
/// // A captured telegram of an electricity meter, and its key.
/// let bytes = hex("27442D2C5768663230028D202E21870320D3A4F149B1B8F5783DF7434B8A66A55786499ABE7BAB59");
/// let key = "9A25139E3244CC2E391A8EF6B915B697".parse()?;
/// let mut decoder = Decoder::new(Some(key));
/// let reading = decoder.decode(&bytes)?;
/// let profile = decoder.profile(reading.address).unwrap();
/// let channel = &profile.channels[0];
/// assert_eq!(channel.name, "A+ / Active positive energy");
/// assert_eq!(reading.channel(profile, channel).unwrap().to_string(), "2.06");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    key: Option<MeterKey>,
    /// Pieces of a message that came in several telegrams.
    fragments: Assembler,
    knowledge: Knowledge,
}

impl Decoder {
    /// Decodes with the embedded profiles. Without a key, only telegrams that are not encrypted, or were published
    /// after decryption; with one, only telegrams that it opens.
    #[must_use]
    pub fn new(key: Option<MeterKey>) -> Self {
        Self::with_profiles(key, Profiles::embedded())
    }

    /// Decodes with these profiles.
    #[must_use]
    pub const fn with_profiles(key: Option<MeterKey>, profiles: Arc<Profiles>) -> Self {
        Self {
            key,
            fragments: Assembler::new(),
            knowledge: Knowledge {
                profiles,
                profile: None,
                learned: None,
            },
        }
    }

    /// Uses other profiles from the next telegram on; what was learned stays.
    pub fn set_profiles(&mut self, profiles: Arc<Profiles>) {
        self.knowledge.profiles = profiles;
        self.knowledge.profile = None;
    }

    /// Uses another key from the next telegram on; what was learned with the old one is forgotten.
    pub fn set_key(&mut self, key: Option<MeterKey>) {
        self.key = key;
        self.fragments = Assembler::new();
        self.knowledge.learned = None;
    }

    /// The layouts that were learned, for a later decoder of the same meter and key; `None` if there are none.
    #[must_use]
    pub fn learned(&self) -> Option<&Learned> {
        self.knowledge.learned.as_deref()
    }

    /// Takes up what an earlier decoder of the same meter and key has [learned](Self::learned).
    pub fn set_learned(&mut self, learned: Option<Learned>) {
        self.knowledge.learned = learned.map(Box::new);
    }

    /// The profile of a meter; `None` if there is none for its type.
    #[inline]
    pub fn profile(&mut self, meter: impl Into<MeterType>) -> Option<&Arc<Profile>> {
        self.knowledge.profile(meter.into())
    }

    /// Decodes a telegram as it was received: with or without link-layer CRCs, or with the two bytes that a receiver
    /// leaves at its end; or a wired long frame.
    ///
    /// # Errors
    /// The first thing that is not as it must be, in any layer; then nothing was learned.
    /// [`ErrorKind::Incomplete`] for a fragment of a message, until the last of them is there.
    #[inline]
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Reading, Error> {
        let bytes = link::normalise(bytes)?;
        let mut telegram = Telegram::parse(&bytes)?;
        let mut joined = Vec::new();
        if telegram.is_fragment() {
            telegram = telegram.join(&mut self.fragments, &mut joined)?;
        }
        let mut buffer = Buffer::new();
        let plain = self.open(&telegram, &mut buffer)?;
        self.knowledge.read(&plain, self.key.as_ref())
    }

    /// Decrypts and verifies, as far as the manufacturer's own encryption leaves it to the layers.
    #[inline]
    pub(crate) fn open<'b>(
        &self,
        telegram: &'b Telegram<'_>,
        buffer: &'b mut Buffer,
    ) -> Result<Plain<'b>, Error> {
        match &self.key {
            Some(key) => match telegram.undeclared() {
                Some(plain) if proprietary::is_encrypted(&plain) => Ok(plain),
                _ => telegram.decrypt(key, buffer),
            },
            None => telegram.published(buffer),
        }
    }

    /// What is there of a message that comes in several telegrams.
    pub(crate) const fn fragments(&self) -> &Assembler {
        &self.fragments
    }

    pub(crate) const fn key(&self) -> Option<&MeterKey> {
        self.key.as_ref()
    }

    /// The layout that a meter's compact frames name by this signature, if it is known.
    pub(crate) fn layout(&mut self, meter: Address, signature: Signature) -> Option<Layout> {
        self.knowledge.layout(meter, signature)
    }
}

/// What is known of the meter besides its key.
#[derive(Clone, Debug)]
struct Knowledge {
    profiles: Arc<Profiles>,
    /// The profile found for the type of meter heard last.
    profile: Option<(MeterType, Option<Arc<Profile>>)>,
    learned: Option<Box<Learned>>,
}

impl Knowledge {
    #[inline]
    fn profile(&mut self, meter: MeterType) -> Option<&Arc<Profile>> {
        let (found, profile) = self
            .profile
            .get_or_insert_with(|| (meter, self.profiles.find(meter).cloned()));
        if *found != meter {
            *found = meter;
            *profile = self.profiles.find(meter).cloned();
        }
        profile.as_ref()
    }

    /// Reads a payload that was decrypted and verified with the key, or needs none.
    #[inline]
    fn read(&mut self, plain: &Plain<'_>, key: Option<&MeterKey>) -> Result<Reading, Error> {
        let reader = Reader::in_layer(Layer::Apl, plain.offset, plain.bytes);
        let mut more_follow = false;
        let records = match plain.content {
            Content::Full => match proprietary::payload(plain, key, None) {
                Some(records) => records?,
                None => self.full(plain, key, reader, &mut more_follow)?,
            },
            Content::Compact => self.compact(plain, reader)?,
            Content::Format => {
                self.format(plain.address, reader)?;
                Vec::new()
            }
            Content::Manufacturer => match proprietary::payload(plain, key, None) {
                Some(records) => records?,
                None => vec![Record::manufacturer_data(plain.bytes)],
            },
            Content::Alarm => vec![Record {
                quantity: Quantity::Alarm,
                value: Value::Bytes(plain.bytes.into()),
                ..Record::default()
            }],
        };
        Ok(Reading::new(plain, records, more_follow))
    }

    #[inline]
    fn full(
        &mut self,
        plain: &Plain<'_>,
        key: Option<&MeterKey>,
        reader: Reader<'_>,
        more_follow: &mut bool,
    ) -> Result<Vec<Record>, Error> {
        let mut unsigned = false;
        if let Some(profile) = self.profile(plain.address.into()) {
            let known = profile
                .layouts
                .iter()
                .find_map(|layout| layout.read_full(reader.clone()));
            if let Some(records) = known {
                return Ok(records);
            }
            unsigned = profile.has(Flag::Unsigned);
        }
        let mut headers = Vec::with_capacity(plain.bytes.len());
        let mut records = Records::new(reader).unsigned(unsigned);
        // Some meters, and some receivers, leave bytes behind the last record. Where a CRC or MAC says that all is as
        // the meter sent it, and what is learned must be beyond doubt, this is refused.
        let forgiving = plain.authentication == Authentication::None;
        let mut all = records.read_all(forgiving, |header| headers.extend_from_slice(header))?;
        *more_follow = records.more_follow();
        proprietary::extend(plain, key, &mut all, None)?;
        if all.iter().all(|record| record.quantity != Quantity::Rest) {
            self.learn(plain.address, &headers);
        }
        Ok(all)
    }

    #[inline]
    fn compact(&mut self, plain: &Plain<'_>, mut reader: Reader<'_>) -> Result<Vec<Record>, Error> {
        let address = plain.address;
        let padded = matches!(plain.security, Security::Transport(_));
        let here = reader.clone();
        let signature = Signature(reader.u16()?);
        let mut unsigned = false;
        if let Some(profile) = self.profile(address.into()) {
            let layout = profile
                .layouts
                .iter()
                .find(|layout| layout.signature() == signature);
            if let Some(layout) = layout {
                return layout.read(&mut reader, padded);
            }
            unsigned = profile.has(Flag::Unsigned);
        }
        let layout = self.learned(address, signature, unsigned);
        let layout = layout.ok_or(here.error(ErrorKind::UnknownFormat(signature)))?;
        layout.read(&mut reader, padded)
    }

    fn layout(&mut self, meter: Address, signature: Signature) -> Option<Layout> {
        let mut unsigned = false;
        if let Some(profile) = self.profile(meter.into()) {
            let mut layouts = profile.layouts.iter();
            if let Some(layout) = layouts.find(|layout| layout.signature() == signature) {
                return Some(layout.clone());
            }
            unsigned = profile.has(Flag::Unsigned);
        }
        self.learned(meter, signature, unsigned)
    }

    fn learned(&self, meter: Address, signature: Signature, unsigned: bool) -> Option<Layout> {
        let headers = self.learned.as_ref()?.headers(meter, signature)?;
        // Only what is a layout was learned.
        let mut layout = Layout::from_headers(headers).ok()?;
        if unsigned {
            layout.take_for_unsigned();
        }
        Some(layout)
    }

    /// A format frame: length, signature, headers (EN 13757-7, CI 69, 6A and 6B).
    fn format(&mut self, address: Address, mut reader: Reader<'_>) -> Result<(), Error> {
        let length = reader.byte()?;
        let mut frame = reader.sub(length.into())?;
        reader.finish()?;
        let here = frame.clone();
        let found = frame.u16()?;
        let layout = Layout::from_headers(frame.rest())?;
        let expected = layout.signature().0;
        if expected != found {
            return Err(here.error(ErrorKind::Crc { expected, found }));
        }
        self.learn(address, layout.headers());
        Ok(())
    }

    /// Remembers the headers of a full frame, which a compact frame may leave out.
    fn learn(&mut self, address: Address, headers: &[u8]) {
        let signature = Signature(crc::en13757(headers));
        let known = self.profile(address.into()).is_some_and(|profile| {
            profile
                .layouts
                .iter()
                .any(|layout| layout.signature() == signature)
        });
        if known || headers.is_empty() {
            return;
        }
        self.learned.take_if(|learned| learned.address != address);
        self.learned
            .get_or_insert_with(|| Box::new(Learned::empty(address)))
            .add(signature, headers);
    }
}

/// Layouts learned from one meter's full frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    address: Address,
    /// The oldest first.
    layouts: Vec<(Signature, Box<[u8]>)>,
}

impl Learned {
    /// How many layouts of a meter are remembered; meters have one or two.
    const MAX: usize = 4;

    /// What was learned of the meter with this address earlier: the headers of each layout, the oldest layout first.
    ///
    /// # Errors
    /// Of the first layout that is none, as [`Layout::from_headers`].
    pub fn new<'a>(
        address: Address,
        layouts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, Error> {
        let mut learned = Self::empty(address);
        for headers in layouts {
            learned.add(Layout::from_headers(headers)?.signature(), headers);
        }
        Ok(learned)
    }

    /// The meter.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The headers of each layout, the oldest layout first.
    pub fn layouts(&self) -> impl Iterator<Item = &[u8]> {
        self.layouts.iter().map(|(_, headers)| &**headers)
    }

    const fn empty(address: Address) -> Self {
        Self {
            address,
            layouts: Vec::new(),
        }
    }

    fn headers(&self, address: Address, signature: Signature) -> Option<&[u8]> {
        let of_meter = self.layouts.iter().filter(|_| self.address == address);
        of_meter
            .filter(|(known, _)| *known == signature)
            .map(|(_, headers)| &**headers)
            .next()
    }

    fn add(&mut self, signature: Signature, headers: &[u8]) {
        if self.layouts.iter().any(|(_, known)| **known == *headers) {
            return;
        }
        self.layouts.retain(|(known, _)| *known != signature);
        if self.layouts.len() == Self::MAX {
            self.layouts.remove(0);
        }
        self.layouts.push((signature, headers.into()));
    }
}

#[cfg(test)]
mod tests;
