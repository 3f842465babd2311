use super::*;

#[test]
fn codes_and_aliases_are_unique_and_rows_are_complete() {
    let mut seen = std::collections::BTreeSet::new();
    for row in all() {
        for name in std::iter::once(&row.code).chain(row.aliases) {
            assert!(seen.insert(name.to_ascii_lowercase()), "{name} appears twice");
        }
        assert!(
            row.code
                .split_once('.')
                .is_some_and(|(area, what)| !area.is_empty()
                    && !what.is_empty()
                    && row
                        .code
                        .chars()
                        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' || c == '_')),
            "{} is not area.what_happened",
            row.code
        );
        assert!(
            row.what.ends_with('.') && row.remedy.ends_with('.'),
            "{}: full sentences",
            row.code
        );
        assert!(
            row.severity < Severity::Warning || !row.causes.is_empty(),
            "{} has no causes",
            row.code
        );
        assert!(
            row.severity < Severity::Warning || row.blame != Blame::Nobody,
            "{} blames nobody",
            row.code
        );
    }
}

#[test]
fn a_code_is_found_by_spelling_and_by_alias() {
    assert_eq!(Code::find("TLS.unknown_ca"), Some(tls::UNKNOWN_CA));
    assert_eq!(Code::find("tlsv1 alert unknown ca"), Some(tls::UNKNOWN_CA));
    assert_eq!(Code::find("no such thing"), None);
}
