use super::*;
use crate::profile::{Kind, ROWS};

#[test]
fn every_kind_has_one_row_and_issuers_that_can_sign() {
    for (index, row) in ROWS.iter().enumerate() {
        assert!(
            ROWS.iter().take(index).all(|other| other.kind != row.kind),
            "{} twice",
            row.name
        );
        assert!(row.days <= row.max_days, "{}", row.name);
        assert_eq!(
            row.issued_usage & row.required_usage,
            row.required_usage,
            "{}",
            row.name
        );
        assert!(!row.clause.is_empty() && !row.issuers.is_empty());
        for issuer in row.issuers {
            assert!(
                matches!(issuer.row().authority, profile::Authority::Ca { .. }),
                "{}",
                row.name
            );
        }
    }
    // One row per variant: the last variant's number and the count agree.
    assert_eq!(ROWS.len(), Kind::BillSigner as usize + 1);
}

#[test]
fn common_names_follow_their_grammar() {
    use crate::profile::CommonName::{Emaid, Free, Pcid, Secc, Station};
    for (grammar, name, fine) in [
        (Emaid, "DE8AAC12345678", true),
        (Emaid, "DE8AAC12345678X", true),
        (Emaid, "DE-8AA-C12345678", false),
        (Emaid, "DE8AAC1234", false),
        (Pcid, "WMIV1234567890ABC", true),
        (Pcid, "WMIV1234567890ABCD", true),
        (Pcid, "WMI-V1234567890AB", false),
        (Secc, "DE*ICE*E45B*78C", true),
        (Secc, "a\0b", false),
        (Station, "GL-AC-1", true),
        (Station, "a/b", false),
        (Free, "", false),
        (Free, "Root\n", false),
    ] {
        assert_eq!(grammar.accepts(name), fine, "{grammar:?} {name:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_get_an_answer(chain in proptest::collection::vec(proptest::collection::vec(0_u8.., 0..300), 0..12)) {
        let now = gridlatch_vocab::Timestamp::from_unix_millis(0);
        let rejected = verdict::check(&chain, &chain, Profile::iso2(Kind::SeccLeaf), now).unwrap_err();
        proptest::prop_assert!(!rejected.message.is_empty());
        for der in &chain {
            let _ = certificate::summary(der);
            let _ = certificate::from_pem(der);
        }
    }
}
