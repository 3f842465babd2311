//! What a CA's database and its published lists are foretold to do, against OpenSSL at those dates.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use gridlatch_host::now;
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_pki::ca::{Ca, KeyRing, Order, Plan, Reason, Role, World};
use gridlatch_pki::rollover::ends::{of_ca, of_file};
use gridlatch_store::Store;
use gridlatch_store::pki::NewCertificate;
use gridlatch_trust::build::Subject;
use gridlatch_trust::forecast::ends::{Ending, What};
use gridlatch_trust::profile::{Kind, Profile};
use gridlatch_trust::{certificate, crl};
use gridlatch_vocab::{Personal, Timestamp};

use crate::support::{Bench, Events, requester};

fn in_days(days: i64) -> Timestamp {
    Timestamp(now().0 + time::Duration::days(days))
}

async fn small() -> (tempfile::TempDir, Ca) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("ca.db").to_str().unwrap())
        .await
        .unwrap();
    let plan = Plan {
        worlds: vec![World::Iso2],
        ..Plan::single("Test")
    };
    let keys = KeyRing::in_folder(dir.path());
    let ca = Ca::init(store, keys, Arc::new(Events::default()), &plan)
        .await
        .unwrap();
    (dir, ca)
}

async fn secc(ca: &Ca, name: &str, end: Timestamp) -> gridlatch_pki::ca::Issued {
    let key = FileKey::generate(KeyAlgorithm::P256).unwrap();
    let order = Order {
        authority: "iso2/cpo-sub2".to_owned(),
        profile: Profile::iso2(Kind::SeccLeaf),
        subject: Subject {
            common_name: name.to_owned(),
            organization: Some("Test".to_owned()),
            country: Some("DE".to_owned()),
        },
        spki: key.public_key_der().to_vec(),
        alt_names: Vec::new(),
        not_before: None,
        not_after: Some(end),
        requester: requester(Role::Operator, "tester"),
    };
    ca.issue(order).await.unwrap()
}

fn openssl_at(bench: &std::path::Path, root: &[u8], chain: &[Vec<u8>], at: Timestamp) -> bool {
    let write = |name: &str, all: &[Vec<u8>]| {
        let path = bench.join(name);
        let text: String = all.iter().map(|der| certificate::to_pem(der)).collect();
        std::fs::write(&path, text).unwrap();
        path
    };
    Command::new("openssl")
        .args([
            "verify",
            "-attime",
            &at.unix_millis().div_euclid(1000).to_string(),
        ])
        .arg("-CAfile")
        .arg(write("root.pem", &[root.to_vec()]))
        .arg("-untrusted")
        .arg(write("above.pem", &chain[1..]))
        .arg(write("leaf.pem", &chain[..1]))
        .output()
        .unwrap()
        .status
        .success()
}

fn of<'e>(groups: &'e [&Ending], kind: Kind, name: &str) -> &'e Ending {
    groups
        .iter()
        .find(|one| one.what == What::Certificate(kind) && one.names.iter().any(|own| own == name))
        .unwrap_or_else(|| panic!("no {name}: {groups:#?}"))
}

#[tokio::test]
async fn every_leaf_of_the_database_ends_when_openssl_says_so_and_what_was_succeeded_or_revoked_is_not_missed()
 {
    if let Some(reason) = gridlatch_testkit::missing(&[gridlatch_testkit::Need::openssl]) {
        return gridlatch_testkit::skip(&reason);
    }
    let (dir, ca) = small().await;
    let mut issued = Vec::new();
    for (name, days) in [("DE*TST*E1", 5), ("DE*TST*E2", 20), ("DE*TST*E3", 55)] {
        issued.push((name, secc(&ca, name, in_days(days)).await));
    }
    // E2 gets a successor that lasts; E4 is revoked.
    secc(&ca, "DE*TST*E2", in_days(50)).await;
    let gone = secc(&ca, "DE*TST*E4", in_days(6)).await;
    ca.revoke(
        "iso2/cpo-sub2",
        gone.serial,
        Reason::Superseded,
        now(),
        &requester(Role::Operator, "tester"),
    )
    .await
    .unwrap();

    let mut seen = 0;
    let ends = of_ca(&ca, now(), &mut |done, all| {
        assert!(done <= all);
        seen = done;
    })
    .await
    .unwrap();
    assert!(seen > 0, "progress was told");
    let groups = ends.up_to(in_days(40_000));
    let leaves = groups
        .iter()
        .filter(|one| one.what == What::Certificate(Kind::SeccLeaf));
    assert_eq!(leaves.map(|one| one.count).sum::<u64>(), 3, "{groups:#?}");
    let root = ca.root_of("iso2/cpo-sub2").unwrap().der.clone();
    for (name, issued) in [&issued[0], &issued[2]] {
        let end = of(&groups, Kind::SeccLeaf, name).at;
        assert!(openssl_at(
            dir.path(),
            &root,
            &issued.chain,
            Timestamp(end.0 - time::Duration::seconds(2))
        ));
        assert!(!openssl_at(dir.path(), &root, &issued.chain, end), "{name}");
    }
    // Delegated signers and the CAs themselves are among them.
    for kind in [Kind::OcspSigner, Kind::V2gRoot, Kind::CpoSub1, Kind::CpoSub2] {
        assert!(
            groups.iter().any(|one| one.what == What::Certificate(kind)),
            "{kind:?}"
        );
    }
    // What ends within ten days decides; E1 alone.
    let near = in_days(10);
    let counted: Vec<_> = groups.iter().filter(|one| one.counts(now(), near)).collect();
    assert_eq!(counted.len(), 1, "{counted:#?}");
    assert_eq!(counted[0].names, ["DE*TST*E1"]);
}

#[tokio::test]
async fn published_lists_and_answers_end_when_openssl_says_so() {
    if let Some(reason) = gridlatch_testkit::missing(&[gridlatch_testkit::Need::openssl]) {
        return gridlatch_testkit::skip(&reason);
    }
    let bench = Bench::start().await;
    let ends = of_ca(&bench.ca, now(), &mut |_, _| {}).await.unwrap();
    let groups = ends.up_to(in_days(40_000));
    let list = groups
        .iter()
        .find(|one| one.what == What::FullList && one.issuer == "iso2/cpo-sub2")
        .unwrap();
    // It was just published: its publisher is not late, though it ends tomorrow.
    assert!(!list.counts(now(), in_days(30)), "{list:?}");
    assert!(list.counts(list.at, list.at));

    let row = bench
        .ca
        .store()
        .pki_crl_latest(bench.ca.authority("iso2/cpo-sub2").unwrap().number(), false)
        .await
        .unwrap()
        .unwrap();
    let path = bench.dir.path().join("list.der");
    std::fs::write(&path, &row.der).unwrap();
    let read = of_file(&row.der).unwrap();
    let of_list = read.up_to(in_days(40_000))[0].at;
    assert_eq!(of_list, list.at, "the file says what the database says");
    assert_eq!(
        Some(Timestamp(of_list.0 - time::Duration::SECOND)),
        crl::parse(&row.der).unwrap().next_update()
    );
    let said = Command::new("openssl")
        .args([
            "crl",
            "-inform",
            "DER",
            "-noout",
            "-nextupdate",
            "-dateopt",
            "iso_8601",
            "-in",
        ])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).replace(' ', "T");
    let next = Timestamp(of_list.0 - time::Duration::SECOND).to_rfc3339();
    let next = next.get(..19).unwrap();
    assert!(said.contains(next), "{said} is not {next}");
    assert!(of_file(b"nothing of the kind").is_err());
}

/// A hundred thousand leaves: counted in some hundred groups, page by page.
#[tokio::test]
async fn a_hundred_thousand_certificates_are_counted_in_bounded_memory() {
    // Its memory is what is measured: in a process of its own.
    if gridlatch_testkit::tokens::again(&[]) {
        return;
    }
    const ALL: i64 = 100_000;
    let (_dir, ca) = small().await;
    let authority = ca.authority("iso2/cpo-sub2").unwrap().number();
    let began = now();
    for chunk in 0..ALL / 2_000 {
        let rows = (0..2_000).map(|index| {
            let serial = 1_000_000 + chunk * 2_000 + index;
            NewCertificate {
                authority,
                serial,
                kind: "secc-leaf".to_owned(),
                subject: Personal::new(format!("DE*TST*E{serial}")),
                personal: false,
                der: vec![0x30; 2_000],
                not_before: began,
                not_after: Timestamp(began.0 + time::Duration::days(1 + serial % 200)),
                requester: "operator:tester".to_owned(),
                at: began,
                request_digest: None,
                approved: None,
            }
        });
        ca.store().pki_insert_all(rows.collect()).await.unwrap();
    }
    let before = resident();
    let (mut pages, clock) = (0, Instant::now());
    let ends = of_ca(&ca, began, &mut |_, _| pages += 1).await.unwrap();
    let (took, grown) = (clock.elapsed(), resident().saturating_sub(before));
    let groups = ends.up_to(in_days(300));
    let leaves: Vec<_> = groups
        .iter()
        .filter(|one| one.what == What::Certificate(Kind::SeccLeaf))
        .collect();
    assert_eq!(leaves.iter().map(|one| one.count).sum::<u64>(), 100_000);
    assert_eq!(leaves.len(), 200);
    assert!(pages >= 50, "{pages}");
    println!("100,000 certificates: {took:?}, {pages} pages, {grown} KiB more resident");
    // 200 MB of certificates; the database's four readers may keep 16 MiB of pages each.
    assert!(grown < 96 * 1024, "{grown} KiB");
}

/// Resident memory of this process, KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
