//! Files that people get from others: archives, keys, tariffs. And the words in them.

use gridlatch_keys::archive::ArchiveReader;
use gridlatch_keys::{FileKey, is_pkcs12, pkcs12_certificates};
use gridlatch_tariff::{Activity, ChargingPeriodInput, Tariff, price_local};
use gridlatch_vocab::{Emaid, MilliWattHours, StationId, Timestamp, TransactionId};
use std::io::Read as _;

/// A PKCS#12 archive, whatever it says about itself.
pub(crate) fn pkcs12(data: &[u8]) {
    if is_pkcs12(data)
        && let Ok(certificates) = pkcs12_certificates(data, "changeit")
    {
        assert!(certificates.len() <= gridlatch_keys::MAX_PKCS12_CERTIFICATES);
    }
}

/// A private key in PEM; one that is read is written and read as the same.
pub(crate) fn key_file(data: &[u8]) {
    if let Ok(key) = FileKey::from_pem(data)
        && let Ok(pem) = key.to_pem()
    {
        use gridlatch_keys::Signer as _;
        let again = FileKey::from_pem(&pem).map(|again| again.public_key_der().to_vec());
        assert_eq!(again.ok().as_deref(), Some(key.public_key_der()));
    }
}

/// An encrypted archive. Its ninth octet says how dear the passphrase is; here the cheapest is meant.
pub(crate) fn archive(data: &[u8]) {
    let mut data = data.to_vec();
    if let Some(cost) = data.get_mut(8) {
        *cost = (*cost).min(10);
    }
    if let Ok(reader) = ArchiveReader::new(data.as_slice(), b"correct horse") {
        let mut plain = Vec::new();
        let _ = reader.take(1 << 20).read_to_end(&mut plain);
        assert!(plain.len() <= data.len(), "more comes out than went in");
    }
}

/// A tariff as an operator sets it over HTTP, and a session priced by it: over midnight, with a pause, with
/// energy in both directions.
pub(crate) fn tariff(data: &[u8]) {
    let Ok(tariff) = serde_json::from_slice::<Tariff>(data) else {
        return;
    };
    let start = 1_800_000_000_000;
    let period = |from: i64, to: i64, imported, exported, activity| ChargingPeriodInput {
        start: Timestamp::from_unix_millis(start + from * 60_000),
        end: Timestamp::from_unix_millis(start + to * 60_000),
        imported: MilliWattHours(imported),
        exported: MilliWattHours(exported),
        activity,
    };
    let periods = [
        period(0, 90, 22_000_000, 0, Activity::Transfer),
        period(90, 400, 0, 0, Activity::Parked),
        period(400, 2000, 7, 9_123_456, Activity::Transfer),
    ];
    for offset in [0, 2] {
        let offset = time::UtcOffset::from_hms(offset, 0, 0).unwrap_or(time::UtcOffset::UTC);
        if let Ok(bill) = price_local(&tariff, &periods, offset) {
            assert_eq!(bill.tariff, tariff.id);
        }
    }
}

/// Names of stations, transactions, contracts and vehicles; what is read is written and read as the same.
pub(crate) fn names(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = text.parse::<StationId>() {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(id) = text.parse::<TransactionId>() {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(emaid) = text.parse::<Emaid>() {
        assert_eq!(emaid.as_str().parse::<Emaid>().as_ref(), Ok(&emaid));
    }
    if let Ok(serial) = text.parse::<gridlatch_pki::ca::Serial>() {
        assert_eq!(serial.to_string().parse(), Ok(serial));
    }
    if let Ok(name) = text.parse::<gridlatch_pki::dev::VehicleName>() {
        assert_eq!(name.to_string(), text);
    }
    let _ = text.parse::<gridlatch_pki::pools::Place>();
}
