//! Wall-clock time. Cores are handed the time; only shells ask for it.

use gridlatch_vocab::Timestamp;

/// The wall-clock time now, in UTC.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc())
}
