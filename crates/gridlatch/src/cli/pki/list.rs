//! `pki list`.

use gridlatch_pki::ca::{Ca, CaError, CertificateQuery, PendingRequest, Record};
use gridlatch_vocab::{Personal, Timestamp};
use serde_json::{Value, json};

use super::{CliError, Format, Place};
use crate::say;

/// List certificates, latest first; or CAs, requests for approval, events.
#[derive(Debug, clap::Args)]
#[command(after_help = super::EXIT)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(super) place: Place,
    /// The CAs instead of certificates
    #[arg(long, group = "what")]
    authorities: bool,
    /// Requests that wait, or waited, for two operators
    #[arg(long, group = "what")]
    requests: bool,
    /// What was done and refused, latest first
    #[arg(long, group = "what")]
    events: bool,
    /// Of this CA only
    #[arg(long, value_name = "CA")]
    from: Option<String>,
    /// With exactly this common name only
    #[arg(long, value_name = "NAME")]
    cn: Option<String>,
    /// Revoked ones only
    #[arg(long)]
    revoked: bool,
    /// Ones that end within so many days, first to end first
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["from", "cn", "revoked"])]
    ending: Option<u32>,
    /// The next page: numbers below this
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(super) async fn run(args: ListArgs) -> Result<(), CliError> {
    let opened = args.place.open().await?;
    let ca = &opened.ca;
    let format = args.place.format;
    if args.authorities {
        authorities(ca, format);
    } else if args.requests {
        requests(ca, format, args.limit, false).await?;
    } else if args.events {
        for stored in ca
            .store()
            .event_list(args.before, None, args.limit)
            .await
            .map_err(CaError::from)?
        {
            let event = &stored.event;
            row(format, &json!(stored), || {
                format!(
                    "{:>6} {} {:<28} {}",
                    stored.number,
                    event.at,
                    event.code.as_str(),
                    event.message
                )
            });
        }
    } else {
        let records = match args.ending {
            Some(days) => {
                let now = ca.now();
                let until = Timestamp(now.0 + time::Duration::days(i64::from(days)));
                ca.ending(now, until, args.limit).await?
            }
            None => {
                ca.list(&CertificateQuery {
                    authority: args.from.clone(),
                    common_name: args.cn.clone().map(Personal::new),
                    ending_before: None,
                    revoked: args.revoked.then_some(true),
                    before: args.before,
                    limit: args.limit,
                })
                .await?
            }
        };
        if records.is_empty() && format == Format::Text {
            say::talk("no such certificates");
        }
        for record in &records {
            row(format, &value(record, ca.now()), || line(record, ca.now()));
        }
    }
    Ok(())
}

fn row(format: Format, value: &Value, text: impl FnOnce() -> String) {
    super::print(format, value, text);
}

/// A certificate for programs; the common name stays masked where it stands for a person.
pub(super) fn value(record: &Record, now: Timestamp) -> Value {
    json!({
        "number": record.number,
        "authority": record.authority,
        "serial": record.serial.to_string(),
        "kind": record.kind.map(gridlatch_trust::profile::Kind::slug),
        "label": record.label,
        "status": record.status(now),
        "not_before": record.not_before,
        "not_after": record.not_after,
        "requester": record.requester,
        "issued_at": record.at,
        "revoked_at": record.revoked.map(|(at, _)| at),
        "reason": record.revoked.map(|(_, reason)| reason.as_str()),
    })
}

fn line(record: &Record, now: Timestamp) -> String {
    format!(
        "{:>6} {} {:<20} {:<18} {:<8} until {} {}",
        record.number,
        record.serial,
        record.authority,
        record.kind.map_or("?", gridlatch_trust::profile::Kind::slug),
        record.status(now),
        record.not_after.0.date(),
        record.label
    )
}

fn authorities(ca: &Ca, format: Format) {
    for authority in ca.authorities() {
        let value = json!({
            "name": authority.name,
            "kind": authority.profile.kind.slug(),
            "algorithm": authority.algorithm().as_str(),
            "issuer": authority.issuer,
            "serial": authority.serial.map(|serial| serial.to_string()),
            "not_after": authority.not_after,
            "key": authority.key_uri,
            "active": authority.active,
        });
        row(format, &value, || {
            format!(
                "{:<22} {:<10} {:<10} until {} {}{}",
                authority.name,
                authority.profile.kind.slug(),
                authority.algorithm().as_str(),
                authority.not_after.0.date(),
                authority.key_uri,
                if authority.active { "" } else { "  (retired)" }
            )
        });
    }
}

/// Requests for approval, all or those that are open.
pub(super) async fn requests(ca: &Ca, format: Format, limit: u32, open: bool) -> Result<(), CliError> {
    let mut requests = ca.requests(limit).await?;
    requests.retain(|request| !open || request.state == "open");
    if requests.is_empty() && format == Format::Text {
        say::talk(if open { "no open requests" } else { "no requests" });
    }
    for request in requests {
        row(format, &request_value(&request), || request_line(&request));
    }
    Ok(())
}

/// A request for programs.
pub(super) fn request_value(request: &PendingRequest) -> Value {
    json!({
        "request": request.id,
        "action": request.action,
        "asked_by": request.asked_by,
        "at": request.at,
        "state": request.state,
        "approved_by": request.approved_by,
    })
}

/// A request on one line.
pub(super) fn request_line(request: &PendingRequest) -> String {
    format!(
        "{} {:<9} {} (asked by {}, approved by {})",
        request.id,
        request.state,
        request.action.summary(),
        request.asked_by,
        if request.approved_by.is_empty() {
            "nobody".to_owned()
        } else {
            request.approved_by.join(", ")
        }
    )
}
