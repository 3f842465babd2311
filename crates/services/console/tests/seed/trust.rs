//! A fleet's certificates as a picture, and a campaign in the store.
#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "several test binaries share it, and none uses all of it"
)]

use std::sync::Arc;

use gridlatch_console::{BreakRow, CertificateRow, HolderRow, RefusedRow, TrustPicture};
use gridlatch_store::NewCampaign;
use gridlatch_vocab::catalogue::{pki, platform, rollover};
use gridlatch_vocab::{Event, EventSink as _, Timestamp};

use super::{World, station};

/// Some days and a minute after `now`: no second's boundary decides how many days are left.
fn in_days(now: Timestamp, days: i64) -> Timestamp {
    Timestamp::from_unix_millis(now.unix_millis() + days * 86_400_000 + 60_000)
}

fn certificate(
    now: Timestamp,
    anchor: bool,
    (kind, subject, issuer): (&str, &str, &str),
    days: i64,
) -> CertificateRow {
    CertificateRow {
        anchor,
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        issuer: issuer.to_owned(),
        fingerprint: format!(
            "{:08x}",
            (subject.len() * 31 + issuer.len()) * 0x9e37_79b9 % 0xffff_fff1
        )
        .repeat(8),
        not_after: Some(in_days(now, days)),
    }
}

fn holder(now: Timestamp, index: usize) -> HolderRow {
    let id = format!("GL-{index:03}");
    let leaf = 20 + i64::try_from(index % 7).unwrap() * 31;
    let secc = "SECC certificate of ISO 15118-2";
    let mut row = HolderRow {
        name: format!("station {id}"),
        station: Some(station(&id)),
        connected: Some(index % 9 != 4),
        as_of: Some(Timestamp::from_unix_millis(now.unix_millis() - 3_600_000)),
        certificates: vec![
            certificate(
                now,
                true,
                ("V2G root", "Gridlatch Dev V2G Root", "Gridlatch Dev V2G Root"),
                14_000,
            ),
            certificate(
                now,
                true,
                ("MO root", "Gridlatch Dev MO Root", "Gridlatch Dev MO Root"),
                14_000,
            ),
            certificate(
                now,
                true,
                ("CSMS root", "Gridlatch Dev CSMS Root", "Gridlatch Dev CSMS Root"),
                14_000,
            ),
            certificate(
                now,
                false,
                (secc, &format!("{id}.gridlatch.example"), "Gridlatch Dev CPO Sub2"),
                leaf,
            ),
            certificate(
                now,
                false,
                (
                    &format!("above the {secc}"),
                    "Gridlatch Dev CPO Sub2",
                    "Gridlatch Dev CPO Sub1",
                ),
                700,
            ),
            certificate(
                now,
                false,
                ("charging station certificate", &id, "Gridlatch Dev CSMS Sub"),
                300,
            ),
        ],
        next: Some((in_days(now, leaf), pki::EXPIRED)),
        ..HolderRow::default()
    };
    if index % 9 == 4 {
        row.failure = Some("platform.command_offline: the station is not connected".to_owned());
    }
    if index == 2 {
        row.unknown.push("V2GRootCertificate".to_owned());
        row.drift
            .push("V2G root: it lacks Gridlatch Dev V2G Root G2 (0a1b2c3d)".to_owned());
        row.refused.push(RefusedRow {
            campaign: "g2.distribute".to_owned(),
            what: "install of V2GRootCertificate \"Gridlatch Dev V2G Root G2\" (0a1b2c3d)".to_owned(),
            message: "the station answered InstallCertificate with Rejected: NoSpace".to_owned(),
            code: Some(platform::COMMAND_REFUSED),
            at: Timestamp::from_unix_millis(now.unix_millis() - 1_800_000),
        });
    }
    row
}

impl World {
    /// The platform and so many stations, `GL-000` and on; one of them is broken now if there are more than three.
    pub fn holding(&self, stations: usize) {
        let now = self.now;
        let mut holders: Vec<HolderRow> = (0..stations).map(|index| holder(now, index)).collect();
        let mut breaks = Vec::new();
        if stations > 3 {
            holders[3].next = Some((now, pki::EXPIRED));
            breaks.push(row(
                now,
                now,
                "SECC certificate of ISO 15118-20",
                vec![holders[3].name.clone()],
            ));
        }
        for turn in 0..7 {
            let shown_by: Vec<String> = (0..stations)
                .filter(|index| index % 7 == turn && *index != 3)
                .map(|index| format!("station GL-{index:03}"))
                .collect();
            if !shown_by.is_empty() {
                let at = in_days(now, 20 + i64::try_from(turn).unwrap() * 31);
                breaks.push(row(now, at, "SECC certificate of ISO 15118-2", shown_by));
            }
        }
        if stations > 0 {
            breaks.push(row(
                now,
                in_days(now, 300),
                "CSMS certificate",
                vec!["back-end platform".to_owned()],
            ));
            breaks.push(row(
                now,
                in_days(now, 700),
                "CPO sub-CA 2",
                vec!["station GL-000".to_owned()],
            ));
        }
        breaks.sort_by_key(|one| one.at);
        holders.sort_by_key(|one| one.next.map(|(at, _)| at));
        *self.trust.picture.lock().unwrap() = Some(Arc::new(TrustPicture {
            at: now,
            holders,
            more: false,
            breaks,
            asking: None,
        }));
    }

    /// A root's distribution at `GL-000` and on: every fifth refused, every seventh waits, the rest are done.
    pub async fn distributing(&self, stations: usize) {
        let all: Vec<_> = (0..stations)
            .map(|index| station(&format!("GL-{index:03}")))
            .collect();
        for id in &all {
            self.store.station_register(id, self.ago(90_000)).await.unwrap();
        }
        let new = NewCampaign {
            id: "g2.distribute".to_owned(),
            action: "install".to_owned(),
            usage: "V2GRootCertificate".to_owned(),
            document: "{}".to_owned(),
            at_once: 8,
            stop_after: 100,
            asked_by: "operator".to_owned(),
            at: self.ago(3_600),
        };
        assert!(self.store.campaign_add(new, Some(all.clone())).await.unwrap());
        for (index, id) in all.iter().enumerate() {
            if index % 7 != 6 {
                self.campaign_result(id, index % 5 == 2).await;
            }
        }
    }

    pub async fn campaign_result(&self, id: &gridlatch_vocab::StationId, refused: bool) {
        let number = self
            .store
            .campaign_find("g2.distribute")
            .await
            .unwrap()
            .unwrap()
            .number;
        let (state, code, text) = if refused {
            (
                "refused",
                platform::COMMAND_REFUSED,
                "the station answered InstallCertificate with Rejected: NoSpace",
            )
        } else {
            ("done", rollover::STATION_CHANGED, "it lists it")
        };
        let result = Some((code.as_str(), text));
        assert!(
            self.store
                .campaign_mark(number, id, state, result, self.ago(1_800))
                .await
                .unwrap()
        );
    }

    /// What the platform says when a station has a result.
    pub fn say_changed(&self, id: &gridlatch_vocab::StationId) {
        let event = Event::new(
            gridlatch_host::now(),
            rollover::STATION_CHANGED,
            "platform",
            "it lists it",
        );
        self.hub.emit(event.station(id));
    }
}

fn row(now: Timestamp, at: Timestamp, kind: &str, shown_by: Vec<String>) -> BreakRow {
    let sentence = if at <= now {
        "ended 3 days ago"
    } else {
        "ends then"
    };
    BreakRow {
        at,
        kind: kind.to_owned(),
        cause: pki::EXPIRED,
        message: format!("the leaf issued by \"Gridlatch Dev CPO Sub2\" {sentence}"),
        shown_by,
        refused_by: vec!["vehicle demo".to_owned()],
        remedy: pki::EXPIRED.row().remedy.to_owned(),
    }
}
