//! OCPP's date and time texts.

use gridlatch_vocab::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest text that is looked at; a time with nanoseconds and an offset has 35 characters.
const MAX: usize = 40;

/// An RFC 3339 time with its zone.
pub(crate) fn parse_exact(text: &str) -> Option<Timestamp> {
    if text.len() > MAX || text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    OffsetDateTime::parse(text, &Rfc3339).ok().map(Timestamp)
}

/// As above; a missing zone means UTC, a blank may stand for the `T`, zones may lack the colon.
pub(crate) fn parse_tolerant(text: &str) -> Option<Timestamp> {
    if let Some(time) = parse_exact(text) {
        return Some(time);
    }
    if text.len() > MAX || !text.is_ascii() {
        return None;
    }
    let mut fixed = text.trim().replacen([' ', 't'], "T", 1).replace('z', "Z");
    let (_, clock) = fixed.split_at_checked(11)?;
    match clock.rfind(['+', '-']) {
        Some(sign) if clock.len() - sign == 5 && !clock[sign..].contains(':') => {
            fixed.insert(fixed.len() - 2, ':')
        }
        Some(_) => {}
        None if clock.ends_with('Z') => {}
        None => fixed.push('Z'),
    }
    parse_exact(&fixed)
}

/// UTC with milliseconds, as OCPP recommends; more digits only where the value has them.
pub(crate) fn write(time: Timestamp) -> String {
    if time.0.nanosecond().is_multiple_of(1_000_000) {
        return time.to_rfc3339();
    }
    time.0
        .to_offset(time::UtcOffset::UTC)
        .format(&Rfc3339)
        .unwrap_or_else(|_| time.to_rfc3339())
}
