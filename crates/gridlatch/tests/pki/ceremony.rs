//! Two operators, each with a key of their own, behind everything a root signs.

use crate::{Desk, values};

/// A CA of alice and bob.
pub(crate) fn two_operators() -> Desk {
    Desk::like("two operators", |desk| {
        desk.ok("pki operator new alice");
        desk.ok("pki operator new bob");
        desk.ok(
            "pki init --name Acme --tree iso2,ocpp --operator alice=alice.pub.pem --operator bob=bob.pub.pem",
        );
    })
}

/// Files a request with a line; its name.
fn filed(desk: &Desk, line: &str) -> String {
    let answer = desk.json(line);
    answer[0]["request"].as_str().unwrap().to_owned()
}

fn both(desk: &Desk, request: &str) -> serde_json::Value {
    for (name, given) in [("alice", 1), ("bob", 2)] {
        let said = desk.json(&format!(
            "pki approve {request} --operator {name} --key {name}.key.pem"
        ));
        if given == 2 {
            return said[0].clone();
        }
        assert_eq!((&said[0]["given"], &said[0]["needed"]), (&1.into(), &2.into()));
    }
    unreachable!()
}

#[test]
fn a_root_signs_for_two_and_for_nobody_else() {
    let desk = two_operators();
    let before = desk.json("pki show iso2/cpo-sub1")[0]["serial"].clone();
    let request = filed(&desk, "pki renew iso2/cpo-sub1");
    // Anybody can look at what is open, and at one request.
    let open = desk.ok("pki approve");
    assert!(
        open.contains(&request) && open.contains("renew the CA iso2/cpo-sub1"),
        "{open}"
    );
    assert!(
        desk.ok(&format!("pki approve {request}"))
            .contains("approved by nobody")
    );

    let approve = |name: &str, key: &str| format!("pki approve {request} --operator {name} --key {key}");
    desk.no(
        &approve("bob", "alice.key.pem"),
        1,
        "not of the operator's registered key",
    );
    desk.no(&approve("carol", "alice.key.pem"), 1, "not registered");
    desk.no(&approve("bob", "bob.pub.pem"), 2, "bob.pub.pem");
    desk.no(&approve("bob", "nobody.pem"), 2, "nobody.pem");
    desk.no(
        "pki approve 0000000000 --operator bob --key bob.key.pem",
        1,
        "no request of this name",
    );
    desk.ok(&approve("alice", "alice.key.pem"));
    // The same person twice is one person.
    let again = desk.ok(&approve("alice", "alice.key.pem"));
    assert!(again.contains("had approved before; still 1 of 2"), "{again}");
    assert_eq!(desk.json("pki show iso2/cpo-sub1")[0]["serial"], before);
    desk.ok(&approve("bob", "bob.key.pem"));
    let after = desk.json("pki show iso2/cpo-sub1")[0]["serial"].clone();
    assert_ne!(after, before, "the CA has another certificate");
    desk.no(&approve("bob", "bob.key.pem"), 1, "executed or withdrawn");
    assert_eq!(desk.json(&approve_state(&request))[0]["state"], "executed");

    // Who did what is kept, refusals too.
    let events = desk.json("pki list --events --limit 20");
    let codes: Vec<&str> = events.iter().filter_map(|event| event["code"].as_str()).collect();
    for code in ["ca.approval_asked", "ca.approval_given", "ca.approval_refused"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
}

fn approve_state(request: &str) -> String {
    format!("pki approve {request}")
}

#[test]
fn a_ca_is_revoked_by_its_name_and_by_two() {
    let desk = two_operators();
    desk.ok("pki issue secc-leaf --cn DE*ACM*E1 --out secc");
    let request = filed(&desk, "pki revoke iso2/cpo-sub2 --reason cACompromise");
    assert!(
        desk.ok("pki verify secc.crt.pem").starts_with("accepted"),
        "nothing has happened yet"
    );
    assert!(
        both(&desk, &request)["done"]
            .as_str()
            .unwrap()
            .contains("cACompromise")
    );
    desk.no("pki verify secc.crt.pem", 1, "revocation.revoked");
    desk.no("pki issue secc-leaf --cn DE*ACM*E2 --out next", 1, "revoked");
    assert!(
        !desk.path("next.key.pem").exists() && !desk.path("next.crt.pem").exists(),
        "no certificate, no file"
    );
}

#[test]
fn a_request_can_be_taken_back() {
    let desk = two_operators();
    let request = filed(&desk, "pki renew iso2/mo-sub1");
    desk.ok(&format!(
        "pki approve {request} --operator alice --key alice.key.pem"
    ));
    let answer = desk.json(&format!("pki approve {request} --withdraw"));
    assert_eq!(answer[0]["state"], "withdrawn");
    desk.no(
        &format!("pki approve {request} --operator bob --key bob.key.pem"),
        1,
        "executed or withdrawn",
    );
    desk.no(
        &format!("pki approve {request} --withdraw"),
        1,
        "executed or withdrawn",
    );
    let said = desk.run("pki approve");
    assert!(
        said.code == 0 && said.out.is_empty() && said.err.contains("no open requests"),
        "{said:?}"
    );
}

#[test]
fn policy_and_operators_change_by_two_and_two_always_remain() {
    let desk = two_operators();
    let policy = desk.ok("pki policy show");
    std::fs::write(
        desk.path("own.toml"),
        policy.replace("max_days = 730", "max_days = 30"),
    )
    .unwrap();
    desk.ok("pki policy check own.toml");
    let request = filed(&desk, "pki policy set own.toml");
    // What is agreed to can be read before.
    assert!(desk.ok(&format!("pki approve {request}")).contains("[[rule]]"));
    both(&desk, &request);
    assert_eq!(desk.ok("pki policy show").trim(), desk.text("own.toml").trim());
    std::fs::write(desk.path("bad.toml"), "version = 1\n[[rule]]\ncolour = 3\n").unwrap();
    desk.no("pki policy check bad.toml", 1, "colour");
    desk.no("pki policy set bad.toml", 1, "ca.policy_invalid");

    desk.no("pki operator remove alice", 1, "add another one first");
    desk.no("pki operator add carol alice.pub.pem", 1, "ca.exists");
    desk.ok("pki operator new carol");
    let request = filed(&desk, "pki operator add carol carol.pub.pem");
    both(&desk, &request);
    // Bob leaves: what he approved and is not done yet no longer counts.
    let waiting = filed(&desk, "pki renew iso2/oem-sub1");
    desk.ok(&format!("pki approve {waiting} --operator bob --key bob.key.pem"));
    let leaves = filed(&desk, "pki operator remove bob");
    for name in ["alice", "carol"] {
        desk.ok(&format!(
            "pki approve {leaves} --operator {name} --key {name}.key.pem"
        ));
    }
    assert_eq!(
        values(&desk.ok("pki operator list --format json")),
        [
            serde_json::json!({"operator": "alice"}),
            serde_json::json!({"operator": "carol"})
        ]
    );
    let said = desk.ok(&format!(
        "pki approve {waiting} --operator alice --key alice.key.pem"
    ));
    assert!(said.contains("1 of 2"), "{said}");
    desk.no(
        &format!("pki approve {waiting} --operator bob --key bob.key.pem"),
        1,
        "not registered",
    );
}

#[test]
fn a_plan_that_cannot_be_meant_leaves_nothing_behind() {
    let desk = Desk::new();
    desk.ok("pki operator new alice");
    desk.ok("pki operator new bob");
    desk.no("pki operator new alice", 1, "alice.key.pem exists already");
    for (line, code, says) in [
        ("", 2, "--single-operator"),
        ("--operator alice=alice.pub.pem", 1, "at least two operators"),
        (
            "--operator alice=alice.pub.pem --operator bob=alice.pub.pem",
            1,
            "two operators have one key",
        ),
        (
            "--operator alice=alice.pub.pem --operator alice=bob.pub.pem",
            1,
            "two operators have one name",
        ),
        (
            "--operator alice=alice.pub.pem --operator bob=nobody.pem",
            2,
            "nobody.pem",
        ),
        (
            "--operator alice=alice.pub.pem --operator bob=bob.key.pem",
            2,
            "holds no PUBLIC KEY",
        ),
        ("--operator alice.pub.pem", 2, "NAME=FILE"),
        ("--single-operator --country Germany", 1, "two capital letters"),
        ("--single-operator --tree iso3", 2, "iso20-ed448"),
        ("--single-operator --policy nowhere.toml", 2, "nowhere.toml"),
        ("--adopt", 2, "--single-operator"),
    ] {
        desk.no(&format!("pki init {line}"), code, says);
        assert!(!desk.data().exists(), "{line} left something behind");
    }
}
