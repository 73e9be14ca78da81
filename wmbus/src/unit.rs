//! The units that values carry.

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares the units with their symbols and, for the ones with a prefix, the unit and power of ten they stand for.
macro_rules! units {
    ($( $(#[$doc:meta])* $name:ident = $symbol:literal $(is $base:ident e $power:literal)?; )*) => {
        /// The unit of a value.
        ///
        /// Records carry the plain units; the ones with a prefix are there for what is published.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Unit {
            $( $(#[$doc])* #[serde(rename = $symbol)] $name, )*
        }

        impl Unit {
            /// All of them.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// How it is written; empty for plain numbers.
            #[must_use]
            pub const fn symbol(self) -> &'static str {
                match self { $( Self::$name => $symbol, )* }
            }

            /// The unit without prefix, and the power of ten that the prefix stands for.
            const fn base(self) -> (Self, i8) {
                match self { $( $( Self::$name => (Self::$base, $power), )? )* plain => (plain, 0) }
            }
        }
    };
}

units! {
    /// A number without a unit.
    None = "";
    /// Watt-hour.
    WattHour = "Wh";
    /// Kilowatt-hour.
    KilowattHour = "kWh" is WattHour e 3;
    /// Megawatt-hour.
    MegawattHour = "MWh" is WattHour e 6;
    /// Joule.
    Joule = "J";
    /// Kilojoule.
    Kilojoule = "kJ" is Joule e 3;
    /// Megajoule.
    Megajoule = "MJ" is Joule e 6;
    /// Gigajoule.
    Gigajoule = "GJ" is Joule e 9;
    /// Calorie.
    Calorie = "cal";
    /// Reactive energy: volt-ampere reactive times hour.
    VarHour = "varh";
    /// Kilovar-hour.
    KilovarHour = "kvarh" is VarHour e 3;
    /// Apparent energy: volt-ampere times hour.
    VoltAmpereHour = "VAh";
    /// Kilovolt-ampere-hour.
    KilovoltAmpereHour = "kVAh" is VoltAmpereHour e 3;
    /// Watt.
    Watt = "W";
    /// Kilowatt.
    Kilowatt = "kW" is Watt e 3;
    /// Joule per hour.
    JoulePerHour = "J/h";
    /// Reactive power.
    Var = "var";
    /// Kilovar.
    Kilovar = "kvar" is Var e 3;
    /// Apparent power.
    VoltAmpere = "VA";
    /// Kilovolt-ampere.
    KilovoltAmpere = "kVA" is VoltAmpere e 3;
    /// Volt.
    Volt = "V";
    /// Ampere.
    Ampere = "A";
    /// Hertz.
    Hertz = "Hz";
    /// Degree of angle.
    Degree = "°";
    /// Cubic metre.
    CubicMetre = "m³";
    /// Litre.
    Litre = "l" is CubicMetre e -3;
    /// Cubic metre per hour.
    CubicMetrePerHour = "m³/h";
    /// Litre per hour.
    LitrePerHour = "l/h" is CubicMetrePerHour e -3;
    /// Cubic metre per minute.
    CubicMetrePerMinute = "m³/min";
    /// Cubic metre per second.
    CubicMetrePerSecond = "m³/s";
    /// Cubic foot.
    CubicFoot = "ft³";
    /// American gallon.
    Gallon = "gal";
    /// American gallon per minute.
    GallonPerMinute = "gal/min";
    /// American gallon per hour.
    GallonPerHour = "gal/h";
    /// Cubic metre times degree Celsius: the volume weighted with its temperature.
    CubicMetreDegreeCelsius = "m³·°C";
    /// Kilogram.
    Kilogram = "kg";
    /// Tonne.
    Tonne = "t" is Kilogram e 3;
    /// Kilogram per hour.
    KilogramPerHour = "kg/h";
    /// Degree Celsius.
    DegreeCelsius = "°C";
    /// Kelvin, of temperature differences.
    Kelvin = "K";
    /// Degree Fahrenheit.
    DegreeFahrenheit = "°F";
    /// Bar.
    Bar = "bar";
    /// Per cent.
    Percent = "%";
    /// Parts per million.
    PartsPerMillion = "ppm";
    /// Decibel over a milliwatt: how strong a radio signal is.
    DecibelMilliwatt = "dBm";
    /// A heat cost allocator's unit.
    HeatCostAllocation = "HCA";
    /// Second.
    Second = "s";
    /// Minute.
    Minute = "min";
    /// Hour.
    Hour = "h";
    /// Day.
    Day = "d";
    /// Month.
    Month = "month";
    /// Year.
    Year = "y";
    /// The local currency.
    Currency = "currency";
}

impl Unit {
    /// The power of ten that takes a value from this unit to `other`; `None` if no power of ten does.
    ///
    /// ```
    /// use wmbus::Unit;
    /// assert_eq!(Unit::WattHour.power_to(Unit::KilowattHour), Some(-3));
    /// assert_eq!(Unit::WattHour.power_to(Unit::Joule), None);
    /// ```
    #[must_use]
    pub fn power_to(self, other: Self) -> Option<i8> {
        let ((from, have), (to, want)) = (self.base(), other.base());
        (from == to).then_some(have - want)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.symbol())
    }
}

impl FromStr for Unit {
    type Err = UnknownUnit;

    /// Reads a symbol as [`symbol`](Self::symbol) writes it.
    fn from_str(text: &str) -> Result<Self, UnknownUnit> {
        Self::ALL
            .iter()
            .copied()
            .find(|unit| unit.symbol() == text)
            .ok_or(UnknownUnit)
    }
}

/// Text that is no unit's symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownUnit;

impl fmt::Display for UnknownUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown unit")
    }
}

impl std::error::Error for UnknownUnit {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_unique_and_read_back() {
        for &unit in Unit::ALL {
            assert_eq!(unit.symbol().parse(), Ok(unit));
            assert_eq!(unit.base().0.base(), (unit.base().0, 0), "{unit}");
        }
        assert_eq!("KWH".parse::<Unit>(), Err(UnknownUnit));
    }

    #[test]
    fn converts_by_powers_of_ten_only() {
        assert_eq!(Unit::Megajoule.power_to(Unit::Gigajoule), Some(-3));
        assert_eq!(Unit::CubicMetre.power_to(Unit::Litre), Some(3));
        assert_eq!(Unit::Minute.power_to(Unit::Hour), None);
        assert_eq!(Unit::None.power_to(Unit::None), Some(0));
    }
}
