//! Who may get what: a table of rules in TOML, checked before anything is signed.

use core::fmt;
use core::str::FromStr;

use gridlatch_trust::build::AltName;
use gridlatch_trust::profile::Kind;
use serde::Deserialize;
use thiserror::Error;

/// The largest policy text, bytes.
const MAX_OCTETS: usize = 64 * 1024;
/// The most rules of a policy.
const MAX_RULES: usize = 256;
/// The policy of a CA that was given none.
pub const DEFAULT: &str = include_str!("default_policy.toml");

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident $word:literal;)*) => {
        /// Who asks for a certificate, as far as policy cares.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Role { $($(#[$doc])* $role,)* }

        impl Role {
            /// Every role.
            pub const ALL: &'static [Self] = &[$(Self::$role),*];

            /// The word used in policies and lists.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$role => $word,)* }
            }
        }
    };
}
roles! {
    /// The CA for its own services.
    Ca "ca";
    /// A person who runs the CA.
    Operator "operator";
    /// A charge point operator's system.
    Cpo "cpo";
    /// A charging platform.
    Csms "csms";
    /// One charging station.
    Station "station";
    /// A vehicle maker's system.
    Oem "oem";
    /// One vehicle.
    Vehicle "vehicle";
    /// A mobility operator's system.
    Mo "mo";
    /// A certificate provisioning service.
    Cps "cps";
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .iter()
            .copied()
            .find(|role| role.as_str() == text)
            .ok_or(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asks. The caller has authenticated them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// As what.
    pub role: Role,
    /// Their name within the role: a station id, an operator's name.
    pub id: String,
}

impl Requester {
    /// `role:id`, cut to what a list can show; a vehicle's id stands for a person and is masked.
    #[must_use]
    pub fn label(&self) -> String {
        if self.role == Role::Vehicle {
            return "vehicle:…".to_owned();
        }
        let id: String = self
            .id
            .chars()
            .filter(|character| !character.is_control())
            .take(64)
            .collect();
        format!("{}:{id}", self.role)
    }
}

/// What is asked for, as far as policy cares.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who asks.
    pub requester: &'a Requester,
    /// What kind.
    pub kind: Kind,
    /// From which CA.
    pub authority: &'a str,
    /// The common name.
    pub common_name: &'a str,
    /// The alternative names.
    pub alt_names: &'a [AltName],
}

/// The policy says no. Holds no names: they may stand for people.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the issuing policy refuses a {kind} from {authority} to role {role}: {reason}")]
pub struct Refusal {
    /// The kind's word.
    pub kind: &'static str,
    /// The CA.
    pub authority: String,
    /// The requester's role.
    pub role: Role,
    /// The rule that came nearest and what it lacks, or that there is none.
    pub reason: String,
}

/// A policy text cannot be used.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// Larger than allowed.
    #[error("the policy is larger than {MAX_OCTETS} bytes or has more than {MAX_RULES} rules")]
    TooLarge,
    /// Not TOML, or not of this form.
    #[error("the policy cannot be read: {0}")]
    Syntax(String),
    /// A word nobody knows.
    #[error("rule {rule}: {word:?} is not a {what}")]
    Word {
        /// The rule's name.
        rule: String,
        /// What was written.
        word: String,
        /// What was expected.
        what: &'static str,
    },
    /// Two rules of one name.
    #[error("two rules are named {0}")]
    Twice(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    urls: Urls,
    #[serde(default)]
    rule: Vec<RuleText>,
}

/// Addresses that go into certificates; `{authority}` becomes the CA's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Urls {
    /// Where OCSP answers.
    pub ocsp: Option<String>,
    /// Where revocation lists are.
    pub crl: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    roles: Vec<String>,
    profiles: Vec<String>,
    authorities: Vec<String>,
    #[serde(default)]
    common_name: Vec<String>,
    #[serde(default)]
    alt_names: Vec<String>,
    max_days: Option<u32>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, which refusals and lists show.
    pub name: String,
    /// Whom it speaks of.
    pub roles: Vec<Role>,
    /// What they may get.
    pub profiles: Vec<Kind>,
    /// From which CAs.
    pub authorities: Vec<String>,
    /// Patterns of the common name; empty for any.
    pub common_name: Vec<String>,
    /// Patterns of alternative names; empty for none.
    pub alt_names: Vec<String>,
    /// The longest lifetime, days.
    pub max_days: Option<u32>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Addresses that go into certificates.
    pub urls: Urls,
    /// Rules, in the order written.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Too large, not TOML, an unknown word: nothing is ignored silently.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        if text.len() > MAX_OCTETS {
            return Err(PolicyError::TooLarge);
        }
        let file: File = toml::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        if file.version != 1 {
            return Err(PolicyError::Syntax(format!(
                "version {} is not known, only 1",
                file.version
            )));
        }
        if file.rule.len() > MAX_RULES {
            return Err(PolicyError::TooLarge);
        }
        let mut rules: Vec<Rule> = Vec::with_capacity(file.rule.len());
        for text in file.rule {
            if rules.iter().any(|rule| rule.name == text.name) {
                return Err(PolicyError::Twice(text.name));
            }
            rules.push(rule(text)?);
        }
        Ok(Self {
            urls: file.urls,
            rules,
        })
    }

    /// The rule that allows it.
    ///
    /// # Errors
    /// None does; the refusal names the rule that came nearest.
    pub fn decide(&self, ask: &Ask<'_>) -> Result<&Rule, Refusal> {
        let mut nearest = (0, "no rule speaks of this role".to_owned());
        for rule in &self.rules {
            match rule.judge(ask) {
                Ok(()) => return Ok(rule),
                Err((depth, lacks)) if depth > nearest.0 => {
                    nearest = (depth, format!("rule {} {lacks}", rule.name));
                }
                Err(_) => {}
            }
        }
        Err(Refusal {
            kind: ask.kind.slug(),
            authority: ask.authority.to_owned(),
            role: ask.requester.role,
            reason: nearest.1,
        })
    }
}

impl Rule {
    /// How far it got, and what it lacks.
    fn judge(&self, ask: &Ask<'_>) -> Result<(), (u8, &'static str)> {
        let id = &ask.requester.id;
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| fits(pattern, text, id));
        if !self.roles.contains(&ask.requester.role) {
            return Err((0, "is for other roles"));
        }
        if !self.profiles.contains(&ask.kind) {
            return Err((1, "allows this role other kinds of certificate only"));
        }
        if !any(&self.authorities, ask.authority) {
            return Err((2, "names other CAs for it"));
        }
        if !self.common_name.is_empty() && !any(&self.common_name, ask.common_name) {
            return Err((3, "does not allow this common name"));
        }
        for name in ask.alt_names {
            let text = match name {
                AltName::Dns(name) => name.clone(),
                AltName::Ip(octets) => address(octets),
            };
            if !any(&self.alt_names, &text) {
                return Err((4, "does not allow one of the alternative names"));
            }
        }
        Ok(())
    }
}

fn address(octets: &[u8]) -> String {
    if let Ok(four) = <[u8; 4]>::try_from(octets) {
        return std::net::Ipv4Addr::from(four).to_string();
    }
    <[u8; 16]>::try_from(octets)
        .map_or_else(|_| String::new(), |all| std::net::Ipv6Addr::from(all).to_string())
}

fn rule(text: RuleText) -> Result<Rule, PolicyError> {
    let word = |word: &str, what| PolicyError::Word {
        rule: text.name.clone(),
        word: word.to_owned(),
        what,
    };
    let roles = text
        .roles
        .iter()
        .map(|role| role.parse().map_err(|()| word(role, "role")))
        .collect::<Result<_, _>>()?;
    let profiles = text
        .profiles
        .iter()
        .map(|kind| Kind::from_slug(kind).ok_or_else(|| word(kind, "kind of certificate")))
        .collect::<Result<_, _>>()?;
    Ok(Rule {
        roles,
        profiles,
        authorities: text.authorities,
        common_name: text.common_name,
        alt_names: text.alt_names,
        max_days: text.max_days,
        name: text.name,
    })
}

/// Whether `text` fits `pattern`, where `%` stands for any characters, `{id}` for the requester's id and
/// `{ID}` for the id's letters and digits in upper case. An empty id fits no placeholder.
fn fits(pattern: &str, text: &str, id: &str) -> bool {
    let plain: String = id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_uppercase())
        .collect();
    if (pattern.contains("{id}") && id.is_empty()) || (pattern.contains("{ID}") && plain.is_empty()) {
        return false;
    }
    // Split at the wildcards first: a `%` inside an id is a character, not a wildcard.
    let parts: Vec<String> = pattern
        .split('%')
        .map(|part| part.replace("{id}", id).replace("{ID}", &plain))
        .collect();
    let [first, middle @ .., last] = parts.as_slice() else {
        return parts.first().is_some_and(|whole| whole == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else {
        return false;
    };
    for part in middle {
        let Some(found) = rest.find(part.as_str()) else {
            return false;
        };
        rest = rest.get(found + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
