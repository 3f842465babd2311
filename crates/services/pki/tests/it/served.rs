//! The forecast of a data folder is about what its stations really show: what they were delivered with, and
//! what came later over OCPP.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gridlatch_keys::OpensslVerifier;
use gridlatch_pki::dev::{self, DevPki};
use gridlatch_pki::rollover::collect;
use gridlatch_trust::certificate;
use gridlatch_trust::forecast::breaks;
use gridlatch_trust::profile::Kind;
use gridlatch_vocab::{Event, EventSink, StationId, Timestamp};

struct Nobody;

impl EventSink for Nobody {
    fn emit(&self, _: Event) {}
}

fn day(days: i64) -> Timestamp {
    Timestamp(time::OffsetDateTime::now_utc() + time::Duration::days(days))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// What a station's custody writes when a certificate came over OCPP.
fn keep(data: &Path, station: &StationId, pki: &DevPki, name: &str) {
    for (place, credential) in ["vehicle-20", "vehicle-2"]
        .iter()
        .zip(pki.station_credentials(station).unwrap())
    {
        let folder = data.join(format!("stations/{station}/certificates/{place}"));
        std::fs::create_dir_all(&folder).unwrap();
        let chain: String = credential
            .chain
            .iter()
            .map(|der| certificate::to_pem(der))
            .collect();
        std::fs::write(folder.join(format!("{name}.pem")), chain).unwrap();
    }
}

/// On which days from now which stations stop being accepted by vehicles. Leaves that were issued within one
/// day may end some seconds apart.
fn foretold(data: &Path) -> BTreeSet<(i64, Vec<String>)> {
    let read = collect::folder(&data.join("pki")).unwrap().read().unwrap();
    let mut days: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for one in breaks(&read.holders, day(0), day(100), &OpensslVerifier) {
        if one.profile.kind == Kind::SeccLeaf {
            let left = (one.at.0 - day(0).0).whole_days();
            days.entry(left).or_default().extend(one.shown_by);
        }
    }
    days.into_iter()
        .map(|(left, stations)| (left, stations.into_iter().collect()))
        .collect()
}

#[test]
fn a_station_whose_delivered_leaf_ends_has_no_break_where_a_later_one_came_over_ocpp() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (one, two): (StationId, StationId) = ("GL-1".parse().unwrap(), "GL-2".parse().unwrap());
    let delivered = dev::ensure(&data.join("pki"), &Nobody, day(-70)).unwrap();
    for station in [&one, &two] {
        delivered.station_credentials(station).unwrap();
    }
    delivered.vehicle(&"demo".parse().unwrap()).unwrap();
    let both = vec!["station GL-1".to_owned(), "station GL-2".to_owned()];
    assert_eq!(foretold(&data), BTreeSet::from([(19, both.clone())]));

    // The same CAs, later, elsewhere: nothing of it is in the data folder.
    let later = |name: &str, at: i64| {
        let place = folder.path().join(name);
        copy(&data.join("pki"), &place);
        dev::ensure(&place, &Nobody, day(at)).unwrap()
    };
    keep(&data, &one, &later("a", -5), "first");
    let ends = foretold(&data);
    assert_eq!(
        ends,
        BTreeSet::from([(19, both[1..].to_vec()), (84, both[..1].to_vec())]),
        "the station with another leaf breaks when that one ends"
    );
    // The newest counts, not the first that came.
    keep(&data, &one, &later("b", -1), "second");
    let ends = foretold(&data);
    assert_eq!(
        ends,
        BTreeSet::from([(19, both[1..].to_vec()), (88, both[..1].to_vec())])
    );
}
