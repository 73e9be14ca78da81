//! The VIF tables: what the codes measure, in which unit and power of ten (EN 13757-3, tables 10, 12, 13 and 14).

use super::quantity::Quantity;
use crate::unit::Unit;

/// What a VIF means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub quantity: Quantity,
    pub unit: Unit,
    /// The power of ten that the value counts.
    pub exponent: i8,
    pub coding: Coding,
}

/// How the data field codes the value, where its size leaves a choice (EN 13757-3, table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    /// Integers are signed (type B).
    Number,
    /// Integers are unsigned (type C).
    Unsigned,
    /// Integers are bits, or an identification (type D): unsigned, and no value is marked invalid.
    Bits,
    /// A multiple of 2^-12: the factors of heat cost allocators.
    Fraction,
    /// Packed digits are an identification and keep their zeros; integers as [`Bits`](Self::Bits).
    Digits,
    /// A date or time, of the type that the size says (types F, G, I, J).
    Moment,
    /// Bytes of a structure of their own.
    Bytes,
}

/// The primary table (table 10), without the codes that lead to other tables.
pub(crate) const fn primary(code: u8) -> Meaning {
    use Quantity as Q;
    use Unit as U;
    let (n, nn) = ((code & 0x07) as i8, (code & 0x03) as i8);
    match code & 0x7F {
        0x00..=0x07 => number(Q::Energy, U::WattHour, n - 3),
        0x08..=0x0F => number(Q::Energy, U::Joule, n),
        0x10..=0x17 => number(Q::Volume, U::CubicMetre, n - 6),
        0x18..=0x1F => number(Q::Mass, U::Kilogram, n - 3),
        0x20..=0x23 => number(Q::OnTime, time(code), 0),
        0x24..=0x27 => number(Q::OperatingTime, time(code), 0),
        0x28..=0x2F => number(Q::Power, U::Watt, n - 3),
        0x30..=0x37 => number(Q::Power, U::JoulePerHour, n),
        0x38..=0x3F => number(Q::VolumeFlow, U::CubicMetrePerHour, n - 6),
        0x40..=0x47 => number(Q::VolumeFlow, U::CubicMetrePerMinute, n - 7),
        0x48..=0x4F => number(Q::VolumeFlow, U::CubicMetrePerSecond, n - 9),
        0x50..=0x57 => number(Q::MassFlow, U::KilogramPerHour, n - 3),
        0x58..=0x5B => number(Q::FlowTemperature, U::DegreeCelsius, nn - 3),
        0x5C..=0x5F => number(Q::ReturnTemperature, U::DegreeCelsius, nn - 3),
        0x60..=0x63 => number(Q::TemperatureDifference, U::Kelvin, nn - 3),
        0x64..=0x67 => number(Q::ExternalTemperature, U::DegreeCelsius, nn - 3),
        0x68..=0x6B => number(Q::Pressure, U::Bar, nn - 3),
        0x6C => plain(Q::Date, Coding::Moment),
        0x6D => plain(Q::DateTime, Coding::Moment),
        0x6E => number(Q::HeatCostAllocation, U::HeatCostAllocation, 0),
        0x70..=0x73 => number(Q::AveragingDuration, time(code), 0),
        0x74..=0x77 => number(Q::ActualityDuration, time(code), 0),
        0x78 => plain(Q::FabricationNumber, Coding::Digits),
        0x79 => plain(Q::EnhancedIdentification, Coding::Digits),
        0x7A => plain(Q::BusAddress, Coding::Unsigned),
        0x7E => plain(Q::Any, Coding::Number),
        0x7F => plain(Q::Manufacturer, Coding::Number),
        code => plain(Q::Reserved(code as u16), Coding::Number),
    }
}

/// The extension behind FB (table 14), with the American units that its older editions had.
pub(crate) const fn first_extension(code: u8) -> Meaning {
    use Quantity as Q;
    use Unit as U;
    let (p, nn, n) = (
        (code & 0x01) as i8,
        (code & 0x03) as i8,
        (code & 0x07) as i8,
    );
    match code & 0x7F {
        0x00..=0x01 => number(Q::Energy, U::WattHour, p + 5),
        0x02..=0x03 => number(Q::ReactiveEnergy, U::VarHour, p + 3),
        0x04..=0x05 => number(Q::ApparentEnergy, U::VoltAmpereHour, p + 3),
        0x06 => number(Q::CoefficientOfPerformance, U::None, -1),
        0x08..=0x09 => number(Q::Energy, U::Joule, p + 8),
        0x0C..=0x0F => number(Q::Energy, U::Calorie, nn + 5),
        0x10..=0x11 => number(Q::Volume, U::CubicMetre, p + 2),
        0x14..=0x17 => number(Q::ReactivePower, U::Var, nn),
        0x18..=0x19 => number(Q::Mass, U::Kilogram, p + 5),
        0x1A..=0x1B => number(Q::RelativeHumidity, U::Percent, p - 1),
        0x20 => number(Q::Volume, U::CubicFoot, 0),
        0x21 => number(Q::Volume, U::CubicFoot, -1),
        0x22 => number(Q::Volume, U::Gallon, -1),
        0x23 => number(Q::Volume, U::Gallon, 0),
        0x24 => number(Q::VolumeFlow, U::GallonPerMinute, -3),
        0x25 => number(Q::VolumeFlow, U::GallonPerMinute, 0),
        0x26 => number(Q::VolumeFlow, U::GallonPerHour, 0),
        0x28..=0x29 => number(Q::Power, U::Watt, p + 5),
        0x2A => number(Q::PhaseAngleVoltages, U::Degree, -1),
        0x2B => number(Q::PhaseAngleCurrent, U::Degree, -1),
        0x2C..=0x2F => number(Q::Frequency, U::Hertz, nn - 3),
        0x30..=0x31 => number(Q::Power, U::JoulePerHour, p + 8),
        0x34..=0x37 => number(Q::ApparentPower, U::VoltAmpere, nn),
        0x58..=0x5B => number(Q::FlowTemperature, U::DegreeFahrenheit, nn - 3),
        0x5C..=0x5F => number(Q::ReturnTemperature, U::DegreeFahrenheit, nn - 3),
        0x60..=0x63 => number(Q::TemperatureDifference, U::DegreeFahrenheit, nn - 3),
        0x64..=0x67 => number(Q::ExternalTemperature, U::DegreeFahrenheit, nn - 3),
        0x68 => plain(Q::RatingFactor, Coding::Fraction),
        0x69 => number(Q::RatingFactorOutput, U::Watt, 0),
        0x6A => plain(Q::RatingFactorCoupling, Coding::Fraction),
        0x6B => plain(Q::RatingFactorRoom, Coding::Fraction),
        0x6C => plain(Q::RatingFactorHeater, Coding::Fraction),
        0x6D => plain(Q::RatingFactorLowTemperature, Coding::Fraction),
        0x6E => plain(Q::RatingFactorDisplay, Coding::Fraction),
        0x70..=0x73 => number(Q::TemperatureLimit, U::DegreeFahrenheit, nn - 3),
        0x74..=0x77 => number(Q::TemperatureLimit, U::DegreeCelsius, nn - 3),
        0x78..=0x7F => number(Q::CumulativeMaximumPower, U::Watt, n - 3),
        code => plain(Q::Reserved(0xFB00 | code as u16), Coding::Number),
    }
}

/// The extension behind FD (table 12), without the code that leads to the next table.
pub(crate) const fn second_extension(code: u8) -> Meaning {
    use Quantity as Q;
    use Unit as U;
    let (nn, nnnn) = ((code & 0x03) as i8, (code & 0x0F) as i8);
    match code & 0x7F {
        0x00..=0x03 => number(Q::Credit, U::Currency, nn - 3),
        0x04..=0x07 => number(Q::Debit, U::Currency, nn - 3),
        0x08 => plain(Q::MessageNumber, Coding::Bits),
        0x09 => plain(Q::DeviceType, Coding::Bits),
        0x0A => plain(Q::ManufacturerIdentification, Coding::Bits),
        0x0B => plain(Q::ParameterSet, Coding::Digits),
        0x0C => plain(Q::ModelVersion, Coding::Digits),
        0x0D => plain(Q::HardwareVersion, Coding::Digits),
        0x0E => plain(Q::FirmwareVersion, Coding::Digits),
        0x0F => plain(Q::SoftwareVersion, Coding::Digits),
        0x10 => plain(Q::CustomerLocation, Coding::Digits),
        0x11 => plain(Q::Customer, Coding::Digits),
        0x12 => plain(Q::AccessCodeUser, Coding::Digits),
        0x13 => plain(Q::AccessCodeOperator, Coding::Digits),
        0x14 => plain(Q::AccessCodeSystemOperator, Coding::Digits),
        0x15 => plain(Q::AccessCodeDeveloper, Coding::Digits),
        0x16 => plain(Q::Password, Coding::Digits),
        0x17 => plain(Q::ErrorFlags, Coding::Bits),
        0x18 => plain(Q::ErrorMask, Coding::Bits),
        0x19 => plain(Q::SecurityKey, Coding::Bytes),
        0x1A => plain(Q::DigitalOutput, Coding::Bits),
        0x1B => plain(Q::DigitalInput, Coding::Bits),
        0x1C => plain(Q::BaudRate, Coding::Number),
        0x1D => plain(Q::ResponseDelay, Coding::Number),
        0x1E => plain(Q::Retry, Coding::Number),
        0x1F => plain(Q::RemoteControl, Coding::Bits),
        0x20 => plain(Q::FirstStorageNumber, Coding::Bits),
        0x21 => plain(Q::LastStorageNumber, Coding::Bits),
        0x22 => plain(Q::StorageBlockSize, Coding::Bits),
        0x23 => plain(Q::TariffDescriptor, Coding::Bits),
        0x24..=0x27 => number(Q::StorageInterval, time(code), 0),
        0x28 => number(Q::StorageInterval, U::Month, 0),
        0x29 => number(Q::StorageInterval, U::Year, 0),
        0x2A => plain(Q::OperatorData, Coding::Number),
        0x2B => number(Q::TimePointSecond, U::Second, 0),
        0x2C..=0x2F => number(Q::DurationSinceReadout, time(code), 0),
        0x30 => plain(Q::TariffStart, Coding::Moment),
        0x31..=0x33 => number(Q::TariffDuration, time(code), 0),
        0x34..=0x37 => number(Q::TariffPeriod, time(code), 0),
        0x38 => number(Q::TariffPeriod, U::Month, 0),
        0x39 => number(Q::TariffPeriod, U::Year, 0),
        0x3A => plain(Q::Dimensionless, Coding::Number),
        0x3B => plain(Q::WirelessContainer, Coding::Bytes),
        0x3C..=0x3F => number(Q::TransmissionPeriod, time(code), 0),
        0x40..=0x4F => number(Q::Voltage, U::Volt, nnnn - 9),
        0x50..=0x5F => number(Q::Current, U::Ampere, nnnn - 12),
        0x60 => plain(Q::ResetCounter, Coding::Number),
        0x61 => plain(Q::CumulationCounter, Coding::Number),
        0x62 => plain(Q::ControlSignal, Coding::Number),
        0x63 => plain(Q::DayOfWeek, Coding::Number),
        0x64 => plain(Q::WeekNumber, Coding::Number),
        0x65 => plain(Q::DayChange, Coding::Moment),
        0x66 => plain(Q::ParameterActivation, Coding::Bits),
        0x67 => plain(Q::SupplierInformation, Coding::Number),
        0x68..=0x6B => number(Q::DurationSinceCumulation, long_time(code), 0),
        0x6C..=0x6F => number(Q::BatteryOperatingTime, long_time(code), 0),
        0x70 => plain(Q::BatteryChange, Coding::Moment),
        0x71 => number(Q::RadioLevel, U::DecibelMilliwatt, 0),
        0x72 => plain(Q::DaylightSaving, Coding::Bytes),
        0x73 => plain(Q::ListeningWindow, Coding::Bytes),
        0x74 => number(Q::RemainingBatteryLife, U::Day, 0),
        0x75 => plain(Q::StopCounter, Coding::Number),
        0x76 => plain(Q::ManufacturerContainer, Coding::Bytes),
        code => plain(Q::Reserved(0xFD00 | code as u16), Coding::Number),
    }
}

/// The extension behind FD FD (table 13).
pub(crate) const fn third_extension(code: u8) -> Meaning {
    match code & 0x7F {
        0x00 => plain(Quantity::SelectedApplication, Coding::Bits),
        0x02 => number(Quantity::RemainingBatteryLife, Unit::Month, 0),
        0x03 => number(Quantity::RemainingBatteryLife, Unit::Year, 0),
        0x3E => number(Quantity::Moisture, Unit::Percent, 0),
        code => plain(Quantity::Reserved(0xFD80 | code as u16), Coding::Number),
    }
}

/// nn: seconds, minutes, hours, days.
pub(crate) const fn time(code: u8) -> Unit {
    match code & 0x03 {
        0 => Unit::Second,
        1 => Unit::Minute,
        2 => Unit::Hour,
        _ => Unit::Day,
    }
}

/// pp: hours, days, months, years.
const fn long_time(code: u8) -> Unit {
    match code & 0x03 {
        0 => Unit::Hour,
        1 => Unit::Day,
        2 => Unit::Month,
        _ => Unit::Year,
    }
}

const fn number(quantity: Quantity, unit: Unit, exponent: i8) -> Meaning {
    Meaning {
        quantity,
        unit,
        exponent,
        coding: Coding::Number,
    }
}

const fn plain(quantity: Quantity, coding: Coding) -> Meaning {
    Meaning {
        quantity,
        unit: Unit::None,
        exponent: 0,
        coding,
    }
}
