//! The kit proves itself: Josev's car charges at Josev's station.
#![allow(
    clippy::unwrap_used,
    reason = "a test that meets what it did not expect stops there"
)]

use gridlatch_testkit::josev::{self, Car, Case, Station};
use gridlatch_testkit::{Link, need, temp};

fn charge(case: Case) {
    let folder = temp::dir().unwrap();
    let pki = josev::own_pki(folder.path()).unwrap();
    let link = Link::new().unwrap();
    let mut station = Station::new(case, &pki).start(&link.station).unwrap();
    let car = Car::new(case, &pki).start(&link.car).unwrap().outcome().unwrap();
    assert!(car.successful, "car: {}", car.reason);
    assert_eq!(car.count("SessionStopRes"), 1);
    assert_eq!(car.tls.is_some(), case.is_tls());
    let station = station.outcome().unwrap();
    assert!(station.successful, "station: {}", station.reason);
}

#[test]
fn josev_charges_at_josev_by_iso15118_2_dc() {
    need!(root, josev, openssl);
    charge(Case::Iso2DcEim);
}

#[test]
fn josev_charges_at_josev_by_iso15118_20_over_mutual_tls() {
    need!(root, josev, openssl);
    charge(Case::Iso20DcTls13);
}

#[test]
fn a_namespace_goes_with_its_value_and_sockets_live_inside() {
    need!(root);
    let link = Link::new().unwrap();
    let name = link.car.name().to_owned();
    let there = link.station.socket(0);
    let listener = link
        .station
        .block_on(|| async move { std::net::TcpListener::bind(there) })
        .unwrap()
        .unwrap();
    let mut to = link.station.socket(listener.local_addr().unwrap().port());
    to.set_scope_id(link.car.index());
    let reached = link
        .car
        .block_on(|| async move { tokio::net::TcpStream::connect(to).await.map(drop) })
        .unwrap();
    assert!(reached.is_ok(), "the cable carries no TCP: {reached:?}");
    drop(link);
    assert!(!std::path::Path::new("/run/netns").join(name).exists());
}
