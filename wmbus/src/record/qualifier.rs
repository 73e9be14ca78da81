//! What the VIFEs add to a quantity: directions, phases, limits, durations, errors (EN 13757-3, tables 15 to 18).

use core::fmt;

/// The qualifiers of a record, in the order sent; at most ten VIFEs.
///
/// Corrections of the value (factors and offsets) are not among them: they are applied to it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Qualifiers {
    /// VIFEs without their extension bits.
    codes: [u8; Self::MAX],
    len: u8,
}

impl Qualifiers {
    /// How many codes there can be: ten, and the mark before those of a manufacturer's VIF.
    const MAX: usize = 11;

    /// Each with its meaning.
    pub fn iter(&self) -> impl Iterator<Item = Qualifier> + '_ {
        let mut table = Table::Orthogonal;
        self.codes().iter().filter_map(move |&code| {
            let (qualifier, next) = match (table, code) {
                (Table::Orthogonal, EXTENSION) => (None, Table::Extension),
                (Table::Orthogonal, MANUFACTURER) => (None, Table::Manufacturer),
                (Table::Orthogonal, _) => (Some(Qualifier::Standard(code)), Table::Orthogonal),
                (Table::Extension, _) => (Some(Qualifier::Extension(code)), Table::Orthogonal),
                (Table::Manufacturer, _) => {
                    (Some(Qualifier::Manufacturer(code)), Table::Manufacturer)
                }
            };
            table = next;
            qualifier
        })
    }

    /// Is this one among them?
    #[must_use]
    pub fn contains(&self, wanted: Qualifier) -> bool {
        self.iter().any(|qualifier| qualifier == wanted)
    }

    /// Are there none?
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The VIFEs as sent, without their extension bits.
    #[must_use]
    pub fn codes(&self) -> &[u8] {
        self.codes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Adds a VIFE; `None` if there is no room.
    #[inline]
    pub(crate) fn push(&mut self, vife: u8) -> Option<()> {
        *self.codes.get_mut(usize::from(self.len))? = vife & 0x7F;
        self.len += 1;
        Some(())
    }

    /// The same without one standard code.
    pub(crate) fn without(self, code: u8) -> Self {
        let mut rest = Self::default();
        for &kept in self.codes().iter().filter(|&&kept| kept != code) {
            // Fewer than there were always have room.
            let _ = rest.push(kept);
        }
        rest
    }
}

impl fmt::Debug for Qualifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What one VIFE adds to a quantity. [`Display`](fmt::Display) gives a name in `snake_case`.
///
/// ```
/// use wmbus::record::Qualifier;
/// assert_eq!(Qualifier::BACKWARD.to_string(), "backward");
/// assert_eq!(Qualifier::Extension(1).to_string(), "phase_l1");
/// assert_eq!(Qualifier::Standard(0x4F).to_string(), "last_upper_exceed_end");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Qualifier {
    /// A code of the table of orthogonal VIFEs (table 15), or a record error (table 18).
    Standard(u8),
    /// A code of its extension (table 16).
    Extension(u8),
    /// A code of the manufacturer.
    Manufacturer(u8),
}

impl Qualifier {
    /// Accumulates only what flows forward, into the building.
    pub const FORWARD: Self = Self::Standard(0x3B);
    /// Accumulates only what flows backward.
    pub const BACKWARD: Self = Self::Standard(0x3C);

    /// Is it an error that leaves the record without a value (table 18)? Of a duration, it says that it is the
    /// error's; error flags have their values, too.
    #[must_use]
    pub const fn is_error(self) -> bool {
        matches!(self, Self::Standard(0x01..=0x0F | 0x15..=0x1C))
    }

    const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Standard(code) => match code {
                0x01 => "error_too_many_difes",
                0x02 => "error_storage_number",
                0x03 => "error_unit_number",
                0x04 => "error_tariff_number",
                0x05 => "error_function",
                0x06 => "error_data_class",
                0x07 => "error_data_size",
                0x0B => "error_too_many_vifes",
                0x0C => "error_vif_group",
                0x0D => "error_vif_exponent",
                0x0E => "error_vif_dif_mismatch",
                0x0F => "error_unimplemented_action",
                0x12 => "average",
                0x13 => "inverse_compact_profile",
                0x14 => "relative_deviation",
                0x15 => "error_no_data",
                0x16 => "error_overflow",
                0x17 => "error_underflow",
                0x18 => "error_data",
                0x1C => "error_premature_end",
                0x1D => "standard_conform",
                0x1E => "compact_profile_registers",
                0x1F => "compact_profile",
                0x20 => "per_second",
                0x21 => "per_minute",
                0x22 => "per_hour",
                0x23 => "per_day",
                0x24 => "per_week",
                0x25 => "per_month",
                0x26 => "per_year",
                0x27 => "per_measurement",
                0x28 => "per_input_pulse_0",
                0x29 => "per_input_pulse_1",
                0x2A => "per_output_pulse_0",
                0x2B => "per_output_pulse_1",
                0x2C => "per_litre",
                0x2D => "per_cubic_metre",
                0x2E => "per_kilogram",
                0x2F => "per_kelvin",
                0x30 => "per_kilowatt_hour",
                0x31 => "per_gigajoule",
                0x32 => "per_kilowatt",
                0x33 => "per_kelvin_litre",
                0x34 => "per_volt",
                0x35 => "per_ampere",
                0x36 => "times_second",
                0x37 => "times_second_per_volt",
                0x38 => "times_second_per_ampere",
                0x39 => "start",
                0x3A => "uncorrected",
                0x3B => "forward",
                0x3C => "backward",
                0x3D => "non_metric",
                0x3E => "base_conditions",
                0x3F => "obis",
                0x40 => "lower_limit",
                0x41 => "lower_exceeds",
                0x48 => "upper_limit",
                0x49 => "upper_exceeds",
                0x68 => "during_lower_exceed",
                0x69 => "leakage",
                0x6A => "first_begin",
                0x6B => "first_end",
                0x6C => "during_upper_exceed",
                0x6D => "overflow",
                0x6E => "last_begin",
                0x6F => "last_end",
                0x7E => "future",
                _ => return None,
            },
            Self::Extension(code) => match code {
                0x01 => "phase_l1",
                0x02 => "phase_l2",
                0x03 => "phase_l3",
                0x04 => "neutral",
                0x05 => "phase_l1_l2",
                0x06 => "phase_l2_l3",
                0x07 => "phase_l3_l1",
                0x08 => "quadrant_1",
                0x09 => "quadrant_2",
                0x0A => "quadrant_3",
                0x0B => "quadrant_4",
                0x0C => "import_less_export",
                0x0D => "alternative_non_metric",
                0x0E => "secondary_sensor",
                0x0F => "higher_resolution",
                0x10 => "absolute",
                0x11 => "unsigned",
                0x12 => "bits",
                0x13 => "end",
                0x14 => "to_meter",
                0x15 => "from_meter",
                _ => return None,
            },
            Self::Manufacturer(_) => return None,
        })
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name() {
            return f.pad(name);
        }
        match *self {
            Self::Standard(code @ 0x42..=0x67) => limit(f, code),
            Self::Standard(code) => write!(f, "vife_{code:02x}"),
            Self::Extension(code) => write!(f, "vife_fc_{code:02x}"),
            Self::Manufacturer(code) => write!(f, "manufacturer_{code:02x}"),
        }
    }
}

/// E100 uf1b, E101 ufnn, E110 0fnn: when and how long limits were exceeded, or something lasted.
fn limit(f: &mut fmt::Formatter<'_>, code: u8) -> fmt::Result {
    let which = if code & 0x04 == 0 { "first" } else { "last" };
    let side = if code & 0x08 == 0 { "lower" } else { "upper" };
    let edge = if code & 0x01 == 0 { "begin" } else { "end" };
    match code >> 4 {
        4 if code & 0x02 != 0 => write!(f, "{which}_{side}_exceed_{edge}"),
        5 => write!(f, "{which}_{side}_exceed_duration"),
        6 => write!(f, "{which}_duration"),
        _ => write!(f, "vife_{code:02x}"),
    }
}

#[derive(Clone, Copy)]
enum Table {
    Orthogonal,
    Extension,
    Manufacturer,
}

/// The next code is of the extension of the orthogonal table.
pub(crate) const EXTENSION: u8 = 0x7C;
/// All codes that follow are the manufacturer's.
pub(crate) const MANUFACTURER: u8 = 0x7F;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(codes: &[u8]) -> Vec<String> {
        let mut qualifiers = Qualifiers::default();
        for &code in codes {
            qualifiers.push(code).unwrap();
        }
        qualifiers.iter().map(|one| one.to_string()).collect()
    }

    #[test]
    fn follows_the_tables() {
        assert_eq!(names(&[0xFC, 0x01]), ["phase_l1"]);
        assert_eq!(
            names(&[0xBC, 0xFC, 0x83, 0x12]),
            ["backward", "phase_l3", "average"]
        );
        assert_eq!(
            names(&[0xFF, 0xBC, 0x7F]),
            ["manufacturer_3c", "manufacturer_7f"]
        );
        assert_eq!(names(&[0xFC, 0x70]), ["vife_fc_70"]);
    }

    #[test]
    fn names_limits() {
        assert_eq!(
            names(&[0x42, 0x4F, 0x44]),
            [
                "first_lower_exceed_begin",
                "last_upper_exceed_end",
                "vife_44"
            ]
        );
        assert_eq!(
            names(&[0x51, 0x5E]),
            ["first_lower_exceed_duration", "last_upper_exceed_duration"]
        );
        assert_eq!(names(&[0x62, 0x64]), ["first_duration", "last_duration"]);
    }

    #[test]
    fn holds_ten_and_the_mark() {
        let mut qualifiers = Qualifiers::default();
        for _ in 0..Qualifiers::MAX {
            assert!(qualifiers.push(0x3C).is_some());
        }
        assert!(qualifiers.push(0x3C).is_none());
        assert_eq!(qualifiers.codes().len(), Qualifiers::MAX);
    }
}
