//! What a manufacturer's own format holds, written down as records like any other.

use crate::decimal::Decimal;
use crate::record::{Date, DateTime, Function, Moment, Qualifier, Quantity, Record, Value};
use crate::unit::Unit;

/// A record in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line(Record);

impl Line {
    fn new(quantity: Quantity, value: impl Into<Value>, unit: Unit) -> Self {
        Self(Record {
            quantity,
            value: value.into(),
            unit,
            ..Record::default()
        })
    }

    fn number(quantity: Quantity, mantissa: impl Into<i64>, exponent: i8, unit: Unit) -> Self {
        Self::new(quantity, Decimal::new(mantissa.into(), exponent), unit)
    }

    /// The value was kept at an earlier time: 1 is the last due date, or the format says what.
    pub(super) fn storage(mut self, number: impl Into<u64>) -> Self {
        self.0.storage = number.into();
        self
    }

    /// When the value was true, or when its period ended.
    pub(super) fn at(mut self, date: Option<Date>) -> Self {
        self.0.time = date.map(Moment::Date);
        self
    }

    /// The largest of a period, not the momentary value.
    pub(super) const fn maximum(mut self) -> Self {
        self.0.function = Function::Maximum;
        self
    }

    /// When an error began.
    pub(super) const fn in_error(mut self) -> Self {
        self.0.function = Function::Error;
        self
    }

    /// The average of a period, not the momentary value.
    pub(super) fn average(self) -> Self {
        self.qualified(Qualifier::Standard(0x12))
    }

    /// A begin.
    pub(super) fn start(self) -> Self {
        self.qualified(Qualifier::Standard(0x39))
    }

    /// What flowed backward.
    pub(super) fn backward(self) -> Self {
        self.qualified(Qualifier::BACKWARD)
    }

    /// Of a leak.
    pub(super) fn leakage(self) -> Self {
        self.qualified(Qualifier::Standard(0x69))
    }

    /// The consumption of a period, not a reading.
    pub(super) const fn of_period(mut self) -> Self {
        self.0.quantity = of_period(self.0.quantity);
        self
    }

    /// Units of all periods, where the plain ones begin anew with each.
    pub(super) const fn of_all_periods(mut self) -> Self {
        if matches!(self.0.quantity, Quantity::HeatCostAllocation) {
            self.0.quantity = Quantity::TotalHeatCostAllocation;
        }
        self
    }

    fn qualified(mut self, qualifier: Qualifier) -> Self {
        if let Qualifier::Standard(code) = qualifier {
            // No line has more than one.
            let _ = self.0.qualifiers.push(code);
        }
        self
    }
}

/// The consumption of a period where the quantity is a reading.
pub(super) const fn of_period(reading: Quantity) -> Quantity {
    match reading {
        Quantity::Energy => Quantity::PeriodEnergy,
        Quantity::Volume => Quantity::PeriodVolume,
        Quantity::HeatCostAllocation => Quantity::PeriodHeatCostAllocation,
        other => other,
    }
}

/// A volume of `mantissa` · 10^`exponent` m³.
pub(super) fn volume(mantissa: impl Into<i64>, exponent: i8) -> Line {
    Line::number(Quantity::Volume, mantissa, exponent, Unit::CubicMetre)
}

/// An energy of `mantissa` · 10^`exponent` Wh.
pub(super) fn watt_hours(mantissa: impl Into<i64>, exponent: i8) -> Line {
    Line::number(Quantity::Energy, mantissa, exponent, Unit::WattHour)
}

/// An energy of `mantissa` · 10^`exponent` J.
pub(super) fn joules(mantissa: impl Into<i64>, exponent: i8) -> Line {
    Line::number(Quantity::Energy, mantissa, exponent, Unit::Joule)
}

/// Units of a heat cost allocator.
pub(super) fn heat_cost(units: impl Into<i64>) -> Line {
    Line::number(
        Quantity::HeatCostAllocation,
        units,
        0,
        Unit::HeatCostAllocation,
    )
}

/// The temperature of the room, `mantissa` · 10^`exponent` °C.
pub(super) fn room_temperature(mantissa: impl Into<i64>, exponent: i8) -> Line {
    Line::number(
        Quantity::ExternalTemperature,
        mantissa,
        exponent,
        Unit::DegreeCelsius,
    )
}

/// The temperature of the radiator, `mantissa` · 10^`exponent` °C.
pub(super) fn radiator_temperature(mantissa: impl Into<i64>, exponent: i8) -> Line {
    Line::number(
        Quantity::FlowTemperature,
        mantissa,
        exponent,
        Unit::DegreeCelsius,
    )
}

/// The battery's voltage, `mantissa` · 10^`exponent` V.
pub(super) fn battery_voltage(mantissa: impl Into<i64>, exponent: i8) -> Line {
    Line::number(Quantity::Voltage, mantissa, exponent, Unit::Volt)
}

/// For how long the battery will last, `mantissa` · 10^`exponent` years.
pub(super) fn battery_years(mantissa: impl Into<i64>, exponent: i8) -> Line {
    Line::number(
        Quantity::RemainingBatteryLife,
        mantissa,
        exponent,
        Unit::Year,
    )
}

/// How often it sends: all so many seconds.
pub(super) fn transmission_period(seconds: impl Into<i64>) -> Line {
    Line::number(Quantity::TransmissionPeriod, seconds, 0, Unit::Second)
}

/// For how long it has run.
pub(super) fn operating_days(days: impl Into<i64>) -> Line {
    Line::number(Quantity::OperatingTime, days, 0, Unit::Day)
}

/// How long ago a stored value was true.
pub(super) fn hours_since_stored(hours: impl Into<i64>) -> Line {
    Line::number(Quantity::DurationSinceCumulation, hours, 0, Unit::Hour)
}

/// A level of a scale that is the manufacturer's.
pub(super) fn level(number: impl Into<i64>) -> Line {
    Line::number(Quantity::Dimensionless, number, 0, Unit::None)
}

/// A date.
pub(super) fn date(date: Date) -> Line {
    Line::new(Quantity::Date, date, Unit::None)
}

/// A date with the time of day.
pub(super) fn date_time(time: DateTime) -> Line {
    Line::new(Quantity::DateTime, time, Unit::None)
}

/// The number on the meter's plate.
pub(super) fn fabrication_number(text: String) -> Line {
    Line::new(
        Quantity::FabricationNumber,
        Value::Text(text.into()),
        Unit::None,
    )
}

/// Errors in words.
pub(super) fn errors(words: impl Into<Box<str>>) -> Line {
    Line::new(Quantity::ErrorFlags, Value::Text(words.into()), Unit::None)
}

/// Errors as bits whose meaning is unknown.
pub(super) fn error_bits(bits: impl Into<i64>) -> Line {
    Line::number(Quantity::ErrorFlags, bits, 0, Unit::None)
}

/// The words of the bits that are set, in the order of `words`; `none` if none is.
pub(super) fn flags(bits: u32, words: &[(u32, &str)]) -> Line {
    let set = words.iter().filter(|(bit, _)| bits & bit != 0);
    let words = set.map(|&(_, word)| word).collect::<Vec<_>>().join(", ");
    errors(if words.is_empty() {
        "none".to_owned()
    } else {
        words
    })
}

/// The records of one telegram, in the order in which its format is described.
#[derive(Debug, Default)]
pub(super) struct Sheet(Vec<Record>);

impl Sheet {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn add(&mut self, line: Line) {
        self.0.push(line.0);
    }

    /// Adds what was sent.
    pub(super) fn add_some(&mut self, line: Option<Line>) {
        self.0.extend(line.map(|line| line.0));
    }

    pub(super) fn into_records(self) -> Vec<Record> {
        self.0
    }
}
