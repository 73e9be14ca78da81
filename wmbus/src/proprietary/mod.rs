//! Meters whose payload is not EN 13757-3, or not all of it: one small file for each format.
//!
//! A format is a function from a telegram's payload to ordinary [`Record`]s, so that profiles, names, channels and
//! everything after them are the same as for standard meters. It may stand in two places:
//!
//! * the whole payload ([`Place::Payload`]): the CI, or the security mode, says that the manufacturer made it
//!   ([`Content::Manufacturer`](crate::Content::Manufacturer)). Nothing of such a payload is verified yet; the format
//!   checks what its telegrams allow to be checked, with the meter's key if it uses one;
//! * the bytes behind DIF 0F or 1F in an otherwise standard payload ([`Place::Block`]), decrypted and verified with
//!   it.
//!
//! To add one: a file with `pub(super) const FORMAT: Format`, the facts about the format and their source in its doc
//! comment, tests with a telegram and values computed by hand, and a line in [`FORMATS`].

use crate::crypto::MeterKey;
use crate::error::{Error, Layer};
use crate::reader::Reader;
use crate::record::{Quantity, Record, Value};
use crate::telegram::Plain;

mod techem_heat;

/// A manufacturer's own format.
struct Format {
    /// Where it stands.
    place: Place,
    /// Does this telegram use it? By manufacturer, version, medium and CI, never by trial; formats that share all of
    /// these tell themselves apart by the first bytes of the payload.
    uses: fn(&Plain<'_>) -> bool,
    /// Reads the records.
    read: Read,
}

/// Reads the records of a payload or block. The reader holds it, in layer [`Layer::Profile`] and at the right offset;
/// what is left over is the format's to judge. The key is for formats with an encryption of their own; a block never
/// gets it.
type Read = fn(Reader<'_>, &Plain<'_>, Option<&MeterKey>) -> Result<Vec<Record>, Error>;

/// Where a format stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is the whole payload.
    Payload,
    /// It is the manufacturer's block among standard records.
    Block,
}

const FORMATS: &[Format] = &[techem_heat::FORMAT];

/// The records of a payload in a manufacturer's format; `None` if the format is not known here.
pub(crate) fn payload(
    plain: &Plain<'_>,
    key: Option<&MeterKey>,
) -> Option<Result<Vec<Record>, Error>> {
    let format = find(Place::Payload, plain)?;
    let reader = Reader::in_layer(Layer::Profile, plain.offset, plain.bytes);
    Some((format.read)(reader, plain, key))
}

/// Adds what the manufacturer's block at the end of these records says; the block itself stays.
///
/// # Errors
/// Those of the format.
#[inline]
pub(crate) fn block(plain: &Plain<'_>, records: &mut Vec<Record>) -> Result<(), Error> {
    let Some(Record {
        quantity: Quantity::ManufacturerData,
        value: Value::Bytes(bytes),
        ..
    }) = records.last()
    else {
        return Ok(());
    };
    let Some(format) = find(Place::Block, plain) else {
        return Ok(());
    };
    // The block is the end of the payload.
    let offset = plain.offset + plain.bytes.len() - bytes.len();
    let reader = Reader::in_layer(Layer::Profile, offset, bytes);
    let more = (format.read)(reader, plain, None)?;
    records.extend(more);
    Ok(())
}

fn find(place: Place, plain: &Plain<'_>) -> Option<&'static Format> {
    FORMATS
        .iter()
        .find(|format| format.place == place && (format.uses)(plain))
}
