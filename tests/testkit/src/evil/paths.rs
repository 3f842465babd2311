//! Many CAs that certify one another: what a search for a path may drown in.

use super::{Sign, Template, name};

/// A chain of `length` CAs, each issued by the next, all with one key; leaf first, under `root` (a name in DER).
#[must_use]
pub fn ladder(leaf_issuer: &str, root: &[u8], spki: &[u8], length: usize, sign: &Sign<'_>) -> Vec<Vec<u8>> {
    let named = |step: usize| {
        if step == 0 {
            name(leaf_issuer.as_bytes(), None)
        } else {
            name(format!("Step {step}").as_bytes(), None)
        }
    };
    (0..length)
        .map(|step| {
            let issuer = if step + 1 == length {
                root.to_vec()
            } else {
                named(step + 1)
            };
            Template::ca(&issuer, &named(step), spki, step as u8, None).signed(sign)
        })
        .collect()
}

/// CAs that certify one another in rings: each of `count` names issued by each other one.
#[must_use]
pub fn rings(first: &str, spki: &[u8], count: usize, sign: &Sign<'_>) -> Vec<Vec<u8>> {
    let named = |number: usize| {
        if number == 0 {
            name(first.as_bytes(), None)
        } else {
            name(format!("Ring {number}").as_bytes(), None)
        }
    };
    (0..count)
        .flat_map(|subject| (0..count).map(move |issuer| (subject, issuer)))
        .filter(|(subject, issuer)| subject != issuer)
        .map(|(subject, issuer)| {
            let serial = (subject * count + issuer) as u8;
            Template::ca(&named(issuer), &named(subject), spki, serial, None).signed(sign)
        })
        .collect()
}
