//! Physical quantities between our units and the two ways ISO 15118 writes them: `PhysicalValue`
//! (-2: value × 10^multiplier, multiplier -3..=3) and `RationalNumber` (-20: value × 10^exponent).
//!
//! Encoding picks the exponent that keeps the most digits in a signed 16-bit value and saturates;
//! decoding accepts any exponent the schema lets through and never overflows.

use iso15118::iso2::{PhysicalValue, UnitSymbol};
use iso15118::iso20::common::RationalNumber;

/// Splits `quantity` into a 16-bit value and a power of ten within `exponents`.
fn split(quantity: f64, exponents: core::ops::RangeInclusive<i8>) -> (i8, i16) {
    let quantity = if quantity.is_finite() { quantity } else { 0.0 };
    for exponent in exponents.clone() {
        let scaled = (quantity / 10f64.powi(i32::from(exponent))).round();
        if scaled.abs() <= f64::from(i16::MAX) {
            return (exponent, scaled as i16);
        }
    }
    let largest = if quantity < 0.0 { i16::MIN + 1 } else { i16::MAX };
    (*exponents.end(), largest)
}

/// Removes trailing decimal zeros, so that 400 V reads as 400 × 10^0 rather than 4000 × 10^-1: some
/// stacks compare limits textually and every peer expects the plain form.
fn plain(exponent: i8, value: i16) -> (i8, i16) {
    let (mut exponent, mut value) = (exponent, value);
    while exponent < 0 && value % 10 == 0 {
        exponent += 1;
        value /= 10;
    }
    (exponent, value)
}

/// A quantity as ISO 15118-2 writes it.
#[must_use]
pub fn iso2(quantity: f64, unit: UnitSymbol) -> PhysicalValue {
    let (multiplier, value) = split(quantity, -3..=3);
    let (multiplier, value) = plain(multiplier, value);
    PhysicalValue {
        multiplier,
        unit,
        value,
    }
}

/// What an ISO 15118-2 quantity means.
#[must_use]
pub fn from_iso2(value: &PhysicalValue) -> f64 {
    f64::from(value.value) * 10f64.powi(i32::from(value.multiplier))
}

/// A quantity as ISO 15118-20 writes it.
#[must_use]
pub fn iso20(quantity: f64) -> RationalNumber {
    let (exponent, value) = split(quantity, -3..=3);
    let (exponent, value) = plain(exponent, value);
    RationalNumber { exponent, value }
}

/// What an ISO 15118-20 quantity means.
#[must_use]
pub fn from_iso20(value: &RationalNumber) -> f64 {
    f64::from(value.value) * 10f64.powi(i32::from(value.exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_keep_their_value_and_their_plain_form() {
        for (quantity, exponent, value) in [
            (400.0, 0, 400),
            (0.0, 0, 0),
            (-12.5, -1, -125),
            (150_000.0, 1, 15_000),
            (0.001, -3, 1),
            (32_767.0, 0, 32_767),
        ] {
            let encoded = iso20(quantity);
            assert_eq!((encoded.exponent, encoded.value), (exponent, value), "{quantity}");
            assert!((from_iso20(&encoded) - quantity).abs() < 1e-9);
        }
    }

    #[test]
    fn what_does_not_fit_saturates_and_what_is_no_number_is_zero() {
        assert_eq!(
            iso20(1e12),
            RationalNumber {
                exponent: 3,
                value: i16::MAX
            }
        );
        assert_eq!(
            iso20(f64::NAN),
            RationalNumber {
                exponent: 0,
                value: 0
            }
        );
        let huge = RationalNumber {
            exponent: 127,
            value: i16::MAX,
        };
        assert!(from_iso20(&huge).is_finite());
    }
}
