//! OCMF, the Open Charge Metering Format 1.2: `OCMF|{payload}|{signature}`.
//!
//! What is signed is the text of the payload section, byte for byte; it is therefore kept as it came and never
//! written again. Energy is in kWh with six decimals: one milliwatt hour, the resolution of the registers here.
//!
//! Who charged is not in it. The format has a field for the identification (`ID`), and a record travels with every bill
//! to roaming partners; here only the kind of identification is named, and the bill's own reference says the rest.
//! The transaction is in the vendor's field `XTI`, so that a record cannot be shown for another session.

mod read;
mod write;

pub use read::{MAX_RECORD, Ocmf, Reading, Reason, Register};
pub use write::{Assignment, Ending, SessionReadings, plain_data};

/// The only signature method here (OCMF table 22).
pub const METHOD: &str = "ECDSA-secp256r1-SHA256";
/// What OCPP and OCPI call the format.
pub const ENCODING: &str = "OCMF";
/// OBIS code of the import register: into the vehicle.
pub(crate) const IMPORT: &str = "1-b:1.8.0";
/// OBIS code of the export register: out of the vehicle.
pub(crate) const EXPORT: &str = "1-b:2.8.0";

/// Milliwatt hours in a kilowatt hour, as a power of ten.
pub(crate) const KWH_DECIMALS: u32 = 6;
