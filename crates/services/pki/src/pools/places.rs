//! Where notifications may go.

use core::fmt;
use core::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

/// A host, with a port if it is not 443.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    port: u16,
    /// Only for a partner on this machine.
    plain: bool,
}

/// Not a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a place for notifications: https://HOST[:PORT], or http:// for this machine only")]
pub struct InvalidPlace;

impl FromStr for Place {
    type Err = InvalidPlace;

    /// `https://host[:port]`; `http://` for `localhost`, `127.0.0.1` and `[::1]` only.
    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let (target, rest) = Target::split(text)?;
        if rest.is_empty() || rest == "/" {
            Ok(target.place)
        } else {
            Err(InvalidPlace)
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The places that notifications may go to; none unless named.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<[Place]>);

impl Places {
    /// These and no others.
    #[must_use]
    pub fn only(places: Vec<Place>) -> Self {
        Self(places.into())
    }

    /// Takes an address apart if it leads to one of the places.
    pub(super) fn admit(&self, url: &str) -> Result<Target, NotAllowed> {
        let (target, rest) = Target::split(url).map_err(|InvalidPlace| NotAllowed::Form)?;
        if !self.0.contains(&target.place) {
            return Err(NotAllowed::Elsewhere(target.place.to_string()));
        }
        Ok(Target {
            path: if rest.is_empty() { "/".to_owned() } else { rest },
            ..target
        })
    }
}

/// Why an address is no webhook.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum NotAllowed {
    #[error("url : is not https://HOST[:PORT]/PATH without user, fragment or blanks")]
    Form,
    #[error("url : {0} is not among the places that notifications may go to")]
    Elsewhere(String),
}

/// An address taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    place: Place,
    pub(super) path: String,
}

impl Target {
    pub(super) fn host(&self) -> &str {
        self.place.host.trim_start_matches('[').trim_end_matches(']')
    }

    pub(super) const fn port(&self) -> u16 {
        self.place.port
    }

    pub(super) const fn plain(&self) -> bool {
        self.place.plain
    }

    /// For the `Host` field.
    pub(super) fn authority(&self) -> String {
        self.place.to_string()
    }

    fn split(url: &str) -> Result<(Self, String), InvalidPlace> {
        if url.len() > 512
            || !url.bytes().all(|byte| byte.is_ascii_graphic())
            || url.contains(['@', '#', '\\'])
        {
            return Err(InvalidPlace);
        }
        let (plain, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(InvalidPlace),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = if path.starts_with('?') {
            format!("/{path}")
        } else {
            path.to_owned()
        };
        let colon = if authority.starts_with('[') {
            authority.find(']').and_then(|close| {
                authority
                    .get(close + 1..)
                    .and_then(|tail| tail.starts_with(':').then_some(close + 1))
            })
        } else {
            authority.rfind(':')
        };
        let (host, port) = match colon {
            Some(at) => {
                let port = authority.get(at + 1..).unwrap_or_default();
                (
                    authority.get(..at).unwrap_or_default(),
                    port.parse().map_err(|_| InvalidPlace)?,
                )
            }
            None => (authority, if plain { 80 } else { 443 }),
        };
        let named = !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'[' | b']' | b':'));
        let here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        if !named || (plain && !here) || port == 0 {
            return Err(InvalidPlace);
        }
        let place = Place {
            host: host.to_ascii_lowercase(),
            port,
            plain,
        };
        Ok((
            Self {
                place,
                path: String::new(),
            },
            path,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_places_are_admitted_and_tricks_are_not() {
        let places = Places::only(vec![
            "https://oem.example".parse().unwrap(),
            "https://mo.example:8443".parse().unwrap(),
            "http://127.0.0.1:9000".parse().unwrap(),
        ]);
        for good in [
            "https://oem.example/hook",
            "https://OEM.example:443/hook?x=1",
            "https://mo.example:8443",
            "http://127.0.0.1:9000/x",
        ] {
            assert!(places.admit(good).is_ok(), "{good}");
        }
        assert_eq!(places.admit("https://oem.example?x=1").unwrap().path, "/?x=1");
        for bad in [
            "http://oem.example/hook",
            "https://oem.example:444/hook",
            "https://oem.example.evil.test/hook",
            "https://oem.example@evil.test/hook",
            "https://evil.test/oem.example",
            "https://evil.test#oem.example",
            "https://evil.test\\@oem.example/",
            "ftp://oem.example/",
            "https:///hook",
            "https://oem.example/a b",
            "https://oem.example:0/",
            "https://oem.example:99999/",
            "https://[::1]/",
            "",
        ] {
            assert!(places.admit(bad).is_err(), "{bad}");
        }
        assert!(
            Places::default().admit("https://oem.example/hook").is_err(),
            "nowhere unless named"
        );
        for bad in ["http://oem.example", "oem.example", "https://oem.example/path"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }
}
