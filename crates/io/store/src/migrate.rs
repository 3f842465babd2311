//! The schema, one numbered step after another; a step that was released is never edited.

use crate::engine::{Conn, params};
use crate::{Result, StoreError, pool, trust};

/// Steps in order; the version of a database is how many of them it has seen.
const STEPS: &[&[&str]] = &[
    STEP_1,
    pool::STEP,
    PKI,
    RECEIPTS,
    pool::update::STEP,
    trust::STEP,
    pool::link::STEP,
];

/// Brings the schema up to date.
pub(crate) async fn run(conn: &mut Conn) -> Result<()> {
    conn.execute(
        "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL PRIMARY KEY)",
        &[],
    )
    .await?;
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    let found = match conn.row("SELECT MAX(version) FROM schema_version", &[]).await? {
        Some(row) => row.int_opt(0)?.unwrap_or(0),
        None => 0,
    };
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (version, statements) in (1_i64..).zip(STEPS).filter(|(version, _)| *version > found) {
        let fail = |error: StoreError| match error {
            StoreError::Statement(source) => StoreError::Migrate { version, source },
            other => other,
        };
        conn.begin().await.map_err(fail)?;
        for statement in *statements {
            conn.ddl(statement).await.map_err(fail)?;
        }
        conn.execute(
            "INSERT INTO schema_version (version) VALUES ($1)",
            params![version],
        )
        .await
        .map_err(fail)?;
        conn.execute("COMMIT", &[]).await.map_err(fail)?;
    }
    Ok(())
}

/// `NUMBER` stands for the engine's way of counting rows up.
const STEP_1: &[&str] = &[
    "CREATE TABLE station (
        id TEXT NOT NULL PRIMARY KEY, registered_at BIGINT NOT NULL,
        vendor TEXT, model TEXT, serial TEXT, firmware TEXT, ocpp_version TEXT,
        connected BIGINT NOT NULL DEFAULT 0, generation BIGINT NOT NULL DEFAULT 0,
        boot_reason TEXT, booted_at BIGINT, last_seen BIGINT)",
    "CREATE TABLE evse (
        station TEXT NOT NULL REFERENCES station (id), evse BIGINT NOT NULL,
        PRIMARY KEY (station, evse))",
    "CREATE TABLE connector (
        station TEXT NOT NULL, evse BIGINT NOT NULL, connector BIGINT NOT NULL,
        status TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (station, evse, connector), FOREIGN KEY (station, evse) REFERENCES evse (station, evse))",
    "CREATE TABLE variable (
        station TEXT NOT NULL REFERENCES station (id), component TEXT NOT NULL, evse BIGINT NOT NULL,
        name TEXT NOT NULL, attribute TEXT NOT NULL, value TEXT, at BIGINT NOT NULL,
        PRIMARY KEY (station, component, evse, name, attribute))",
    "CREATE TABLE id_token (
        lookup TEXT NOT NULL PRIMARY KEY, reference TEXT NOT NULL UNIQUE, label TEXT NOT NULL,
        kind TEXT NOT NULL, status TEXT NOT NULL, discharge BIGINT NOT NULL, at BIGINT NOT NULL)",
    "CREATE TABLE contract (
        lookup TEXT NOT NULL PRIMARY KEY, reference TEXT NOT NULL UNIQUE, label TEXT NOT NULL,
        status TEXT NOT NULL, discharge BIGINT NOT NULL, at BIGINT NOT NULL)",
    "CREATE TABLE transactions (
        number NUMBER, station TEXT NOT NULL REFERENCES station (id), transaction_id TEXT NOT NULL,
        evse BIGINT, connector BIGINT, started_at BIGINT, ended_at BIGINT, charging_state TEXT, stop_reason TEXT,
        auth_kind TEXT, auth_reference TEXT, auth_label TEXT, remote_start_id BIGINT,
        first_seq BIGINT NOT NULL, last_seq BIGINT NOT NULL, last_at BIGINT NOT NULL,
        import_start BIGINT, import_start_at BIGINT, import_last BIGINT, import_last_at BIGINT,
        export_start BIGINT, export_start_at BIGINT, export_last BIGINT, export_last_at BIGINT,
        backwards BIGINT NOT NULL DEFAULT 0, billed BIGINT NOT NULL DEFAULT 0,
        UNIQUE (station, transaction_id))",
    "CREATE INDEX transactions_running ON transactions (ended_at, number)",
    "CREATE INDEX transactions_evse ON transactions (station, evse, ended_at)",
    "CREATE TABLE transaction_event (
        station TEXT NOT NULL, transaction_id TEXT NOT NULL, seq_no BIGINT NOT NULL,
        kind TEXT NOT NULL, reason TEXT NOT NULL, at BIGINT NOT NULL, received_at BIGINT NOT NULL,
        offline BIGINT NOT NULL, digest TEXT NOT NULL,
        PRIMARY KEY (station, transaction_id, seq_no),
        FOREIGN KEY (station, transaction_id) REFERENCES transactions (station, transaction_id))",
    "CREATE TABLE meter_value (
        station TEXT NOT NULL, transaction_id TEXT NOT NULL, seq_no BIGINT NOT NULL, part BIGINT NOT NULL,
        at BIGINT NOT NULL, power DOUBLE PRECISION, imported BIGINT, exported BIGINT, voltage DOUBLE PRECISION,
        current_amps DOUBLE PRECISION, soc DOUBLE PRECISION, setpoint DOUBLE PRECISION,
        PRIMARY KEY (station, transaction_id, seq_no, part),
        FOREIGN KEY (station, transaction_id) REFERENCES transactions (station, transaction_id))",
    "CREATE INDEX meter_value_at ON meter_value (station, transaction_id, at)",
    "CREATE TABLE charging_profile (
        station TEXT NOT NULL REFERENCES station (id), profile_id BIGINT NOT NULL, evse BIGINT NOT NULL,
        transaction_id TEXT, setpoint DOUBLE PRECISION NOT NULL, asked_by TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (station, profile_id))",
    "CREATE TABLE cdr (
        number NUMBER, id TEXT NOT NULL UNIQUE, station TEXT NOT NULL, transaction_id TEXT NOT NULL,
        issued_at BIGINT NOT NULL, currency TEXT NOT NULL, imported BIGINT NOT NULL, exported BIGINT NOT NULL,
        total_excl TEXT NOT NULL, total_incl TEXT NOT NULL, document TEXT NOT NULL,
        UNIQUE (station, transaction_id),
        FOREIGN KEY (station, transaction_id) REFERENCES transactions (station, transaction_id))",
    "CREATE TABLE event (
        number NUMBER, at BIGINT NOT NULL, code TEXT NOT NULL, station TEXT, transaction_id TEXT,
        document TEXT NOT NULL)",
    "CREATE TABLE setting (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE outbox (number NUMBER, queue TEXT NOT NULL, payload TEXT NOT NULL, at BIGINT NOT NULL)",
    "CREATE INDEX outbox_queue ON outbox (queue, number)",
];

/// The CA: authorities, every certificate they signed, what was taken back, and what waits for approval.
///
/// Serial numbers are 63-bit integers so that the one index that every issue and every lookup goes
/// through stays small; certificates are only ever appended.
const PKI: &[&str] = &[
    "CREATE TABLE pki_authority (
        number NUMBER, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, generation TEXT NOT NULL,
        key_uri TEXT NOT NULL, issuer BIGINT, der OCTETS NOT NULL, active BIGINT NOT NULL, at BIGINT NOT NULL)",
    "CREATE TABLE pki_certificate (
        number NUMBER, authority BIGINT NOT NULL REFERENCES pki_authority (number), serial BIGINT NOT NULL,
        kind TEXT NOT NULL, label TEXT NOT NULL, lookup BIGINT NOT NULL, der OCTETS NOT NULL,
        not_before BIGINT NOT NULL, not_after BIGINT NOT NULL, requester TEXT NOT NULL, at BIGINT NOT NULL,
        request_digest OCTETS UNIQUE, revoked_at BIGINT, reason BIGINT,
        UNIQUE (authority, serial))",
    "CREATE INDEX pki_certificate_lookup ON pki_certificate (lookup)",
    "CREATE INDEX pki_certificate_end ON pki_certificate (not_after)",
    "CREATE TABLE pki_revocation (
        number NUMBER, authority BIGINT NOT NULL REFERENCES pki_authority (number), serial BIGINT NOT NULL,
        at BIGINT NOT NULL, reason BIGINT NOT NULL, not_after BIGINT NOT NULL, asked_by TEXT NOT NULL,
        UNIQUE (authority, serial))",
    "CREATE INDEX pki_revocation_order ON pki_revocation (authority, number)",
    "CREATE TABLE pki_signer (
        authority BIGINT NOT NULL REFERENCES pki_authority (number), purpose TEXT NOT NULL,
        key_uri TEXT NOT NULL, serial BIGINT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (authority, purpose))",
    "CREATE TABLE pki_crl (
        authority BIGINT NOT NULL REFERENCES pki_authority (number), number BIGINT NOT NULL,
        base BIGINT, revocation BIGINT NOT NULL, this_update BIGINT NOT NULL, next_update BIGINT NOT NULL,
        der OCTETS NOT NULL, PRIMARY KEY (authority, number))",
    "CREATE TABLE pki_operator (name TEXT NOT NULL PRIMARY KEY, spki OCTETS NOT NULL, at BIGINT NOT NULL)",
    "CREATE TABLE pki_request (
        number NUMBER, id TEXT NOT NULL UNIQUE, action TEXT NOT NULL, asked_by TEXT NOT NULL, at BIGINT NOT NULL,
        state TEXT NOT NULL, closed_at BIGINT, outcome TEXT)",
    "CREATE TABLE pki_approval (
        request BIGINT NOT NULL REFERENCES pki_request (number), operator TEXT NOT NULL, signature OCTETS NOT NULL,
        at BIGINT NOT NULL, PRIMARY KEY (request, operator))",
];

/// What meters sign, which keys are theirs, and the signatures of bills.
const RECEIPTS: &[&str] = &[
    "CREATE TABLE meter_key (
        station TEXT NOT NULL REFERENCES station (id), fingerprint TEXT NOT NULL, spki TEXT NOT NULL, at BIGINT NOT NULL,
        PRIMARY KEY (station, fingerprint))",
    "CREATE TABLE signed_reading (
        station TEXT NOT NULL, transaction_id TEXT NOT NULL, seq_no BIGINT NOT NULL, part BIGINT NOT NULL,
        at BIGINT NOT NULL, encoding TEXT NOT NULL, data TEXT NOT NULL, public_key TEXT, page BIGINT,
        PRIMARY KEY (station, transaction_id, seq_no, part),
        FOREIGN KEY (station, transaction_id) REFERENCES transactions (station, transaction_id))",
    "CREATE INDEX signed_reading_page ON signed_reading (station, page)",
    "ALTER TABLE cdr ADD COLUMN jws TEXT",
];
