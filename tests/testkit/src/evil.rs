//! Certificates as nobody should make them: one defect each, everything else in order, and properly signed, so that
//! what refuses them has looked at the defect and not at the signature.
//!
//! The kit writes DER by hand: a library that could write these would be broken. Keys stay with the caller, who signs.

use std::fmt;

pub mod der;
mod paths;
mod requests;

pub use paths::{ladder, rings};
pub use requests::{request, requests, wanted_names};

use der::{bits, oid, seq, tlv, unhex};

/// `AlgorithmIdentifier` of ecdsa-with-SHA256, DER.
#[must_use]
pub fn ecdsa_sha256() -> Vec<u8> {
    seq(&[&oid("2a8648ce3d040302")])
}

/// A name with one common name (`UTF8String`) and the domain component, if there is one.
#[must_use]
pub fn name(common_name: &[u8], domain_component: Option<&str>) -> Vec<u8> {
    let mut rdns = vec![rdn("550403", 0x0C, common_name)];
    if let Some(domain) = domain_component {
        rdns.push(rdn("0992268993f22c640119", 0x16, domain.as_bytes()));
    }
    tlv(0x30, &rdns.concat())
}

fn rdn(kind: &str, tag: u8, value: &[u8]) -> Vec<u8> {
    tlv(0x31, &seq(&[&oid(kind), &tlv(tag, value)]))
}

/// An extension.
#[must_use]
pub fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(0x01, &[0xFF]) } else { Vec::new() };
    seq(&[&oid(kind), &critical, &tlv(0x04, value)])
}

/// A certificate as its parts, each DER that the caller may bend.
#[derive(Clone)]
pub struct Template {
    /// `[0] version`; empty for version 1.
    pub version: Vec<u8>,
    /// `serialNumber`.
    pub serial: Vec<u8>,
    /// `signature`, inside what is signed.
    pub inner: Vec<u8>,
    /// `issuer`.
    pub issuer: Vec<u8>,
    /// `validity`.
    pub validity: Vec<u8>,
    /// `subject`.
    pub subject: Vec<u8>,
    /// `subjectPublicKeyInfo`.
    pub spki: Vec<u8>,
    /// Each extension; with none the field is left out.
    pub extensions: Vec<Vec<u8>>,
    /// `signatureAlgorithm`, beside what is signed.
    pub outer: Vec<u8>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").finish_non_exhaustive()
    }
}

/// Signs with ECDSA and SHA-256 on P-256; the signature in DER.
pub type Sign<'a> = dyn Fn(&[u8]) -> Vec<u8> + 'a;

const BASIC: &str = "551d13";
const USAGE: &str = "551d0f";

impl Template {
    /// A leaf of ISO 15118-2 with the key `spki`, valid from 2020 to 2049, issued under `issuer` (a name in DER).
    #[must_use]
    pub fn leaf(issuer: &[u8], common_name: &str, domain: Option<&str>, spki: &[u8], usage: u8) -> Self {
        Self {
            version: tlv(0xA0, &tlv(0x02, &[2])),
            serial: tlv(0x02, &[0x11, 0x22]),
            inner: ecdsa_sha256(),
            issuer: issuer.to_vec(),
            validity: validity("200101000000Z", "491231235959Z"),
            subject: name(common_name.as_bytes(), domain),
            spki: spki.to_vec(),
            extensions: vec![
                extension(BASIC, true, &seq(&[])),
                extension(USAGE, true, &tlv(0x03, &[usage.trailing_zeros() as u8, usage])),
            ],
            outer: ecdsa_sha256(),
        }
    }

    /// A CA with that name. `path` limits the sub-CAs below it.
    #[must_use]
    pub fn ca(issuer: &[u8], subject: &[u8], spki: &[u8], serial: u8, path: Option<u8>) -> Self {
        let path = path.map_or_else(Vec::new, |path| tlv(0x02, &[path]));
        Self {
            serial: tlv(0x02, &[0x33, serial]),
            subject: subject.to_vec(),
            extensions: vec![
                extension(BASIC, true, &seq(&[&tlv(0x01, &[0xFF]), &path])),
                // keyCertSign, cRLSign
                extension(USAGE, true, &tlv(0x03, &[1, 0x06])),
            ],
            ..Self::leaf(issuer, "", None, spki, 0x80)
        }
    }

    /// What is signed.
    #[must_use]
    pub fn tbs(&self) -> Vec<u8> {
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xA3, &tlv(0x30, &self.extensions.concat()))
        };
        seq(&[
            &self.version,
            &self.serial,
            &self.inner,
            &self.issuer,
            &self.validity,
            &self.subject,
            &self.spki,
            &extensions,
        ])
    }

    /// The certificate.
    #[must_use]
    pub fn signed(&self, sign: &Sign<'_>) -> Vec<u8> {
        let tbs = self.tbs();
        seq(&[&tbs, &self.outer, &bits(&sign(&tbs))])
    }
}

fn validity(from: &str, to: &str) -> Vec<u8> {
    seq(&[&tlv(0x17, from.as_bytes()), &tlv(0x17, to.as_bytes())])
}

/// A certificate with one defect.
#[derive(Debug, Clone)]
pub struct Evil {
    /// What is wrong with it.
    pub defect: &'static str,
    /// The octets.
    pub der: Vec<u8>,
}

/// `honest`, bent in every way there is a word for. Each is signed by `sign` where it still has a signature.
#[must_use]
pub fn certificates(honest: &Template, sign: &Sign<'_>) -> Vec<Evil> {
    let mut all = encodings(honest, sign);
    let mut bend = |defect: &'static str, change: &dyn Fn(&mut Template)| {
        let mut template = honest.clone();
        change(&mut template);
        let der = template.signed(sign);
        all.push(Evil { defect, der });
    };
    bend("a common name that is no UTF-8", &|t| {
        t.subject = name(&[0xC3, 0x28, 0xFF], Some("CPO"))
    });
    bend("a NUL in the common name", &|t| {
        t.subject = name(b"good.example\0.evil.example", Some("CPO"));
    });
    bend("a BMPString of odd length", &|t| {
        let domain = rdn("0992268993f22c640119", 0x16, b"CPO");
        t.subject = tlv(0x30, &[rdn("550403", 0x1E, &[0, 0x41, 0]), domain].concat());
    });
    bend("no subject at all", &|t| t.subject = seq(&[]));
    bend("a name of a thousand parts", &|t| {
        t.subject = tlv(0x30, &rdn("55040b", 0x0C, b"unit").repeat(1000));
    });
    bend("a name nested two thousand deep", &|t| {
        t.subject = (0..2000).fold(seq(&[]), |inner, _| tlv(0x30, &inner));
    });
    bend("a year 0", &|t| {
        t.validity = seq(&[&tlv(0x18, b"00000101000000Z"), &tlv(0x17, b"491231235959Z")]);
    });
    bend("an end before the start", &|t| {
        t.validity = validity("491231235959Z", "200101000000Z")
    });
    bend("a thirteenth month", &|t| {
        t.validity = validity("201301000000Z", "491231235959Z")
    });
    bend("a time without its zone", &|t| {
        t.validity = validity("200101000000", "491231235959Z")
    });
    bend("version 1 with extensions", &|t| t.version = Vec::new());
    bend("version 4", &|t| t.version = tlv(0xA0, &tlv(0x02, &[3])));
    bend("a negative serial number", &|t| t.serial = tlv(0x02, &[0x80, 1]));
    bend("a serial number of 21 octets", &|t| {
        t.serial = tlv(0x02, &[0x11; 21])
    });
    bend("a serial number of no octets", &|t| t.serial = tlv(0x02, &[]));
    bend("a serial number with needless zeros", &|t| {
        t.serial = tlv(0x02, &[0, 0, 5])
    });
    bend("another algorithm inside than outside", &|t| {
        t.inner = seq(&[&oid("2a8648ce3d040304")])
    });
    bend("a signature algorithm that is none", &|t| {
        t.inner = seq(&[&oid("2a03")]);
        t.outer = t.inner.clone();
    });
    bend("a point that is not on the curve", &|t| {
        if let Some(last) = t.spki.last_mut() {
            *last ^= 1;
        }
    });
    bend("the point at infinity", &|t| {
        t.spki = spki("2a8648ce3d030107", &[0])
    });
    bend("a point of the wrong length", &|t| {
        t.spki = spki("2a8648ce3d030107", &[4; 64])
    });
    bend("explicit curve parameters", &|t| t.spki = explicit(&t.spki));
    bend("an RSA key of 16384 bits", &|t| t.spki = rsa(2048));
    bend("two thousand alternative names", &|t| {
        t.extensions.push(extension("551d11", false, &names(2000)));
    });
    bend("an extension of a megabyte", &|t| {
        t.extensions
            .push(extension("2a0304", false, &vec![0x41; 1 << 20]));
    });
    bend("an extension twice", &|t| {
        if let Some(first) = t.extensions.first().cloned() {
            t.extensions.push(first);
        }
    });
    bend("a critical extension nobody knows", &|t| {
        t.extensions.push(extension("2a0304", true, &[5, 0]));
    });
    bend("a flag that is neither true nor false", &|t| {
        t.extensions
            .push(seq(&[&oid("2a0304"), &tlv(0x01, &[0x01]), &tlv(0x04, &[5, 0])]));
    });
    bend("a key usage that is no bit string", &|t| {
        replace(t, USAGE, &tlv(0x02, &[1]))
    });
    bend("a key usage with impossible unused bits", &|t| {
        replace(t, USAGE, &tlv(0x03, &[9, 0x80]))
    });
    bend("basic constraints of a CA in a leaf", &|t| {
        replace(t, BASIC, &seq(&[&tlv(0x01, &[0xFF])]));
    });
    bend("a negative path length", &|t| {
        replace(t, BASIC, &seq(&[&tlv(0x01, &[0xFF]), &tlv(0x02, &[0xFF])]));
    });
    all
}

/// What goes wrong around the parts: lengths, encodings, the signature.
fn encodings(honest: &Template, sign: &Sign<'_>) -> Vec<Evil> {
    let good = honest.signed(sign);
    let tbs = honest.tbs();
    let with = |signature: &[u8]| seq(&[&tbs, &honest.outer, signature]);
    let signature = sign(&tbs);
    let mut flipped = signature.clone();
    if let Some(last) = flipped.last_mut() {
        *last ^= 1;
    }
    let mut indefinite = vec![0x30, 0x80];
    indefinite.extend(good.get(4..).unwrap_or_default());
    indefinite.extend([0, 0]);
    let mut lying = vec![0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF];
    lying.extend(good.get(4..).unwrap_or_default());
    let cases: Vec<(&'static str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        (
            "half of it",
            good.get(..good.len() / 2).unwrap_or_default().to_vec(),
        ),
        ("octets behind the end", [&good[..], &[0, 0, 0]].concat()),
        ("an indefinite length (BER)", indefinite),
        ("a length of four gigabytes", lying),
        ("sixty thousand octets of nothing", vec![0x30; 60_000]),
        ("one bit of the signature turned", with(&bits(&flipped))),
        ("an empty signature", with(&bits(&[]))),
        ("a signature of zeros", with(&bits(&unhex("3006020100020100")))),
        (
            "a signature with unused bits",
            with(&tlv(0x03, &[&[3], &signature[..]].concat())),
        ),
    ];
    cases
        .into_iter()
        .map(|(defect, der)| Evil { defect, der })
        .collect()
}

fn replace(template: &mut Template, kind: &str, value: &[u8]) {
    let tag = oid(kind);
    template
        .extensions
        .retain(|extension| !extension.windows(tag.len()).any(|window| window == tag));
    template.extensions.push(extension(kind, true, value));
}

fn spki(curve: &str, point: &[u8]) -> Vec<u8> {
    seq(&[&seq(&[&oid("2a8648ce3d0201"), &oid(curve)]), &bits(point)])
}

/// An RSA key whose modulus has that many octets.
#[must_use]
pub fn rsa(octets: usize) -> Vec<u8> {
    let modulus = tlv(0x02, &[&[0][..], &vec![0xC5; octets]].concat());
    let key = seq(&[&modulus, &tlv(0x02, &[1, 0, 1])]);
    seq(&[&seq(&[&oid("2a864886f70d010101"), &tlv(0x05, &[])]), &bits(&key)])
}

/// The key of `named`, with the curve spelled out: the attack of CVE-2020-0601 is a generator of one's own.
fn explicit(named: &[u8]) -> Vec<u8> {
    let point = named.get(named.len().saturating_sub(65)..).unwrap_or_default();
    let prime = unhex("00ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    let order = unhex("00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let field = seq(&[&oid("2a8648ce3d0101"), &tlv(0x02, &prime)]);
    let curve = seq(&[
        &tlv(
            0x04,
            &unhex("ffffffff00000001000000000000000000000000fffffffffffffffffffffffc"),
        ),
        &tlv(
            0x04,
            &unhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"),
        ),
    ]);
    let parameters = seq(&[
        &tlv(0x02, &[1]),
        &field,
        &curve,
        // Its generator is the key itself: anybody knows the private one, 1.
        &tlv(0x04, point),
        &tlv(0x02, &order),
    ]);
    seq(&[&seq(&[&oid("2a8648ce3d0201"), &parameters]), &bits(point)])
}

fn names(count: usize) -> Vec<u8> {
    let all: Vec<u8> = (0..count)
        .flat_map(|number| tlv(0x82, format!("{number}.example").as_bytes()))
        .collect();
    tlv(0x30, &all)
}

/// A certificate in PEM.
#[must_use]
pub fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        out.push_str(line);
        out.push('\n');
        rest = after;
    }
    out.push_str("-----END CERTIFICATE-----\n");
    out
}
