//! Serial numbers as this CA gives them.

use core::fmt;
use core::str::FromStr;

/// A serial number: eight octets, positive, and so small enough for stacks that keep a serial number in
/// a 64-bit integer (EXI's X509SerialNumber).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(i64);

impl Serial {
    /// A random one: 62 random bits below a set bit, so that every one has the same length.
    ///
    /// `None` if the system gives no random numbers.
    #[must_use]
    pub fn random() -> Option<Self> {
        let mut octets = [0; 8];
        getrandom::fill(&mut octets).ok()?;
        octets[0] = octets[0] & 0x3F | 0x40;
        Some(Self(i64::from_be_bytes(octets)))
    }

    /// The serial number of a certificate, as the octets of its DER integer; `None` for one this CA
    /// cannot have given: empty, zero, negative or larger than 63 bits.
    #[must_use]
    pub fn from_octets(octets: &[u8]) -> Option<Self> {
        let start = octets.iter().position(|octet| *octet != 0)?;
        let digits = octets.get(start..)?;
        let mut wide = [0; 8];
        wide.get_mut(8_usize.checked_sub(digits.len())?..)?
            .copy_from_slice(digits);
        let negative_as_given = start == 0 && octets.first().is_some_and(|octet| octet & 0x80 != 0);
        let value = i64::from_be_bytes(wide);
        (value > 0 && !negative_as_given).then_some(Self(value))
    }

    /// The octets, without leading zeros.
    #[must_use]
    pub fn octets(self) -> Vec<u8> {
        let octets = self.0.to_be_bytes();
        octets.iter().copied().skip_while(|octet| *octet == 0).collect()
    }

    pub(crate) const fn from_stored(value: i64) -> Self {
        Self(value)
    }

    pub(crate) const fn stored(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016X}", self.0)
    }
}

/// A text is no serial number of this CA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a serial number: up to 16 hexadecimal digits, with or without colons, above zero")]
pub struct InvalidSerial;

impl FromStr for Serial {
    type Err = InvalidSerial;

    fn from_str(text: &str) -> Result<Self, InvalidSerial> {
        let digits: String = text.trim().chars().filter(|c| *c != ':').collect();
        if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidSerial);
        }
        i64::from_str_radix(&digits, 16)
            .ok()
            .filter(|value| *value > 0)
            .map(Self)
            .ok_or(InvalidSerial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_text_and_store_agree_and_foreign_numbers_are_refused() {
        for _ in 0..100 {
            let serial = Serial::random().unwrap();
            assert_eq!(Serial::from_octets(&serial.octets()), Some(serial));
            assert_eq!(serial.to_string().parse(), Ok(serial));
            assert_eq!(serial.octets().len(), 8);
            assert_eq!(Serial::from_stored(serial.stored()), serial);
        }
        assert_eq!("01:02:ff".parse::<Serial>().unwrap().octets(), [1, 2, 255]);
        assert_eq!(Serial::from_octets(&[0, 0x80]).unwrap().octets(), [0x80]);
        for octets in [
            &[][..],
            &[0],
            &[0xFF],
            &[0x80; 8],
            &[1; 9],
            &[0, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(Serial::from_octets(octets), None, "{octets:?}");
        }
        for text in [
            "",
            "0",
            "-1",
            "0x10",
            "12345678901234567",
            "g",
            "FFFFFFFFFFFFFFFF",
        ] {
            assert!(text.parse::<Serial>().is_err(), "{text}");
        }
    }
}
