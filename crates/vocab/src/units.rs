//! Physical quantities as types. Signs: power and current are positive into the vehicle (charging)
//! and negative out of it (discharging), at every layer of this project.

use core::fmt;

use serde::{Deserialize, Serialize};

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident, $symbol:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub f64);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0.0);

            /// The value within `low..=high`; anything that is not a number becomes `low`.
            #[must_use]
            pub fn within(self, low: Self, high: Self) -> Self {
                if self.0.is_nan() || self.0 < low.0 { low } else if self.0 > high.0 { high } else { self }
            }

            /// The smaller of the two.
            #[must_use]
            pub fn min(self, other: Self) -> Self {
                Self(self.0.min(other.0))
            }

            /// The larger of the two.
            #[must_use]
            pub fn max(self, other: Self) -> Self {
                Self(self.0.max(other.0))
            }

            /// The magnitude.
            #[must_use]
            pub fn abs(self) -> Self {
                Self(self.0.abs())
            }
        }

        impl core::ops::Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self { Self(self.0 + other.0) }
        }

        impl core::ops::Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self { Self(self.0 - other.0) }
        }

        impl core::ops::Neg for $name {
            type Output = Self;
            fn neg(self) -> Self { Self(-self.0) }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match f.precision() {
                    Some(digits) => write!(f, "{:.*} {}", digits, self.0, $symbol),
                    None => write!(f, "{} {}", self.0, $symbol),
                }
            }
        }
    };
}

unit!(/** Electrical tension. */ Volts, "V");
unit!(/** Electrical current; positive into the vehicle. */ Amps, "A");
unit!(/** Electrical power; positive into the vehicle. */ Watts, "W");
unit!(/** A share of one hundred, such as a state of charge. */ Percent, "%");

impl core::ops::Mul<Amps> for Volts {
    type Output = Watts;
    fn mul(self, current: Amps) -> Watts {
        Watts(self.0 * current.0)
    }
}

/// Energy as a meter register counts it: whole thousandths of a watt hour, never backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliWattHours(pub u64);

impl MilliWattHours {
    /// Watt hours as a floating-point number, for display and control; bills use the integer.
    #[must_use]
    pub fn watt_hours(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// How much the register advanced since `earlier`; zero when it did not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for MilliWattHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} Wh", self.0 / 1000, self.0 % 1000)
    }
}
