//! How much work an archive asks for before anything in it is known to be authentic.
//!
//! OpenSSL hashes the passphrase as often as the archive says, up to 2^31 times for each part, and has no bound of
//! its own. The counts stand in the clear: a salt (an octet string), then integers. One or two are the rounds of
//! PBKDF2 or of PKCS#12's own derivation (and the length of the key); three and more are scrypt's N, r and p. So this
//! walks through the archive, knowing nothing of its fields: whatever stands behind an octet string counts.

use std::borrow::Cow;

/// How deep is looked: OpenSSL reads strings that are nested 5 deep, in fields that are nested less than 20 deep.
const MAX_DEPTH: usize = 40;

/// The rounds that `ber` asks for, all parts together; at most what there is, never less than OpenSSL would do.
pub(super) fn rounds(ber: &[u8]) -> u64 {
    let mut total = 0;
    walk(ber, MAX_DEPTH, false, &mut total);
    total
}

/// Walks through the elements of `rest`, to its end or to what is no element, and hands back what is behind. An
/// indefinite content ends with its mark.
fn walk<'a>(mut rest: &'a [u8], depth: usize, marked: bool, total: &mut u64) -> &'a [u8] {
    let mut numbers: Option<Vec<u64>> = None;
    while let Some((element, after)) = head(rest) {
        if marked && element.tag == 0 {
            rest = after;
            break;
        }
        if element.tag == INTEGER
            && let (Some(numbers), Some(content)) = (&mut numbers, element.content)
        {
            numbers.push(number(content));
        } else {
            *total = total.saturating_add(cost(numbers.take()));
        }
        let Some(deeper) = depth.checked_sub(1) else {
            // Deeper than anything that can be read: nobody gets as far as to hash.
            *total = u64::MAX;
            break;
        };
        let content;
        (content, rest) = match element.content {
            Some(content) => (content, after),
            None if element.tag == OCTET_STRING => to_mark(after),
            None => {
                rest = walk(after, deeper, true, total);
                continue;
            }
        };
        if element.tag != OCTET_STRING {
            if element.constructed {
                walk(content, deeper, false, total);
            }
            continue;
        }
        numbers = Some(Vec::new());
        let whole = if element.constructed {
            Cow::Owned(joined(content, deeper))
        } else {
            Cow::Borrowed(content)
        };
        // The next layer is a sequence; a salt or what is encrypted is nothing to walk through.
        if whole.first() == Some(&0x30) {
            walk(&whole, deeper, false, total);
        }
    }
    *total = total.saturating_add(cost(numbers));
    rest
}

/// What the numbers behind a salt ask for.
fn cost(numbers: Option<Vec<u64>>) -> u64 {
    match numbers.as_deref() {
        Some([rounds] | [rounds, _]) => *rounds,
        Some([n, r, p, ..]) => n.saturating_mul(*r).saturating_mul(*p),
        _ => 0,
    }
}

/// What is before the mark that ends an indefinite content, and what is behind it.
fn to_mark(ber: &[u8]) -> (&[u8], &[u8]) {
    let (mut open, mut rest) = (1_usize, ber);
    while let Some((element, after)) = head(rest) {
        if element.content.is_none() {
            open = open.saturating_add(1);
        } else if element.tag == 0 {
            open -= 1;
        }
        if open == 0 {
            return (ber.get(..ber.len() - rest.len()).unwrap_or_default(), after);
        }
        rest = after;
    }
    (ber, &[])
}

/// The octets of a string that comes in pieces.
fn joined(mut rest: &[u8], depth: usize) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some((element, after)) = head(rest) {
        rest = after;
        match (element.content, depth.checked_sub(1)) {
            (Some(content), Some(deeper)) if element.constructed => whole.extend(joined(content, deeper)),
            (Some(content), _) => whole.extend_from_slice(content),
            // An indefinite piece of a piece: its own pieces follow, and its mark is an empty one.
            (None, _) => {}
        }
    }
    whole
}

const INTEGER: u32 = 2;
const OCTET_STRING: u32 = 4;

struct Element<'a> {
    /// The number of a universal tag; 0 is the mark of an end. Of other classes, above all of these.
    tag: u32,
    constructed: bool,
    /// `None`: indefinite.
    content: Option<&'a [u8]>,
}

/// The first element, and what is behind it (or behind its head, where its length is indefinite).
fn head(ber: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (first, mut rest) = ber.split_first()?;
    let mut tag = u32::from(first & 0x1F);
    if tag == 0x1F {
        // A tag in several octets; no field of ours has one.
        let end = rest.iter().position(|octet| octet & 0x80 == 0)?;
        rest = rest.get(end + 1..)?;
    }
    let class = first & 0xC0;
    if class != 0 {
        tag += 0x100;
    }
    let (length, mut rest) = rest.split_first()?;
    let length = match length {
        0x80 => None,
        0x81..=0xFF => {
            let (digits, after) = rest.split_at_checked(usize::from(length & 0x7F))?;
            rest = after;
            Some(digits.iter().try_fold(0_usize, |value, digit| {
                value.checked_mul(256)?.checked_add(usize::from(*digit))
            })?)
        }
        short => Some(usize::from(*short)),
    };
    let element = |content| Element {
        tag,
        constructed: first & 0x20 != 0,
        content,
    };
    Some(match length {
        None => (element(None), rest),
        Some(length) => {
            // One that says it is longer than there is ends with what there is.
            let (content, after) = rest.split_at(length.min(rest.len()));
            (element(Some(content)), after)
        }
    })
}

/// The value of an integer; a negative one is none of ours, and large.
fn number(content: &[u8]) -> u64 {
    content
        .iter()
        .try_fold(0_u64, |value, digit| {
            value.checked_mul(256)?.checked_add(u64::from(*digit))
        })
        .unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    }

    /// `SEQUENCE { salt, numbers }`, wrapped in a string as the archive's parts are.
    fn part(numbers: &[&[u8]], indefinite: bool) -> Vec<u8> {
        let mut fields = element(4, b"saltsalt");
        for digits in numbers {
            fields.extend(element(2, digits));
        }
        let sequence = element(0x30, &fields);
        if !indefinite {
            return element(0x30, &element(0xA0, &element(4, &sequence)));
        }
        // The string in pieces, every length left open.
        let (first, second) = sequence.split_at(9);
        [
            &[0x30, 0x80, 0xA0, 0x80, 0x24, 0x80][..],
            &element(4, first),
            &element(4, second),
            &[0; 6],
        ]
        .concat()
    }

    #[test]
    fn rounds_are_found_wherever_they_stand() {
        for indefinite in [false, true] {
            let one = part(&[&[0x08, 0x00]], indefinite);
            assert_eq!(rounds(&one), 2048, "{indefinite}");
            // The length of a key is no number of rounds.
            assert_eq!(rounds(&part(&[&[0x08, 0x00], &[32]], indefinite)), 2048);
            let scrypt = part(&[&[0x40, 0x00], &[8], &[1], &[32]], indefinite);
            assert_eq!(rounds(&scrypt), 131_072);
            assert_eq!(
                rounds(&part(&[&[0x7F, 0xFF, 0xFF, 0xFF]], indefinite)),
                0x7FFF_FFFF
            );
            assert_eq!(rounds(&part(&[&[0xFF; 9]], indefinite)), u64::MAX);
            let both = element(0x30, &[one.clone(), one.clone()].concat());
            assert_eq!(rounds(&both), 4096);
            // Behind a tag that no archive has.
            let hidden = [&[0x1F, 0x81, 0x01, 0x00], one.as_slice()].concat();
            assert_eq!(rounds(&element(0x30, &hidden)), 2048);
        }
    }

    #[test]
    fn nests_without_an_end_are_no_way_around_and_cost_nothing() {
        for open in [&[0x30, 0x80], &[0xA0, 0x80]] {
            assert_eq!(rounds(&open.repeat(100_000)), u64::MAX);
        }
        // Pieces of pieces are one string.
        assert_eq!(rounds(&[0x24, 0x80].repeat(100_000)), 0);
        assert_eq!(rounds(&[]), 0);
        assert_eq!(rounds(&[0x30]), 0);
        assert_eq!(rounds(&[0; 1000]), 0);
    }
}
