//! Amounts and their rounding.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// Decimals of every line and total (OCPI 2.2.1: money has at most 4).
const DECIMALS: u32 = 4;

/// An amount without and with VAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Price {
    /// Without VAT.
    pub excl_vat: Decimal,
    /// With VAT; absent where no VAT applies or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incl_vat: Option<Decimal>,
}

impl Price {
    /// What is paid.
    #[must_use]
    pub fn gross(&self) -> Decimal {
        self.incl_vat.unwrap_or(self.excl_vat)
    }
}

/// To 4 decimals, half away from zero.
pub(crate) fn round(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(DECIMALS, RoundingStrategy::MidpointAwayFromZero)
}

/// To the currency's smallest unit, half away from zero.
pub(crate) fn round_payable(amount: Decimal, currency: &str) -> Decimal {
    let mut payable =
        amount.round_dp_with_strategy(minor_unit(currency), RoundingStrategy::MidpointAwayFromZero);
    payable.rescale(minor_unit(currency));
    payable
}

/// How many decimals the currency's smallest unit has (ISO 4217).
#[must_use]
pub fn minor_unit(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}
