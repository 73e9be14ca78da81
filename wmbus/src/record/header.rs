//! A record's header: the data information block (DIF, DIFE) and the value information block (VIF, VIFE).

use super::data::{Correction, Field};
use super::plain_text;
use super::qualifier::{EXTENSION, MANUFACTURER, Qualifier};
use super::quantity::Quantity;
use super::vif::{self, Coding, Meaning};
use super::{Function, Record, series};
use crate::error::{Error, ErrorKind};
use crate::reader::Reader;
use crate::unit::Unit;

/// All that stands before a record's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    /// The record without its value.
    pub template: Record,
    /// How the value is stored.
    pub field: Field,
    /// What its bits mean.
    pub coding: Coding,
    /// What is done with the number.
    pub correction: Correction,
    /// Does the header itself say that there is no value (a record error, table 18)?
    pub error: bool,
}

impl Header {
    /// Reads a header whose DIF was read already; the reader goes on at the first VIF or DIFE.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] if the header is cut off; [`ErrorKind::Reserved`] for more than ten DIFEs or VIFEs,
    /// and for DIFs without a record.
    #[inline]
    pub fn read(dif: u8, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let field = Field::from_dif(dif).ok_or(reader.error(ErrorKind::Reserved(dif)))?;
        let mut template = Record {
            function: Function::from_dif(dif),
            storage: u64::from(dif >> 6 & 0x01),
            ..Record::default()
        };
        if dif & MORE != 0 {
            read_difes(&mut template, reader)?;
        }
        let vif = reader.byte()?;
        let meaning = match vif {
            0xFB => {
                let code = reader.byte()?;
                (vif::first_extension(code), code)
            }
            0xFD => match reader.byte()? {
                0xFD => {
                    let code = reader.byte()?;
                    (vif::third_extension(code), code)
                }
                code => (vif::second_extension(code), code),
            },
            code => (vif::primary(code), code),
        };
        let (
            Meaning {
                quantity,
                unit,
                exponent,
                coding,
            },
            last,
        ) = meaning;
        template.quantity = quantity;
        template.unit = unit;
        let mut header = Self {
            template,
            field,
            coding,
            correction: Correction::power(exponent),
            error: false,
        };
        match vif & 0x7F {
            PLAIN_TEXT => header.read_plain_text(vif, reader)?,
            code => {
                if code == MANUFACTURER {
                    header.qualify(MANUFACTURER, reader)?;
                }
                if last & MORE != 0 {
                    header.read_vifes(reader)?;
                }
            }
        }
        Ok(header)
    }

    /// The VIF is a text, which old meters send before the VIFEs and new ones behind them (Annex C.2).
    fn read_plain_text(&mut self, vif: u8, reader: &mut Reader<'_>) -> Result<(), Error> {
        let text = if plain_text::is_first(vif, reader.left()) {
            let text = plain_text::read(reader)?;
            if vif & MORE != 0 {
                self.read_vifes(reader)?;
            }
            text
        } else {
            self.read_vifes(reader)?;
            plain_text::read(reader)?
        };
        let (quantity, unit) = plain_text::meaning(&text);
        self.template.quantity = quantity;
        self.template.unit = unit.unwrap_or(Unit::None);
        if unit.is_none() {
            self.template.unit_text = Some(text);
        }
        Ok(())
    }

    fn read_vifes(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let mut manufacturer = self.template.quantity == Quantity::Manufacturer;
        for _ in 0..MAX_VIFES {
            let vife = reader.byte()?;
            let code = vife & 0x7F;
            match code {
                _ if manufacturer => self.qualify(vife, reader)?,
                MANUFACTURER => {
                    self.qualify(vife, reader)?;
                    manufacturer = true;
                }
                EXTENSION if vife & MORE != 0 => {
                    let extension = reader.byte()?;
                    match extension & 0x7F {
                        0x11 => self.coding = Coding::Unsigned,
                        0x12 => self.coding = Coding::Bits,
                        code => {
                            if code == END {
                                self.tells_moment();
                            }
                            self.qualify(vife, reader)?;
                            self.qualify(extension, reader)?;
                        }
                    }
                    if extension & MORE == 0 {
                        return Ok(());
                    }
                    continue;
                }
                NO_ERROR => {}
                _ if self.correction.apply(code) => {}
                _ => {
                    self.redefine(code);
                    // A duration or error flags with an error code tell of the error, and are there.
                    let tells = matches!(
                        self.template.quantity,
                        Quantity::OnTime | Quantity::OperatingTime | Quantity::ErrorFlags
                    );
                    self.error |= !tells && Qualifier::Standard(code).is_error();
                    self.qualify(vife, reader)?;
                }
            }
            if vife & MORE == 0 {
                return Ok(());
            }
        }
        Err(reader.error(ErrorKind::Reserved(MORE)))
    }

    /// Some orthogonal VIFEs make another thing of the value: a date, a count, a duration, bytes.
    fn redefine(&mut self, code: u8) {
        match code {
            // Dates of the start, or of a limit's crossing.
            0x39 | 0x42 | 0x43 | 0x46 | 0x47 | 0x4A | 0x4B | 0x4E | 0x4F | 0x6A | 0x6B | 0x6E
            | 0x6F => self.tells_moment(),
            // How often a limit was exceeded.
            0x41 | 0x49 => {
                self.template.unit = Unit::None;
                self.correction = Correction::power(0);
            }
            // How long it was, or something else lasted.
            0x50..=0x67 => {
                self.template.unit = vif::time(code);
                self.correction = Correction::power(0);
            }
            // What the unit of a non-metric VIF is, depends on the country.
            0x3D => self.template.unit = Unit::None,
            // Compact profiles hold many values.
            0x13 | 0x1E | 0x1F => self.coding = Coding::Bytes,
            _ => {}
        }
    }

    const fn tells_moment(&mut self) {
        self.template.unit = Unit::None;
        self.coding = Coding::Moment;
    }

    fn qualify(&mut self, vife: u8, reader: &Reader<'_>) -> Result<(), Error> {
        self.template
            .qualifiers
            .push(vife)
            .ok_or(reader.error(ErrorKind::Reserved(vife)))
    }

    /// Is it the header of a compact profile?
    #[inline]
    pub fn is_series(&self) -> bool {
        self.coding == Coding::Bytes && series::kind(&self.template.qualifiers).is_some()
    }

    /// Takes integers for unsigned (type C) where the standard's default is signed (type B).
    #[inline]
    pub fn take_for_unsigned(&mut self) {
        if self.coding == Coding::Number {
            self.coding = Coding::Unsigned;
        }
    }
}

/// Storage number, tariff and subunit go on in up to ten DIFEs, lowest bits first.
fn read_difes(record: &mut Record, reader: &mut Reader<'_>) -> Result<(), Error> {
    for position in 0..MAX_DIFES {
        let dife = reader.byte()?;
        record.storage |= u64::from(dife & 0x0F) << (1 + 4 * position);
        record.tariff |= u32::from(dife >> 4 & 0x03) << (2 * position);
        record.subunit |= u16::from(dife >> 6 & 0x01) << position;
        if dife & MORE == 0 {
            return Ok(());
        }
    }
    Err(reader.error(ErrorKind::Reserved(MORE)))
}

/// The extension bit: one more byte of the same kind follows.
const MORE: u8 = 0x80;
const MAX_DIFES: u32 = 10;
/// As many may stand behind a VIF (EN 13757-3): what they add up to stays small.
const MAX_VIFES: u32 = 10;
/// The record error "none" (table 18).
const NO_ERROR: u8 = 0x00;
const PLAIN_TEXT: u8 = 0x7C;
/// A date of the end, in the extension of the orthogonal table (table 16).
const END: u8 = 0x13;
