use super::*;

fn requester(role: Role, id: &str) -> Requester {
    Requester { role, id: id.into() }
}

fn ask<'a>(who: &'a Requester, kind: Kind, authority: &'a str, name: &'a str) -> Ask<'a> {
    Ask {
        requester: who,
        kind,
        authority,
        common_name: name,
        alt_names: &[],
    }
}

#[test]
fn the_default_policy_gives_each_role_its_own_and_names_the_rule_that_refuses() {
    let policy = Policy::parse(DEFAULT).unwrap();
    let station = requester(Role::Station, "GL-DC-1");
    let own = ask(&station, Kind::StationClient, "ocpp/csms-sub", "GL-DC-1");
    assert_eq!(policy.decide(&own).unwrap().name, "stations-for-themselves");
    let other = ask(&station, Kind::StationClient, "ocpp/csms-sub", "GL-DC-2");
    let refusal = policy.decide(&other).unwrap_err();
    assert!(refusal.reason.contains("stations-for-themselves"), "{refusal}");
    assert!(refusal.reason.contains("common name"), "{refusal}");
    let outlet = ask(&station, Kind::SeccLeaf, "iso2/cpo-sub2", "DE*GDL*EGLDC1*2");
    assert!(policy.decide(&outlet).is_ok());
    let foreign = ask(&station, Kind::SeccLeaf, "iso2/cpo-sub2", "DE*GDL*EGLDC2");
    assert!(policy.decide(&foreign).is_err());
    let contract = ask(&station, Kind::ContractLeaf, "iso2/mo-sub2", "DEGDLC12345678");
    assert!(policy.decide(&contract).is_err());
    let mo = requester(Role::Mo, "mo");
    assert!(
        policy
            .decide(&ask(&mo, Kind::ContractLeaf, "iso20/mo-sub2", "DEGDLC12345678"))
            .is_ok()
    );
    let wrong = policy
        .decide(&ask(&mo, Kind::ContractLeaf, "iso20/mo-sub1", "DEGDLC12345678"))
        .unwrap_err();
    assert!(wrong.reason.contains("mobility-operators"), "{wrong}");
    // Nobody gets a CA through the policy.
    for row in gridlatch_trust::profile::ROWS {
        let ca = matches!(row.authority, gridlatch_trust::profile::Authority::Ca { .. });
        assert!(
            !ca || policy.rules.iter().all(|rule| !rule.profiles.contains(&row.kind)),
            "{}",
            row.name
        );
    }
}

#[test]
fn alternative_names_need_a_rule() {
    let text = r#"
        version = 1
        [[rule]]
        name = "web"
        roles = ["csms"]
        profiles = ["csms-server"]
        authorities = ["ocpp/csms-sub"]
        alt_names = ["%.example.org", "127.0.0.1"]
        max_days = 30
    "#;
    let policy = Policy::parse(text).unwrap();
    let csms = requester(Role::Csms, "x");
    let decide = |names: &[AltName]| {
        let mut ask = ask(&csms, Kind::CsmsServer, "ocpp/csms-sub", "csms");
        ask.alt_names = names;
        policy.decide(&ask).map(|rule| rule.max_days)
    };
    assert_eq!(decide(&[]), Ok(Some(30)));
    assert!(
        decide(&[
            AltName::Dns("a.example.org".into()),
            AltName::Ip(vec![127, 0, 0, 1])
        ])
        .is_ok()
    );
    assert!(
        decide(&[
            AltName::Dns("a.example.org".into()),
            AltName::Dns("b.test".into())
        ])
        .is_err()
    );
    assert!(decide(&[AltName::Ip(vec![10, 0, 0, 1])]).is_err());
}

#[test]
fn patterns_match_as_written_and_ids_cannot_smuggle_wildcards() {
    for (pattern, text, id, fine) in [
        ("%", "", "", true),
        ("a%c", "abc", "", true),
        ("a%c", "ac", "", true),
        ("a%c", "a", "", false),
        ("a%a", "a", "", false),
        ("a%b%c", "axxbyyc", "", true),
        ("a%b%c", "axxcyyb", "", false),
        ("{id}", "GL-1", "GL-1", true),
        ("{id}", "GL-12", "GL-1", false),
        ("{id}", "anything", "%", false),
        ("%{ID}", "DE*GL1", "gl-1", true),
        ("%{ID}", "DE*GL1", "-", false),
        ("{id}", "", "", false),
        ("abc", "abc", "", true),
        ("abc", "abcd", "", false),
    ] {
        assert_eq!(fits(pattern, text, id), fine, "{pattern} {text} {id}");
    }
}

#[test]
fn nothing_in_a_policy_is_ignored_silently() {
    let rule = |body: &str| format!("version = 1\n[[rule]]\nname = \"r\"\n{body}");
    for (text, says) in [
        ("version = 2".to_owned(), "version 2"),
        ("version = 1\nrules = []".to_owned(), "rules"),
        (
            rule("roles = [\"boss\"]\nprofiles = []\nauthorities = []"),
            "boss",
        ),
        (
            rule("roles = []\nprofiles = [\"SeccLeaf\"]\nauthorities = []"),
            "SeccLeaf",
        ),
        (
            rule("roles = []\nprofiles = []\nauthorities = []\nmax_day = 1"),
            "max_day",
        ),
        (
            format!(
                "{}\n{}",
                rule("roles = []\nprofiles = []\nauthorities = []"),
                "[[rule]]\nname = \"r\"\nroles = []\nprofiles = []\nauthorities = []"
            ),
            "two rules",
        ),
        (format!("version = 1 # {}", "x".repeat(MAX_OCTETS)), "larger"),
    ] {
        let error = Policy::parse(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
