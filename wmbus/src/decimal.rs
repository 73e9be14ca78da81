//! Exact numbers: an integer times a power of ten.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

/// An exact decimal number, `mantissa` · 10^`exponent`.
///
/// Nothing between the wire and the printed text is a binary fraction, so 2.06 stays 2.06. Two numbers are equal when
/// they mean the same, however they are written; [`Display`](fmt::Display) is the shortest plain notation.
///
/// ```
/// use wmbus::Decimal;
/// let energy = Decimal::new(206, 1); // 206 units of 10 Wh
/// assert_eq!(energy.to_string(), "2060");
/// assert_eq!(energy.scaled(-3), Some(Decimal::new(206, -2))); // in kWh
/// assert_eq!(Decimal::new(2060, -3).to_string(), "2.06");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    mantissa: i64,
    exponent: i8,
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self::new(0, 0);

    /// `mantissa` · 10^`exponent`.
    #[inline]
    #[must_use]
    pub const fn new(mantissa: i64, exponent: i8) -> Self {
        Self { mantissa, exponent }
    }

    /// The digits, with the sign.
    #[inline]
    #[must_use]
    pub const fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// The power of ten that the mantissa counts.
    #[inline]
    #[must_use]
    pub const fn exponent(self) -> i8 {
        self.exponent
    }

    /// Is it below zero?
    #[inline]
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// The number times 10^`power`, exactly; `None` if the exponent leaves −128..=127.
    #[inline]
    #[must_use]
    pub const fn scaled(self, power: i8) -> Option<Self> {
        match self.exponent.checked_add(power) {
            Some(exponent) => Some(Self::new(self.mantissa, exponent)),
            None => None,
        }
    }

    /// The number times `factor`, exactly; `None` if the digits leave 64 bits.
    #[must_use]
    pub const fn checked_mul(self, factor: i64) -> Option<Self> {
        match self.mantissa.checked_mul(factor) {
            Some(mantissa) => Some(Self::new(mantissa, self.exponent)),
            None => None,
        }
    }

    /// The exact sum; `None` if its digits leave 64 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let sum = self
            .digits_at(exponent)?
            .checked_add(other.digits_at(exponent)?)?;
        Some(Self::new(sum, exponent))
    }

    /// The exact difference; `None` if its digits leave 64 bits.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(other.checked_mul(-1)?)
    }

    /// The real number of 32 bits as the shortest decimal that reads back equal; `None` for infinities and what is no
    /// number.
    ///
    /// ```
    /// use wmbus::Decimal;
    /// assert_eq!(Decimal::from_f32(0.1), Some(Decimal::new(1, -1)));
    /// assert_eq!(Decimal::from_f32(f32::NAN), None);
    /// ```
    #[must_use]
    pub fn from_f32(real: f32) -> Option<Self> {
        if !real.is_finite() {
            return None;
        }
        // The standard library finds the shortest digits: `-1.234e-5`.
        let mut digits = Digits::default();
        fmt::write(&mut digits, format_args!("{real:e}")).ok()?;
        digits.finish()
    }

    /// The mantissa that means the same with another, not larger, exponent.
    fn digits_at(self, exponent: i8) -> Option<i64> {
        if self.mantissa == 0 {
            return Some(0);
        }
        let places = i16::from(self.exponent) - i16::from(exponent);
        let factor = 10_i64.checked_pow(u32::try_from(places).ok()?)?;
        self.mantissa.checked_mul(factor)
    }

    /// The same number without trailing zeros in the mantissa.
    fn shortest(self) -> (i64, i16) {
        let (mut mantissa, mut exponent) = (self.mantissa, i16::from(self.exponent));
        if mantissa == 0 {
            return (0, 0);
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            exponent += 1;
        }
        (mantissa, exponent)
    }
}

impl From<i64> for Decimal {
    fn from(integer: i64) -> Self {
        Self::new(integer, 0)
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.shortest() == other.shortest()
    }
}

impl Eq for Decimal {}

impl Hash for Decimal {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shortest().hash(state);
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.mantissa.signum();
        sign.cmp(&other.mantissa.signum()).then_with(|| {
            match magnitude(*self).cmp(&magnitude(*other)) {
                order if sign < 0 => order.reverse(),
                order => order,
            }
        })
    }
}

/// Orders numbers of one sign by size: the place of the first digit, then the digits, filled up to 20 places.
fn magnitude(number: Decimal) -> (i16, u128) {
    let digits = u128::from(number.mantissa.unsigned_abs());
    match digits.checked_ilog10() {
        None => (i16::MIN, 0),
        Some(places) => (
            i16::from(number.exponent) + places as i16,
            digits * 10_u128.pow(19 - places),
        ),
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mantissa, exponent) = self.shortest();
        if exponent >= 0 {
            return write!(f, "{mantissa}{:0<1$}", "", exponent.unsigned_abs().into());
        }
        let places = usize::from(exponent.unsigned_abs());
        let digits = mantissa.unsigned_abs();
        let (whole, fraction) = match 10_u64.checked_pow(places as u32) {
            Some(unit) => (digits / unit, digits % unit),
            None => (0, digits),
        };
        let sign = if mantissa < 0 { "-" } else { "" };
        write!(f, "{sign}{whole}.{fraction:0places$}")
    }
}

/// Collects the digits and the exponent of a number in scientific notation.
#[derive(Default)]
struct Digits {
    negative: bool,
    mantissa: i64,
    places: i8,
    fraction: bool,
    exponent: Option<(bool, i8)>,
}

impl Digits {
    fn finish(self) -> Option<Decimal> {
        let (negative, exponent) = self.exponent?;
        let exponent = if negative { -exponent } else { exponent };
        let mantissa = if self.negative {
            -self.mantissa
        } else {
            self.mantissa
        };
        Some(Decimal::new(mantissa, exponent.checked_sub(self.places)?))
    }
}

impl fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            match (byte, &mut self.exponent) {
                (b'-', None) => self.negative = true,
                (b'-', Some((negative, _))) => *negative = true,
                (b'.', _) => self.fraction = true,
                (b'e', _) => self.exponent = Some((false, 0)),
                (b'0'..=b'9', Some((_, exponent))) => {
                    *exponent = *exponent * 10 + (byte - b'0') as i8;
                }
                (b'0'..=b'9', None) => {
                    self.mantissa = self.mantissa * 10 + i64::from(byte - b'0');
                    self.places += i8::from(self.fraction);
                }
                _ => return Err(fmt::Error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn prints_plain_notation() {
        let cases = [
            (0, 0, "0"),
            (0, -3, "0"),
            (0, 5, "0"),
            (206, -2, "2.06"),
            (2060, -3, "2.06"),
            (2000, -3, "2"),
            (-5, -1, "-0.5"),
            (-12345, -2, "-123.45"),
            (7, 3, "7000"),
            (-7, 1, "-70"),
            (1, -20, "0.00000000000000000001"),
            (i64::MIN, 0, "-9223372036854775808"),
            (i64::MIN, -19, "-0.9223372036854775808"),
            (i64::MAX, -21, "0.009223372036854775807"),
        ];
        for (mantissa, exponent, text) in cases {
            assert_eq!(Decimal::new(mantissa, exponent).to_string(), text);
        }
    }

    #[test]
    fn reals_become_the_shortest_decimal_that_reads_back() {
        for (real, text) in [
            (0.0_f32, "0"),
            (-0.0, "0"),
            (1.5, "1.5"),
            (-21.7, "-21.7"),
            (16_777_216.0, "16777216"),
            (1.0e-6, "0.000001"),
            (3.402_823_5e38, "340282350000000000000000000000000000000"),
        ] {
            assert_eq!(Decimal::from_f32(real).unwrap().to_string(), text);
        }
        assert_eq!(Decimal::from_f32(f32::INFINITY), None);
        // The smallest real there is: 2^-149.
        assert_eq!(
            Decimal::from_f32(f32::from_bits(1)),
            Some(Decimal::new(1, -45))
        );
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let sum = Decimal::new(15, -1).checked_add(Decimal::new(2, 1));
        assert_eq!(sum, Some(Decimal::new(215, -1)));
        assert_eq!(
            Decimal::new(1, 0).checked_sub(Decimal::new(1, -1)),
            Some(Decimal::new(9, -1))
        );
        assert_eq!(Decimal::new(i64::MAX, 0).checked_add(1.into()), None);
        assert_eq!(Decimal::new(1, 100).checked_add(1.into()), None);
        assert_eq!(
            Decimal::new(0, 100).checked_add(1.into()),
            Some(Decimal::from(1))
        );
    }

    #[test]
    fn orders_by_size() {
        let mut numbers = [
            Decimal::new(1, 2),
            Decimal::new(-1, 3),
            Decimal::new(-15, -1),
            Decimal::ZERO,
            Decimal::new(99, 0),
            Decimal::new(1, -9),
        ];
        numbers.sort();
        let text: Vec<_> = numbers.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["-1000", "-1.5", "0", "0.000000001", "99", "100"]);
    }

    proptest! {
        #[test]
        fn any_real_reads_back_equal(bits: u32) {
            let real = f32::from_bits(bits);
            match Decimal::from_f32(real) {
                Some(decimal) => prop_assert_eq!(decimal.to_string().parse::<f32>().unwrap(), real),
                None => prop_assert!(!real.is_finite()),
            }
        }

        #[test]
        fn equal_numbers_print_alike(mantissa in -1_000_000_i64..1_000_000, exponent in -100_i8..100, zeros in 0_u32..6) {
            let other = Decimal::new(mantissa * 10_i64.pow(zeros), exponent - zeros as i8);
            let number = Decimal::new(mantissa, exponent);
            prop_assert_eq!(number, other);
            prop_assert_eq!(number.cmp(&other), Ordering::Equal);
            prop_assert_eq!(number.to_string(), other.to_string());
        }

        #[test]
        fn order_agrees_with_difference(a in -100_000_i64..100_000, e in -3_i8..3, b in -100_000_i64..100_000, g in -3_i8..3) {
            let (x, y) = (Decimal::new(a, e), Decimal::new(b, g));
            let difference = x.checked_sub(y).unwrap();
            prop_assert_eq!(x.cmp(&y), difference.mantissa().cmp(&0));
        }
    }
}
