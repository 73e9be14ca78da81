//! Meters that send formats of their own: instead of records, behind them, or inside one.
//!
//! One small file for each format. A format is chosen by the meter's manufacturer, version and medium and by its
//! [`Place`], never by trial; what it reads becomes ordinary [`Record`]s, so that profiles, names, channels and
//! everything behind them know no difference.
//!
//! None of these formats is published by its manufacturer; each file names where its facts come from. What is not
//! known of a format is left out, not guessed; a value that the meter did not send is absent. Nothing of them is
//! authenticated, but what is decrypted with the meter's key is checked as far as the format allows.
//!
//! To add one: a file with a [`Format`], the facts and their source in its doc comment, tests with a telegram and
//! values from outside, and a line in [`of`].

mod apator_162;
mod apator_eitn;
mod apator_eitn40;
mod apator_na1;
mod apator_thirds;
mod bfw_240;
mod bmeters_hca;
mod bmeters_hydrodigit;
mod bmeters_tx1;
mod dates;
mod diehl_address;
mod diehl_cipher;
mod diehl_prios;
mod diehl_real_data;
mod ei_smoke;
mod fields;
mod gwf;
mod qundis;
mod sheet;
mod techem_hca;
mod techem_heat;
mod techem_smoke;
mod techem_water;
#[cfg(test)]
mod testing;
mod zenner_0b;

pub(crate) use diehl_address::meter;
pub(crate) use fields::{Note, Notes};

use fields::Fields;

use crate::address::{Address, Manufacturer};
use crate::crypto::MeterKey;
use crate::error::{Error, ErrorKind, Layer};
use crate::reader::Reader;
use crate::record::{Date, Function, Header, Moment, Record};
use crate::telegram::{Content, Plain, Security};

/// The formats of a manufacturer.
const fn of(manufacturer: Manufacturer) -> &'static [Format] {
    match manufacturer.letters_only() {
        APA => &[
            apator_162::FORMAT,
            apator_na1::FORMAT,
            apator_eitn::FORMAT,
            apator_eitn::WRAPPED,
            apator_eitn40::FORMAT,
            apator_eitn40::WRAPPED,
        ],
        APT => &[
            apator_thirds::FORMAT_08,
            apator_thirds::FORMAT_08_NEW,
            apator_thirds::FORMAT_17,
            apator_eitn::FORMAT,
            apator_eitn::WRAPPED,
            apator_eitn40::FORMAT,
            apator_eitn40::WRAPPED,
        ],
        BFW => &[bfw_240::FORMAT],
        BMP => &[bmeters_hca::FORMAT],
        BMT => &[bmeters_tx1::FORMAT, bmeters_hydrodigit::FORMAT],
        DME | EWT | HYD | SAP | SPL => &[diehl_prios::FORMAT, diehl_real_data::FORMAT],
        EIE => &[ei_smoke::FORMAT],
        GWF => &[gwf::FORMAT],
        LSE | QDS => &[qundis::FORMAT],
        TCH => &[
            techem_water::FORMAT,
            techem_water::FORMAT_3A,
            techem_hca::FORMAT,
            techem_heat::COMPACT,
            techem_heat::VARIO,
            techem_smoke::FORMAT,
        ],
        ZRI => &[zenner_0b::FORMAT],
        _ => &[],
    }
}

/// The records of a payload that is in a manufacturer's format, although its CI may announce records; `None` if it is
/// not, or the format is not known here. What is read is told to `notes`, also of a payload that is refused.
#[inline]
pub(crate) fn payload(
    plain: &Plain<'_>,
    key: Option<&MeterKey>,
    notes: Option<&Notes>,
) -> Option<Result<Vec<Record>, Error>> {
    let formats = of(plain.address.manufacturer).iter();
    let format = formats.clone().find(|format| format.is_whole(plain))?;
    let reader = whole(plain);
    Some((format.read)(&Input {
        plain,
        key,
        reader,
        records: &[],
        notes,
    }))
}

/// Adds what standard records do not tell: the manufacturer's block behind them, or one of them that is its own.
///
/// What is read is told to `notes`. A part that is not as its format says stays what it is, bytes: the records beside it are none the worse.
///
/// # Errors
/// [`ErrorKind::KeyMissing`], [`ErrorKind::KeyRejected`] and [`ErrorKind::KeyLength`] if the part is encrypted.
#[inline]
pub(crate) fn extend(
    plain: &Plain<'_>,
    key: Option<&MeterKey>,
    records: &mut Vec<Record>,
    notes: Option<&Notes>,
) -> Result<(), Error> {
    for format in of(plain.address.manufacturer) {
        if !format.is_of(plain) {
            continue;
        }
        let Ok(Some(reader)) = part(plain, format.place) else {
            continue;
        };
        let input = Input {
            plain,
            key,
            reader,
            records,
            notes,
        };
        match (format.read)(&input) {
            Ok(found) => records.extend(found),
            Err(error) if is_about_keys(error.kind) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Is the payload, or a part of it, encrypted with the meter's key in a way that no layer declares? Then whoever
/// reads it has to decrypt it, or refuses it.
#[inline]
pub(crate) fn is_encrypted(plain: &Plain<'_>) -> bool {
    let mut formats = of(plain.address.manufacturer).iter();
    formats.any(|format| {
        if format.is_whole(plain) {
            return (format.is_encrypted)(whole(plain));
        }
        let part = || part(plain, format.place).ok().flatten();
        format.is_of(plain) && part().is_some_and(|part| (format.is_encrypted)(part))
    })
}

fn whole<'a>(plain: &Plain<'a>) -> Reader<'a> {
    Reader::in_layer(Layer::Profile, plain.offset, plain.bytes)
}

const fn is_about_keys(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::KeyMissing | ErrorKind::KeyRejected | ErrorKind::KeyLength
    )
}

/// A manufacturer's own format.
struct Format {
    /// The meters' versions.
    versions: Is,
    /// The meters' media.
    media: Is,
    /// Where it stands.
    place: Place,
    /// Is this payload or part encrypted with the meter's key, other than by the layers below?
    is_encrypted: fn(Reader<'_>) -> bool,
    /// The records in the payload or part. What is left over is the format's to judge.
    read: fn(&Input<'_>) -> Result<Vec<Record>, Error>,
}

/// Which bytes fit.
enum Is {
    Any,
    Of(&'static [u8]),
}

impl Is {
    fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Of(bytes) => bytes.contains(&byte),
        }
    }
}

/// Where in a telegram a format stands.
#[derive(Clone, Copy)]
enum Place {
    /// Behind one of these CIs.
    Ci(u8, u8),
    /// Behind CI 7A, although that announces records.
    Body,
    /// Behind CI 7A, in a security mode that is the manufacturer's (16 to 31).
    OwnMode,
    /// Behind DIF 0F or 1F.
    Block,
    /// In a record with this VIFE behind VIF FF.
    Vife(u8),
}

impl Format {
    /// Is this the format of the whole payload?
    fn is_whole(&self, plain: &Plain<'_>) -> bool {
        let is_here = match self.place {
            Place::Ci(first, last) => (first..=last).contains(&plain.ci),
            Place::Body => plain.ci == 0x7A && plain.content == Content::Full,
            Place::OwnMode => plain.ci == 0x7A && plain.security == Security::Manufacturer,
            Place::Block | Place::Vife(_) => false,
        };
        is_here && self.is_of(plain)
    }

    fn is_of(&self, plain: &Plain<'_>) -> bool {
        let Address {
            version, medium, ..
        } = plain.address;
        self.versions.fits(version) && self.media.fits(medium.0)
    }
}

/// What a format is given.
struct Input<'a> {
    /// The telegram: address, CI and so on.
    plain: &'a Plain<'a>,
    /// The meter's key, for formats with an encryption of their own.
    key: Option<&'a MeterKey>,
    /// The payload, or the part.
    reader: Reader<'a>,
    /// The standard records beside the part.
    records: &'a [Record],
    /// Where what is read is told, if somebody wants to know.
    notes: Option<&'a Notes>,
}

impl<'a> Input<'a> {
    /// Reads the payload or the part, in layer [`Layer::Profile`] and at the right offset.
    fn fields(&self) -> Fields<'a> {
        Fields::new(self.reader.clone(), self.notes)
    }

    /// The meter's date, if an ordinary record tells it.
    fn date(&self) -> Option<Date> {
        let mut current = self
            .records
            .iter()
            .filter(|record| record.storage == 0 && record.function == Function::Instantaneous);
        match current.find_map(|record| record.value.moment())? {
            Moment::Date(date) => Some(date),
            Moment::DateTime(time) => Some(time.date),
        }
    }
}

/// Finds a part of a payload of records.
fn part<'a>(plain: &Plain<'a>, place: Place) -> Result<Option<Reader<'a>>, Error> {
    if !matches!(place, Place::Block | Place::Vife(_)) {
        return Ok(None);
    }
    let mut reader = whole(plain);
    while let Some(dif) = reader.peek() {
        reader.byte()?;
        if dif == 0x2F {
            continue;
        }
        if dif & 0x0F == 0x0F {
            return Ok((matches!(place, Place::Block) && reader.any_left()).then_some(reader));
        }
        let header = Header::read(dif, &mut reader)?;
        let codes = header.template.qualifiers;
        if matches!((place, codes.codes()), (Place::Vife(wanted), [0x7F, code]) if wanted == *code)
        {
            let length = match header.field.len() {
                Some(length) => length,
                None => reader.byte()?.into(),
            };
            return reader.sub(length).map(Some);
        }
        header.read_value(&mut reader)?;
    }
    Ok(None)
}

/// The initial vector of security mode 5, which some formats use outside of it.
const fn initial_vector(sender: Address, n: u8) -> [u8; 16] {
    let [m0, m1, i0, i1, i2, i3, version, medium] = sender.to_link();
    [
        m0, m1, i0, i1, i2, i3, version, medium, n, n, n, n, n, n, n, n,
    ]
}

const APA: Manufacturer = letters(b"APA");
const APT: Manufacturer = letters(b"APT");
const BFW: Manufacturer = letters(b"BFW");
const BMP: Manufacturer = letters(b"BMP");
const BMT: Manufacturer = letters(b"BMT");
const DME: Manufacturer = letters(b"DME");
const EIE: Manufacturer = letters(b"EIE");
const EWT: Manufacturer = letters(b"EWT");
const GWF: Manufacturer = letters(b"GWF");
const HYD: Manufacturer = letters(b"HYD");
const LSE: Manufacturer = letters(b"LSE");
const QDS: Manufacturer = letters(b"QDS");
const SAP: Manufacturer = letters(b"SAP");
const SPL: Manufacturer = letters(b"SPL");
const TCH: Manufacturer = letters(b"TCH");
const ZRI: Manufacturer = letters(b"ZRI");

const fn letters(&[a, b, c]: &[u8; 3]) -> Manufacturer {
    let [a, b, c] = [a as u16 - 64, b as u16 - 64, c as u16 - 64];
    Manufacturer(a << 10 | b << 5 | c)
}
