//! Registers that only rise: which of a meter's values they are, and what is believed of one that falls. Pure.
//!
//! A value below the last one published is held back: it is a late telegram, a fault of the meter, or what follows a forged or damaged value
//! that was too high. A chart that gets it shows a consumption that never was. But a meter may be exchanged or reset, so a fall is believed
//! when [`BELIEVED_AFTER`] values in a row say so: each below what was published, none below the one before. Then the register begins anew
//! from the last of them. A meter that sends every 16 seconds is silent for 32 of them, one that sends once a day for two days.

use wmbus::{Decimal, Field, Function, Qualifier, Quantity, Unit};

/// One register of one meter.
#[derive(Debug, Clone, Default)]
pub(super) struct Register {
    /// The last value published.
    last: Option<Decimal>,
    /// The last value held back, and how many there were in a row.
    fall: Option<(Decimal, u32)>,
}

/// What is to be done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Publish it.
    Publish,
    /// Hold it back: it is lower than what was published.
    HoldBack,
    /// Publish it: it is lower than what was published, and believed.
    BeginAnew,
}

impl Register {
    /// Takes the next value.
    pub(super) fn judge(&mut self, value: Decimal) -> Verdict {
        let falls = self.last.is_some_and(|last| value < last);
        let count = match self.fall.take() {
            _ if !falls => 0,
            Some((before, count)) if value >= before => count + 1,
            _ => 1,
        };
        if (1..BELIEVED_AFTER).contains(&count) {
            self.fall = Some((value, count));
            return Verdict::HoldBack;
        }
        self.last = Some(value);
        match falls {
            true => Verdict::BeginAnew,
            false => Verdict::Publish,
        }
    }
}

/// So many values in a row are needed until a fall is believed.
pub(super) const BELIEVED_AFTER: u32 = 3;

/// Whether the field is a register that only rises: a present total of energy, volume, mass or heat cost allocation. Stored values, maxima
/// and what is counted per something are not.
pub fn is_register(field: &Field<'_>) -> bool {
    let record = field.record;
    let total = matches!(
        record.quantity,
        Quantity::Energy
            | Quantity::ReactiveEnergy
            | Quantity::ApparentEnergy
            | Quantity::Volume
            | Quantity::Mass
            | Quantity::HeatCostAllocation
            | Quantity::TotalHeatCostAllocation
    );
    let plain = |qualifier: Qualifier| {
        matches!(
            qualifier,
            Qualifier::FORWARD | Qualifier::BACKWARD | Qualifier::Manufacturer(_)
        )
    };
    total
        && record.storage == 0
        && record.function == Function::Instantaneous
        && record.qualifiers.iter().all(plain)
        && !matches!(field.unit, Unit::None | Unit::CubicMetreDegreeCelsius)
        && field.value.decimal().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(values: &[i64]) -> String {
        let mut register = Register::default();
        values
            .iter()
            .map(|&value| match register.judge(Decimal::from(value)) {
                Verdict::Publish => '+',
                Verdict::HoldBack => '-',
                Verdict::BeginAnew => '0',
            })
            .collect()
    }

    #[test]
    fn one_value_that_falls_is_held_back() {
        assert_eq!(verdicts(&[100, 101, 0, 101, 102, 102]), "++-+++");
        assert_eq!(verdicts(&[100, 0, 0, 101, 0, 0, 102]), "+--+--+");
    }

    #[test]
    fn a_new_meter_is_believed_after_three() {
        assert_eq!(verdicts(&[100, 1, 1, 2, 3, 2]), "+--0+-");
    }

    #[test]
    fn values_that_fall_among_themselves_are_not_believed() {
        assert_eq!(verdicts(&[100, 5, 4, 3, 2, 1, 100]), "+-----+");
        assert_eq!(verdicts(&[100, 5, 4, 4, 4]), "+---0");
    }

    #[test]
    fn a_value_that_was_too_high_does_not_block_for_ever() {
        assert_eq!(verdicts(&[100, 9_999, 101, 102, 103, 104]), "++--0+");
    }
}
