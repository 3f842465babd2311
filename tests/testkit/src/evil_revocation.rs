//! What a revocation service should not say: OCSP questions, OCSP answers and lists with one defect each, everything
//! else in order, and properly signed. Written octet by octet, as [`crate::evil`] writes certificates.

use crate::evil::der::{bits, oid, seq, tlv, unhex};
use crate::evil::{Evil, Sign, ecdsa_sha256, extension, name};

/// The times of an answer or a list: `GeneralizedTime` as text, `20261121101500Z`.
#[derive(Debug, Clone)]
pub struct Times {
    /// When it was said.
    pub this: String,
    /// When the next comes.
    pub next: String,
    /// A time long before both.
    pub past: String,
    /// A time long after both.
    pub future: String,
}

fn time(text: &str) -> Vec<u8> {
    tlv(0x18, text.as_bytes())
}

/// `CertID` with SHA-1: `issuer_name` and `issuer_key` are the hashes, `serial` the content of the INTEGER.
#[must_use]
pub fn cert_id(issuer_name: &[u8], issuer_key: &[u8], serial: &[u8]) -> Vec<u8> {
    let sha1 = seq(&[&oid("2b0e03021a"), &tlv(0x05, &[])]);
    seq(&[
        &sha1,
        &tlv(0x04, issuer_name),
        &tlv(0x04, issuer_key),
        &tlv(0x02, serial),
    ])
}

/// An `OCSPRequest` for these `CertID`s; `extensions` are those of the request.
#[must_use]
pub fn question(ids: &[Vec<u8>], extensions: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<u8> = ids.iter().flat_map(|id| seq(&[id])).collect();
    let extensions = if extensions.is_empty() {
        Vec::new()
    } else {
        tlv(0xA2, &tlv(0x30, &extensions.concat()))
    };
    seq(&[&seq(&[&tlv(0x30, &list), &extensions])])
}

const NONCE: &str = "2b0601050507300102";

/// Questions with one defect each, about `id` of the issuer with these hashes. None of them may be answered with a
/// status.
#[must_use]
pub fn questions(issuer_name: &[u8], issuer_key: &[u8], serial: &[u8]) -> Vec<Evil> {
    let id = cert_id(issuer_name, issuer_key, serial);
    let one = || vec![id.clone()];
    let good = question(&one(), &[]);
    let nonce = |octets: usize| extension(NONCE, false, &tlv(0x04, &vec![7; octets]));
    let odd_hash = seq(&[
        &seq(&[&oid("2a03"), &tlv(0x05, &[])]),
        &tlv(0x04, issuer_name),
        &tlv(0x04, issuer_key),
        &tlv(0x02, serial),
    ]);
    let version = |number: u8| {
        let list = tlv(0x30, &seq(&[&id]));
        seq(&[&seq(&[&tlv(0xA0, &tlv(0x02, &[number])), &list])])
    };
    let single = |extensions: &[u8]| {
        let asked = seq(&[&id, &tlv(0xA0, &tlv(0x30, extensions))]);
        seq(&[&seq(&[&tlv(0x30, &asked)])])
    };
    let cases = vec![
        ("nothing", Vec::new()),
        ("half of it", good[..good.len() / 2].to_vec()),
        ("octets behind the end", [&good[..], &[0, 0]].concat()),
        ("an indefinite length (BER)", indefinite(&good)),
        ("a length of four gigabytes", lying(&good)),
        ("two thousand sequences in one another", vec![0x30; 2000]),
        ("sixty thousand octets of nothing", vec![0x30; 60_000]),
        ("nothing asked", question(&[], &[])),
        ("sixty-five certificates", question(&vec![id.clone(); 65], &[])),
        ("a hash nobody uses", question(&[odd_hash], &[])),
        ("version 2", version(1)),
        (
            "a serial number of no octets",
            question(&[cert_id(issuer_name, issuer_key, &[])], &[]),
        ),
        (
            "a serial number with needless zeros",
            question(&[cert_id(issuer_name, issuer_key, &[0, 0, 5])], &[]),
        ),
        (
            "hashes that are too short",
            question(&[cert_id(&[1; 3], &[2; 3], serial)], &[]),
        ),
        ("a nonce of no octets", question(&one(), &[nonce(0)])),
        ("a nonce of five hundred octets", question(&one(), &[nonce(500)])),
        ("two nonces", question(&one(), &[nonce(16), nonce(8)])),
        (
            "a nonce that is no octets",
            question(&one(), &[extension(NONCE, false, &tlv(0x02, &[1]))]),
        ),
        (
            "a critical extension nobody knows",
            question(&one(), &[extension("2a0304", true, &[5, 0])]),
        ),
        (
            "a critical extension of one certificate",
            single(&extension("2a0304", true, &[5, 0])),
        ),
    ];
    evil(cases)
}

fn evil(cases: Vec<(&'static str, Vec<u8>)>) -> Vec<Evil> {
    cases
        .into_iter()
        .map(|(defect, der)| Evil { defect, der })
        .collect()
}

fn indefinite(good: &[u8]) -> Vec<u8> {
    let header = if good.get(1).is_some_and(|length| *length < 0x80) {
        2
    } else {
        header(good)
    };
    [&[0x30, 0x80], &good[header..], &[0, 0]].concat()
}

fn lying(good: &[u8]) -> Vec<u8> {
    [&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], &good[header(good)..]].concat()
}

/// Octets of the tag and the length.
fn header(good: &[u8]) -> usize {
    match good.get(1) {
        Some(length) if *length >= 0x80 => 2 + usize::from(length & 0x7F),
        _ => 2,
    }
}

/// An OCSP answer as its parts, each DER that the caller may bend.
#[derive(Debug, Clone)]
pub struct Answer {
    /// `[0] version`; empty for version 1.
    pub version: Vec<u8>,
    /// The name of who signed it.
    pub responder: Vec<u8>,
    /// `producedAt`.
    pub produced: Vec<u8>,
    /// Each `SingleResponse`.
    pub singles: Vec<Vec<u8>>,
    /// Extensions of the answer.
    pub extensions: Vec<Vec<u8>>,
    /// Certificates it brings.
    pub certs: Vec<Vec<u8>>,
}

/// A `SingleResponse` that says "good".
#[must_use]
pub fn good(id: &[u8], this: &str, next: Option<&str>, extensions: &[u8]) -> Vec<u8> {
    let next = next.map_or_else(Vec::new, |next| tlv(0xA0, &time(next)));
    let extensions = if extensions.is_empty() {
        Vec::new()
    } else {
        tlv(0xA1, &tlv(0x30, extensions))
    };
    seq(&[id, &tlv(0x80, &[]), &time(this), &next, &extensions])
}

impl Answer {
    /// "Good", about `id`, by the holder of the name `responder`.
    #[must_use]
    pub fn honest(id: &[u8], responder: &[u8], times: &Times) -> Self {
        Self {
            version: Vec::new(),
            responder: responder.to_vec(),
            produced: time(&times.this),
            singles: vec![good(id, &times.this, Some(&times.next), &[])],
            extensions: Vec::new(),
            certs: Vec::new(),
        }
    }

    fn basic(&self, algorithm: &[u8], sign: &Sign<'_>) -> Vec<u8> {
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xA1, &tlv(0x30, &self.extensions.concat()))
        };
        let data = seq(&[
            &self.version,
            &tlv(0xA1, &self.responder),
            &self.produced,
            &tlv(0x30, &self.singles.concat()),
            &extensions,
        ]);
        let certs = if self.certs.is_empty() {
            Vec::new()
        } else {
            tlv(0xA0, &tlv(0x30, &self.certs.concat()))
        };
        seq(&[&data, algorithm, &bits(&sign(&data)), &certs])
    }

    /// The whole answer.
    #[must_use]
    pub fn signed(&self, sign: &Sign<'_>) -> Vec<u8> {
        wrapped(0, "2b0601050507300101", &self.basic(&ecdsa_sha256(), sign))
    }
}

fn wrapped(status: u8, kind: &str, basic: &[u8]) -> Vec<u8> {
    let bytes = seq(&[&oid(kind), &tlv(0x04, basic)]);
    seq(&[&tlv(0x0A, &[status]), &tlv(0xA0, &bytes)])
}

/// Answers that say "good" about `id` with one defect each; `other` signs with a key that is not the CA's. None of them
/// may be believed.
#[must_use]
pub fn answers(
    id: &[u8],
    elsewhere: &[u8],
    honest: &Answer,
    times: &Times,
    sign: &Sign<'_>,
    other: &Sign<'_>,
) -> Vec<Evil> {
    let whole = honest.signed(sign);
    let (nothing, empty): (&Sign<'_>, &Sign<'_>) = (&|_| unhex("3006020100020100"), &|_| Vec::new());
    let flipped = |message: &[u8]| {
        let mut signature = sign(message);
        if let Some(last) = signature.last_mut() {
            *last ^= 1;
        }
        signature
    };
    let sha512 = seq(&[&oid("2a8648ce3d040304")]);
    let basic = honest.basic(&ecdsa_sha256(), sign);
    let mut cases = vec![
        ("nothing", Vec::new()),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("octets behind the end", [&whole[..], &[0, 0]].concat()),
        ("an indefinite length (BER)", indefinite(&whole)),
        ("a length of four gigabytes", lying(&whole)),
        ("sixty thousand octets of nothing", vec![0x30; 60_000]),
        ("a megabyte", vec![0x30; 1 << 20]),
        ("signed by another key", honest.signed(other)),
        ("one bit of the signature turned", honest.signed(&flipped)),
        ("a signature of zeros", honest.signed(nothing)),
        ("no signature", honest.signed(empty)),
        (
            "another algorithm than the key's",
            wrapped(0, "2b0601050507300101", &honest.basic(&sha512, sign)),
        ),
        (
            "a status there is none of",
            wrapped(9, "2b0601050507300101", &basic),
        ),
        ("success without content", seq(&[&tlv(0x0A, &[0])])),
        ("another type of answer", wrapped(0, "2a03", &basic)),
        ("try later", seq(&[&tlv(0x0A, &[3])])),
    ];
    let mut bend = |defect: &'static str, change: &dyn Fn(&mut Answer)| {
        let mut answer = honest.clone();
        change(&mut answer);
        cases.push((defect, answer.signed(sign)));
    };
    let (this, next) = (times.this.as_str(), times.next.as_str());
    bend("version 2", &|a| a.version = tlv(0xA0, &tlv(0x02, &[1])));
    bend("another's name", &|a| a.responder = name(b"Somebody", None));
    bend("a name with a NUL", &|a| a.responder = name(b"CA\0Other", None));
    bend("about nobody", &|a| a.singles.clear());
    bend("about another certificate", &|a| {
        a.singles = vec![good(elsewhere, this, Some(next), &[])];
    });
    bend("about sixty-five certificates", &|a| {
        a.singles = vec![good(id, this, Some(next), &[]); 65];
    });
    bend("out of date", &|a| {
        a.singles = vec![good(id, &times.past, Some(&times.past), &[])]
    });
    bend("from the future", &|a| {
        a.singles = vec![good(id, &times.future, Some(&times.future), &[])];
    });
    bend("without an end, and from long ago", &|a| {
        a.singles = vec![good(id, &times.past, None, &[])];
    });
    bend("a time without its zone", &|a| {
        a.singles = vec![good(id, this.trim_end_matches('Z'), Some(next), &[])];
    });
    bend("a thirteenth month", &|a| {
        a.singles = vec![good(id, "20261301000000Z", Some(next), &[])];
    });
    bend("good and unknown at once", &|a| {
        let unknown = seq(&[id, &tlv(0x82, &[]), &time(this), &tlv(0xA0, &time(next))]);
        a.singles.push(unknown);
    });
    bend("a critical extension of one certificate", &|a| {
        a.singles = vec![good(id, this, Some(next), &extension("2a0304", true, &[5, 0]))];
    });
    bend("a critical extension nobody knows", &|a| {
        a.extensions = vec![extension("2a0304", true, &[5, 0])];
    });
    bend("a nonce of five hundred octets", &|a| {
        a.extensions = vec![extension(NONCE, false, &tlv(0x04, &[7; 500]))];
    });
    bend("two nonces", &|a| {
        let nonce = |octet| extension(NONCE, false, &tlv(0x04, &[octet; 16]));
        a.extensions = vec![nonce(1), nonce(2)];
    });
    evil(cases)
}

/// A revocation list as its parts.
#[derive(Debug, Clone)]
pub struct List {
    /// `version`; empty for version 1.
    pub version: Vec<u8>,
    /// `signature`, inside what is signed.
    pub inner: Vec<u8>,
    /// `issuer`.
    pub issuer: Vec<u8>,
    /// `thisUpdate`.
    pub this: Vec<u8>,
    /// `nextUpdate`.
    pub next: Vec<u8>,
    /// Each entry of `revokedCertificates`.
    pub entries: Vec<Vec<u8>>,
    /// Each extension.
    pub extensions: Vec<Vec<u8>>,
}

const NUMBER: &str = "551d14";
const DELTA: &str = "551d1b";
const POINT: &str = "551d1c";

impl List {
    /// One that names nobody.
    #[must_use]
    pub fn honest(issuer: &[u8], times: &Times) -> Self {
        Self {
            version: tlv(0x02, &[1]),
            inner: ecdsa_sha256(),
            issuer: issuer.to_vec(),
            this: time(&times.this),
            next: time(&times.next),
            entries: Vec::new(),
            extensions: vec![extension(NUMBER, false, &tlv(0x02, &[7]))],
        }
    }

    /// The whole list.
    #[must_use]
    pub fn signed(&self, sign: &Sign<'_>) -> Vec<u8> {
        let entries = if self.entries.is_empty() {
            Vec::new()
        } else {
            tlv(0x30, &self.entries.concat())
        };
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xA0, &tlv(0x30, &self.extensions.concat()))
        };
        let tbs = seq(&[
            &self.version,
            &self.inner,
            &self.issuer,
            &self.this,
            &self.next,
            &entries,
            &extensions,
        ]);
        seq(&[&tbs, &ecdsa_sha256(), &bits(&sign(&tbs))])
    }
}

/// Lists with one defect each; `other` signs with a key that is not the CA's. None of them may be believed.
#[must_use]
pub fn lists(honest: &List, times: &Times, sign: &Sign<'_>, other: &Sign<'_>) -> Vec<Evil> {
    let whole = honest.signed(sign);
    let empty: &Sign<'_> = &|_| Vec::new();
    let mut cases = vec![
        ("nothing", Vec::new()),
        ("half of it", whole[..whole.len() / 2].to_vec()),
        ("octets behind the end", [&whole[..], &[0, 0]].concat()),
        ("an indefinite length (BER)", indefinite(&whole)),
        ("a length of four gigabytes", lying(&whole)),
        ("sixty thousand octets of nothing", vec![0x30; 60_000]),
        ("eleven megabytes", vec![0x30; 11 << 20]),
        ("signed by another key", honest.signed(other)),
        ("no signature", honest.signed(empty)),
    ];
    let mut bend = |defect: &'static str, change: &dyn Fn(&mut List)| {
        let mut list = honest.clone();
        change(&mut list);
        cases.push((defect, list.signed(sign)));
    };
    let entry = |serial: &[u8], extensions: &[u8]| {
        let extensions = if extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0x30, extensions)
        };
        seq(&[&tlv(0x02, serial), &time(&times.this), &extensions])
    };
    bend("version 3", &|l| l.version = tlv(0x02, &[2]));
    bend("another algorithm inside than outside", &|l| {
        l.inner = seq(&[&oid("2a8648ce3d040304")])
    });
    bend("another's name", &|l| l.issuer = name(b"Somebody", None));
    bend("a name with a NUL", &|l| l.issuer = name(b"CA\0Other", None));
    bend("no name", &|l| l.issuer = seq(&[]));
    bend("out of date", &|l| {
        (l.this, l.next) = (time(&times.past), time(&times.past));
    });
    bend("from the future", &|l| {
        (l.this, l.next) = (time(&times.future), time(&times.future));
    });
    bend("without an end, and from long ago", &|l| {
        (l.this, l.next) = (time(&times.past), Vec::new());
    });
    bend("a time without its zone", &|l| {
        l.this = time(times.this.trim_end_matches('Z'))
    });
    bend("a thirteenth month", &|l| l.this = time("20261301000000Z"));
    bend("a negative number", &|l| {
        l.extensions = vec![extension(NUMBER, false, &tlv(0x02, &[0x80]))];
    });
    bend("a number of 21 octets", &|l| {
        l.extensions = vec![extension(NUMBER, false, &tlv(0x02, &[0x11; 21]))];
    });
    bend("an extension twice", &|l| {
        l.extensions = vec![extension(NUMBER, false, &tlv(0x02, &[7])); 2];
    });
    bend("a critical extension nobody knows", &|l| {
        l.extensions.push(extension("2a0304", true, &[5, 0]));
    });
    bend("changes to a list that nobody has", &|l| {
        l.extensions.push(extension(DELTA, true, &tlv(0x02, &[3])));
    });
    bend("indirect", &|l| {
        l.extensions
            .push(extension(POINT, true, &seq(&[&tlv(0x84, &[0xFF])])));
    });
    bend("some reasons only", &|l| {
        l.extensions
            .push(extension(POINT, true, &seq(&[&tlv(0x83, &[1, 0x60])])));
    });
    bend("about CAs only", &|l| {
        l.extensions
            .push(extension(POINT, true, &seq(&[&tlv(0x82, &[0xFF])])));
    });
    bend("an entry with a critical extension", &|l| {
        l.entries = vec![entry(&[5], &extension("2a0304", true, &[5, 0]))];
    });
    bend("an entry without a serial number", &|l| {
        l.entries = vec![entry(&[], &[])]
    });
    bend("an entry that is none", &|l| l.entries = vec![tlv(0x04, &[1])]);
    evil(cases)
}
