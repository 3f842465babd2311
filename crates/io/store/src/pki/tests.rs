use gridlatch_testkit::need;
use gridlatch_testkit::postgres::Postgres;
use gridlatch_vocab::{Personal, Timestamp};

use super::*;
use crate::Store;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_millis(1_800_000_000_000 + seconds * 1000)
}

fn certificate(authority: i64, serial: i64, name: &str) -> NewCertificate {
    NewCertificate {
        authority,
        serial,
        kind: "secc-leaf".into(),
        subject: Personal::new(name.into()),
        personal: false,
        der: vec![0x30, 0, 0xFF],
        not_before: at(0),
        not_after: at(1000 + serial),
        requester: "cpo:test".into(),
        at: at(0),
        request_digest: None,
        approved: None,
    }
}

/// The same on both engines.
async fn on_each(test: impl AsyncFn(Store, i64)) {
    let (store, root) = with_root(":memory:").await;
    test(store, root).await;
    need!(postgres);
    let server = Postgres::shared().unwrap();
    let (store, root) = with_root(&server.database().unwrap()).await;
    test(store, root).await;
}

async fn with_root(place: &str) -> (Store, i64) {
    let store = Store::open(place).await.unwrap();
    let root = NewAuthority {
        name: "iso2/v2g-root".into(),
        kind: "v2g-root".into(),
        generation: "iso2".into(),
        key_uri: "file:iso2/v2g-root.key.pem".into(),
        issuer: None,
    };
    let number = store
        .pki_authority_add(root.clone(), certificate(0, 1, "Root"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        store
            .pki_authority_add(root, certificate(0, 2, "Root"))
            .await
            .unwrap(),
        None,
        "a name is given once"
    );
    (store, number)
}

#[tokio::test]
async fn a_serial_number_is_given_once_and_a_request_is_used_once() {
    on_each(async |store, root| {
        let mut first = certificate(root, 7, "DE*GDL*E1");
        first.request_digest = Some(vec![1; 32]);
        assert!(matches!(
            store.pki_insert(first.clone()).await.unwrap(),
            Inserted::Stored(_)
        ));
        assert_eq!(
            store.pki_insert(certificate(root, 7, "other")).await.unwrap(),
            Inserted::SerialTaken
        );
        first.serial = 8;
        assert_eq!(store.pki_insert(first).await.unwrap(), Inserted::Replayed);
        assert!(store.pki_find(root, 8).await.unwrap().is_none());
        let found = store.pki_find(root, 7).await.unwrap().unwrap();
        assert_eq!(
            (found.label.as_str(), found.der, found.revoked),
            ("DE*GDL*E1", vec![0x30, 0, 0xFF], None)
        );
        assert_eq!(store.pki_count().await.unwrap(), 2);
        // All or none.
        let batch = vec![certificate(root, 20, "a"), certificate(root, 7, "b")];
        assert!(store.pki_insert_all(batch).await.is_err());
        assert!(store.pki_find(root, 20).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn names_are_found_whole_and_people_are_masked_in_lists() {
    on_each(async |store, root| {
        let mut contract = certificate(root, 9, "DEGDLC12345678");
        contract.personal = true;
        store.pki_insert(contract).await.unwrap();
        store
            .pki_insert(certificate(root, 10, "DE*GDL*E1"))
            .await
            .unwrap();
        let listing = Listing {
            subject: Some(Personal::new("DEGDLC12345678".into())),
            limit: 10,
            ..Listing::default()
        };
        let found = store.pki_list(&listing).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].label, "DEGDL…78");
        let all = store
            .pki_list(&Listing {
                limit: 10,
                authority: Some(root),
                ..Listing::default()
            })
            .await
            .unwrap();
        assert_eq!(all.iter().map(|row| row.serial).collect::<Vec<_>>(), [10, 9, 1]);
        let ending = store.pki_ending(at(1005), at(1010), 10).await.unwrap();
        assert_eq!(ending.iter().map(|row| row.serial).collect::<Vec<_>>(), [9]);
    })
    .await;
}

#[tokio::test]
async fn a_revocation_is_final_except_for_a_hold() {
    on_each(async |store, root| {
        for serial in [11, 12] {
            store.pki_insert(certificate(root, serial, "x")).await.unwrap();
        }
        let revoke = async |serial, reason| {
            store
                .pki_revoke(root, serial, reason, at(reason), "operator:a")
                .await
                .unwrap()
        };
        assert_eq!(revoke(99, 1).await, RevokeOutcome::Unknown);
        assert_eq!(revoke(11, 1).await, RevokeOutcome::Revoked);
        assert_eq!(revoke(11, 4).await, RevokeOutcome::Already(at(1), 1));
        assert_eq!(revoke(12, 6).await, RevokeOutcome::Revoked);
        let seen = store.pki_last_revocation(root).await.unwrap();
        assert_eq!(revoke(12, 6).await, RevokeOutcome::Already(at(6), 6));
        assert_eq!(revoke(12, 4).await, RevokeOutcome::Revoked);
        let after = store.pki_revocations(root, seen, at(0), 10).await.unwrap();
        assert_eq!(
            after
                .iter()
                .map(|row| (row.serial, row.reason))
                .collect::<Vec<_>>(),
            [(12, 4)]
        );
        let all = store.pki_revocations(root, 0, at(0), 10).await.unwrap();
        assert_eq!(all.len(), 2);
        let alive = store.pki_revocations(root, 0, at(1012), 10).await.unwrap();
        assert_eq!(alive.len(), 1, "an ended certificate leaves the list");
        assert_eq!(store.pki_status(root, 11).await.unwrap(), Some(Some((at(1), 1))));
        assert_eq!(store.pki_status(root, 1).await.unwrap(), Some(None));
        assert_eq!(store.pki_status(root, 99).await.unwrap(), None);
        let revoked = Listing {
            revoked: Some(true),
            limit: 10,
            ..Listing::default()
        };
        assert_eq!(store.pki_list(&revoked).await.unwrap().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_approval_serves_one_certificate() {
    on_each(async |store, root| {
        let request = store
            .pki_request_add("r1", "{}", "operator:a", at(0))
            .await
            .unwrap();
        let consent = Approval {
            operator: "alice".into(),
            signature: vec![1, 2],
            at: at(1),
        };
        store.pki_approve(request, &consent).await.unwrap();
        store.pki_approve(request, &consent).await.unwrap();
        assert_eq!(store.pki_approvals(request).await.unwrap(), [consent]);

        let mut taken = certificate(root, 1, "x");
        taken.approved = Some(request);
        assert_eq!(
            store.pki_insert(taken.clone()).await.unwrap(),
            Inserted::SerialTaken
        );
        assert_eq!(store.pki_request("r1").await.unwrap().unwrap().state, "open");
        taken.serial = 30;
        assert!(matches!(
            store.pki_insert(taken.clone()).await.unwrap(),
            Inserted::Stored(_)
        ));
        taken.serial = 31;
        assert_eq!(store.pki_insert(taken).await.unwrap(), Inserted::NotApproved);
        assert_eq!(store.pki_request("r1").await.unwrap().unwrap().state, "executed");
        assert!(store.pki_operator_add("alice", &[1], at(0)).await.unwrap());
        assert!(!store.pki_operator_add("alice", &[2], at(0)).await.unwrap());
        assert_eq!(
            store.pki_operators().await.unwrap(),
            [("alice".to_owned(), vec![1])]
        );
    })
    .await;
}

#[tokio::test]
async fn lists_are_numbered_once() {
    on_each(async |store, root| {
        let crl = |number, base| CrlRow {
            number,
            base,
            revocation: 0,
            this_update: at(0),
            next_update: at(10),
            der: vec![1],
        };
        assert_eq!(store.pki_next_crl_number(root).await.unwrap(), 1);
        assert!(store.pki_crl_put(root, crl(1, None)).await.unwrap());
        assert!(!store.pki_crl_put(root, crl(1, None)).await.unwrap());
        for number in 2..200 {
            assert!(store.pki_crl_put(root, crl(number, Some(1))).await.unwrap());
        }
        assert_eq!(store.pki_next_crl_number(root).await.unwrap(), 200);
        assert_eq!(
            store.pki_crl_latest(root, false).await.unwrap(),
            Some(crl(1, None))
        );
        assert_eq!(
            store.pki_crl_latest(root, true).await.unwrap(),
            Some(crl(199, Some(1)))
        );
    })
    .await;
}

#[tokio::test]
async fn a_copy_holds_what_was_committed_while_the_original_stays_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let store = Store::open(&place("a.db")).await.unwrap();
    store.setting_put("x", "before").await.unwrap();
    store.snapshot(&dir.path().join("b.db")).await.unwrap();
    store.setting_put("x", "after").await.unwrap();
    assert!(
        store.snapshot(&dir.path().join("b.db")).await.is_err(),
        "nothing is overwritten"
    );
    let lost = Store::open(&place("b.db")).await.unwrap_err();
    assert!(
        format!("{lost:?}").contains("b.db.pseudonym-key is missing"),
        "a copy without its key is told, not given another: {lost:?}"
    );
    std::fs::copy(place("a.db.pseudonym-key"), place("b.db.pseudonym-key")).unwrap();
    let copy = Store::open(&place("b.db")).await.unwrap();
    assert_eq!(copy.setting_find("x").await.unwrap().as_deref(), Some("before"));
    assert_eq!(store.setting_find("x").await.unwrap().as_deref(), Some("after"));
}

/// Among a hundred thousand certificates, taking a serial number, finding one and revoking one stay index lookups:
/// walking them all would take tens of milliseconds. In memory and the best of twenty, so that neither the disk nor
/// what runs beside decides; `bench pki` measures.
#[tokio::test]
async fn a_hundred_thousand_certificates_do_not_slow_issue_lookup_or_revocation() {
    use std::time::{Duration, Instant};
    const TOTAL: i64 = 100_000;
    // Spread like random serial numbers, and all different: an odd factor modulo 2^62.
    let serial = |index: i64| {
        (index.wrapping_mul(0x1E37_79B9_7F4A_7C15) & 0x3FFF_FFFF_FFFF_FFFF) | 0x4000_0000_0000_0000
    };
    let (store, root) = with_root(":memory:").await;
    let one = |index: i64| NewCertificate {
        serial: serial(index),
        der: vec![0x30; 550],
        not_after: at(1_000_000),
        ..certificate(root, 1, &format!("DE*GDL*E{index}"))
    };
    let rounds = async |base: i64| {
        let mut best = [Duration::MAX; 3];
        for round in 0..20 {
            let index = base + round;
            let start = Instant::now();
            assert!(matches!(
                store.pki_insert(one(index)).await.unwrap(),
                Inserted::Stored(_)
            ));
            best[0] = best[0].min(start.elapsed());
            let start = Instant::now();
            assert!(store.pki_find(root, serial(index / 2)).await.unwrap().is_some());
            best[1] = best[1].min(start.elapsed());
            let start = Instant::now();
            assert_eq!(
                store
                    .pki_revoke(root, serial(index), 1, at(0), "x")
                    .await
                    .unwrap(),
                RevokeOutcome::Revoked
            );
            best[2] = best[2].min(start.elapsed());
        }
        best
    };
    store.pki_insert_all((0..1000).map(one).collect()).await.unwrap();
    let early = rounds(1000).await;
    let mut next = 2000;
    while next < TOTAL {
        store
            .pki_insert_all((next..next + 1000).map(one).collect())
            .await
            .unwrap();
        next += 1000;
    }
    let late = rounds(TOTAL).await;
    assert!(store.pki_count().await.unwrap() > 99_000);
    for (what, (early, late)) in ["issue", "lookup", "revocation"]
        .iter()
        .zip(early.iter().zip(&late))
    {
        assert!(
            *late < *early * 5 + Duration::from_millis(2),
            "{what}: {early:?} at 1000, {late:?} at {TOTAL}"
        );
    }
    assert_eq!(
        store.pki_revocations(root, 20, at(0), 100).await.unwrap().len(),
        20
    );
}

/// A store in a file, where a commit takes long enough for others to gather meanwhile, and its root.
async fn in_file(dir: &std::path::Path) -> (Store, i64) {
    let store = Store::open(dir.join("ca.db").to_str().unwrap()).await.unwrap();
    let root = NewAuthority {
        name: "iso2/v2g-root".into(),
        kind: "v2g-root".into(),
        generation: "iso2".into(),
        key_uri: "file:x".into(),
        issuer: None,
    };
    let root = store
        .pki_authority_add(root, certificate(0, 1, "Root"))
        .await
        .unwrap()
        .unwrap();
    (store, root)
}

/// Everything at once; the answers in order.
async fn all_at_once(store: &Store, certificates: Vec<NewCertificate>) -> Vec<crate::Result<Inserted>> {
    let tasks: Vec<_> = certificates
        .into_iter()
        .map(|certificate| {
            let store = store.clone();
            tokio::spawn(async move { store.pki_insert(certificate).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test]
async fn in_a_shared_commit_a_refused_certificate_refuses_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (store, root) = in_file(dir.path()).await;
    let mut used = certificate(root, 2, "used");
    used.request_digest = Some(vec![2; 32]);
    store.pki_insert(used).await.unwrap();
    let batch: Vec<NewCertificate> = (0..300_i64)
        .map(|index| {
            let mut one = certificate(root, 1000 + index, &format!("DE*GDL*E{index}"));
            match index % 10 {
                // Taken before, taken within the batch, replayed before, replayed within the batch.
                3 => one.serial = 2,
                4 => one.serial = 1000 + index - 2,
                5 => one.request_digest = Some(vec![2; 32]),
                6 | 7 => {
                    one.request_digest = Some(vec![u8::try_from(100 + index / 10).unwrap(); 32]);
                }
                // No such authority: the database refuses the whole statement.
                8 if index % 100 == 8 => one.authority = 999,
                _ => {}
            }
            one
        })
        .collect();
    let answers = all_at_once(&store, batch.clone()).await;
    for (index, (one, answer)) in batch.iter().zip(&answers).enumerate() {
        let stored = store.pki_find(one.authority, one.serial).await.unwrap();
        match index % 10 {
            3 => assert!(matches!(answer, Ok(Inserted::SerialTaken)), "{index}: {answer:?}"),
            5 => assert!(matches!(answer, Ok(Inserted::Replayed)), "{index}: {answer:?}"),
            8 if index % 100 == 8 => assert!(answer.is_err() && stored.is_none(), "{index}: {answer:?}"),
            // Of the two that share something, whichever came first has it.
            2 | 4 | 6 | 7 => {}
            _ => {
                let Ok(Inserted::Stored(number)) = answer else {
                    panic!("{index}: {answer:?}")
                };
                assert_eq!(stored.unwrap().number, *number);
            }
        }
    }
    let stored = |index: usize| matches!(answers[index], Ok(Inserted::Stored(_)));
    for ten in 0..30 {
        assert!(
            stored(10 * ten + 2) != stored(10 * ten + 4),
            "one serial number, one certificate"
        );
        assert!(
            stored(10 * ten + 6) != stored(10 * ten + 7),
            "one request, one certificate"
        );
    }
    let all = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(Inserted::Stored(_))))
        .count();
    let listing = Listing {
        limit: 1000,
        ..Listing::default()
    };
    // And the root and the one used before.
    assert_eq!(store.pki_list(&listing).await.unwrap().len(), all + 2);
}

#[tokio::test]
async fn a_disk_that_fills_up_within_a_shared_commit_leaves_nothing_that_was_not_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (store, root) = in_file(dir.path()).await;
    let large = |serial: i64| NewCertificate {
        der: vec![0x30; 3000],
        ..certificate(root, serial, "DE*GDL*E1")
    };
    let pages = store.rows("PRAGMA page_count", &[]).await.unwrap()[0]
        .int(0)
        .unwrap();
    assert!(pages < 120, "{pages}");
    // The database may not grow: what SQLite says when the disk is full.
    let limit = async |sql: &'static str| {
        store
            .write(move |conn| Box::pin(async move { conn.rows(sql, &[]).await.map(drop) }))
            .await
            .unwrap();
    };
    limit("PRAGMA max_page_count = 200").await;
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for round in 0..4_i64 {
        let serials: Vec<i64> = (0..100).map(|index| 1000 + 100 * round + index).collect();
        let answers = all_at_once(&store, serials.iter().map(|serial| large(*serial)).collect()).await;
        for (serial, answer) in serials.into_iter().zip(answers) {
            match answer {
                Ok(Inserted::Stored(_)) => acknowledged.push(serial),
                Err(error) => {
                    let text = crate::describe(&error);
                    assert!(text.contains("full"), "{text}");
                    refused += 1;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(refused > 200 && !acknowledged.is_empty(), "{refused} refused");
    limit("PRAGMA max_page_count = 100000").await;
    assert!(matches!(
        store.pki_insert(large(5000)).await.unwrap(),
        Inserted::Stored(_)
    ));
    acknowledged.push(5000);
    let listing = Listing {
        limit: 1000,
        ..Listing::default()
    };
    let mut there: Vec<i64> = store
        .pki_list(&listing)
        .await
        .unwrap()
        .iter()
        .map(|row| row.serial)
        .filter(|serial| *serial >= 1000)
        .collect();
    there.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(there, acknowledged, "what is stored is what was acknowledged");
}
