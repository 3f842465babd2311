//! Enrolment over Secure Transport (RFC 7030), with the paths of the Open Plug & Charge Protocol beside it.
//!
//! A client is known by a certificate of this CA or by a name and a secret; what it may get is the CA's
//! policy. A request is taken once, its key has to be the sender's, and when it is bound to a connection it
//! has to have come over that one.
//!
//! Deliberately absent: keys made here (`serverkeygen` is refused), and issuing past [`Ca::enroll`].

mod answer;
mod body;
pub mod clients;
mod identity;
mod label;
pub mod pending;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_trust::{cms, csr};
use gridlatch_vocab::catalogue::{ca as ca_codes, enrolment, pki};

pub(crate) use self::body::fuzz_body;
use crate::ca::{Ca, CaError, Issued};
use crate::http::{self, Arrival, BodyFault, Protected, Report};
use answer::Fault;
use clients::Clients;
use identity::{Held, Identity, Unknown};
use label::{Desk, OPCP, Wanted};
use pending::{Pending, Verdict, Waiting};

/// What the service stands on.
#[derive(Debug, Clone)]
pub struct Est {
    ca: Ca,
    clients: Arc<Clients>,
    pending: Pending,
    report: Report,
}

/// How long a client waits before it asks again for what a person has to approve, in seconds.
const ASK_AGAIN: u32 = 60;

type Names = Path<BTreeMap<String, String>>;

impl Est {
    /// The service of `ca` for these clients.
    #[must_use]
    pub fn new(ca: Ca, clients: Arc<Clients>, pending: Pending, report: Report) -> Self {
        Self {
            ca,
            clients,
            pending,
            report,
        }
    }

    /// Its paths. They are to be served over TLS: enrolment on a plain connection is refused.
    pub fn router(self) -> Router {
        const EST: &str = "/.well-known/est";
        let mut router = Router::new();
        for base in [EST.to_owned(), format!("{EST}/{{label}}")] {
            router = router
                .route(&format!("{base}/cacerts"), get(cacerts))
                .route(&format!("{base}/csrattrs"), get(csrattrs))
                .route(&format!("{base}/simpleenroll"), post(simpleenroll))
                .route(&format!("{base}/simplereenroll"), post(simplereenroll))
                .route(&format!("{base}/serverkeygen"), post(serverkeygen));
        }
        // The protocol's own place, and where MaEVe and CitrineOS look for it below their base address.
        for base in [EST, "/.well-known", "/est", ""] {
            for word in OPCP {
                let word = WithWord(word);
                let path = format!("{base}/{}", word.0);
                router = router
                    .route(
                        &format!("{path}/cacerts/{{iso}}"),
                        get(move |s, n: Names| cacerts(s, word.add(n))),
                    )
                    .route(
                        &format!("{path}/cacerts/{{iso}}/{{curve}}"),
                        get(move |s, n: Names| cacerts(s, word.add(n))),
                    )
                    .route(
                        &format!("{path}/cacerts/{{iso}}/{{curve}}/"),
                        get(move |s, n: Names| cacerts(s, word.add(n))),
                    )
                    .route(
                        &format!("{path}/simpleenroll/{{iso}}"),
                        post(move |s, a, n: Names, r: Request| simpleenroll(s, a, word.add(n), r)),
                    )
                    .route(
                        &format!("{path}/simplereenroll/{{iso}}"),
                        post(move |s, a, n: Names, r: Request| simplereenroll(s, a, word.add(n), r)),
                    );
                if base != EST {
                    router = router
                        .route(
                            &format!("{path}/cacerts"),
                            get(move |s, n: Names| cacerts(s, word.add(n))),
                        )
                        .route(
                            &format!("{path}/simpleenroll"),
                            post(move |s, a, n: Names, r: Request| simpleenroll(s, a, word.add(n), r)),
                        )
                        .route(
                            &format!("{path}/simplereenroll"),
                            post(move |s, a, n: Names, r: Request| simplereenroll(s, a, word.add(n), r)),
                        );
                }
            }
        }
        router.with_state(self)
    }

    fn refuse(&self, arrival: &Arrival, fault: &Fault) {
        self.report
            .refused(fault.code, arrival.address, fault.message.clone());
    }
}

/// The word of a path that is written out there.
#[derive(Clone, Copy)]
struct WithWord(&'static str);

impl WithWord {
    fn add(self, Path(mut names): Names) -> Names {
        names.insert("label".to_owned(), self.0.to_owned());
        Path(names)
    }
}

/// What a path asks for; more than one where it leaves the curve open.
fn wanted(names: &BTreeMap<String, String>) -> Option<Vec<Wanted>> {
    let text = |name: &str| names.get(name).map(String::as_str);
    match (text("label"), text("iso")) {
        (None, _) => Some(vec![Wanted::DEFAULT]),
        (Some(label), None) => Wanted::from_label(label).map(|wanted| vec![wanted]),
        (Some(label), Some(iso)) => Wanted::from_opcp(label, Some(iso), text("curve")),
    }
}

/// RFC 7030, 4.1: the CAs above what a label issues, with their roots. Public.
async fn cacerts(State(est): State<Est>, Path(names): Names) -> Response {
    let Some(wanted) = wanted(&names) else {
        return Fault::unknown_label().response();
    };
    let mut certificates: Vec<Vec<u8>> = Vec::new();
    for desk in wanted.iter().flat_map(|wanted| wanted.desks()) {
        // A tree that was not set up here is none.
        let (Ok(chain), Ok(root)) = (est.ca.chain(&desk.authority), est.ca.root_of(&desk.authority)) else {
            continue;
        };
        for der in chain.into_iter().chain([root.der.clone()]) {
            if !certificates.contains(&der) {
                certificates.push(der);
            }
        }
    }
    if certificates.is_empty() {
        return Fault::unknown_label().response();
    }
    certs_only(&certificates)
}

/// RFC 7030, 4.5: which keys and signatures a request may have. Public.
async fn csrattrs(State(est): State<Est>, Path(names): Names) -> Response {
    let algorithms = wanted(&names).map(|wanted| {
        let open = wanted
            .iter()
            .flat_map(|wanted| wanted.desks().into_iter().zip(wanted.algorithms()));
        open.filter(|(desk, _)| est.ca.authority(&desk.authority).is_ok())
            .map(|(_, algorithm)| algorithm)
            .collect::<Vec<_>>()
    });
    match algorithms.filter(|algorithms| !algorithms.is_empty()) {
        Some(algorithms) => answer::csrattrs(&algorithms),
        None => Fault::unknown_label().response(),
    }
}

/// RFC 7030, 4.4: off.
async fn serverkeygen(State(est): State<Est>, Extension(arrival): Extension<Arrival>) -> Response {
    let fault = Fault::key_generation_off();
    est.refuse(&arrival, &fault);
    fault.response()
}

/// RFC 7030, 4.2.1: a first certificate.
async fn simpleenroll(
    State(est): State<Est>,
    Extension(arrival): Extension<Arrival>,
    Path(names): Names,
    request: Request,
) -> Response {
    let result = enroll(&est, &arrival, &names, request).await;
    finish(&est, &arrival, result)
}

/// RFC 7030, 4.2.2: another certificate for a holder, under the same name.
async fn simplereenroll(
    State(est): State<Est>,
    Extension(arrival): Extension<Arrival>,
    Path(names): Names,
    request: Request,
) -> Response {
    let result = reenroll(&est, &arrival, &names, request).await;
    finish(&est, &arrival, result)
}

fn finish(est: &Est, arrival: &Arrival, result: Result<Issued, Fault>) -> Response {
    match result {
        // RFC 7030, 4.2.3: the certificate alone; the ones above it are asked for with cacerts.
        Ok(issued) => certs_only(&[issued.der]),
        Err(fault) => {
            est.refuse(arrival, &fault);
            fault.response()
        }
    }
}

async fn enroll(
    est: &Est,
    arrival: &Arrival,
    names: &BTreeMap<String, String>,
    request: Request,
) -> Result<Issued, Fault> {
    let tls = arrival.tls.as_ref().ok_or_else(Fault::unprotected)?;
    let wanted = wanted(names).ok_or_else(Fault::unknown_label)?;
    let identity = identity::identify(&est.ca, &est.clients, request.headers(), &tls.chain)
        .await
        .map_err(Fault::unknown)?;
    let (der, asked) = read(est, request, tls).await?;
    let desk = wanted
        .iter()
        .find_map(|wanted| wanted.desk_for(asked.algorithm))
        .ok_or_else(Fault::wrong_key)?;
    let id = supervise(est, &identity, &desk, &asked, &der)?;
    let issued = est
        .ca
        .enroll_read(asked, &der, &desk.authority, desk.profile, identity.requester)
        .await
        .map_err(Fault::from_ca)?;
    if let Some(id) = id {
        est.pending.used(&id);
    }
    Ok(issued)
}

async fn reenroll(
    est: &Est,
    arrival: &Arrival,
    names: &BTreeMap<String, String>,
    request: Request,
) -> Result<Issued, Fault> {
    let tls = arrival.tls.as_ref().ok_or_else(Fault::unprotected)?;
    let wanted = wanted(names).ok_or_else(Fault::unknown_label)?;
    let nothing = |message| Fault::new(403, enrolment::NOTHING_TO_RENEW, message);
    let held = match identity::held(&est.ca, &tls.chain).await {
        Ok(held) => held,
        Err(Unknown::Nothing) => {
            return Err(nothing(
                "show the certificate that is to be renewed as client certificate",
            ));
        }
        Err(Unknown::Refused(_, message)) => return Err(nothing(message)),
        Err(unknown) => return Err(Fault::unknown(unknown)),
    };
    let (der, asked) = read(est, request, tls).await?;
    if !identity::same_names(&held.parsed, &der, &asked) {
        return Err(Fault::new(
            403,
            enrolment::OTHER_SUBJECT,
            "the request's subject or alternative names are not those of the client's certificate [RFC 7030 4.2.2]",
        ));
    }
    let desk = renewing_desk(&held, &wanted)
        .ok_or_else(|| nothing("the client's certificate is not of the kind this path renews"))?;
    let requester = identity::renewer(&held)
        .ok_or_else(|| nothing("a certificate of this kind is not renewed by its holder"))?;
    est.ca
        .enroll_read(asked, &der, &desk.authority, desk.profile, requester)
        .await
        .map_err(Fault::from_ca)
}

/// Whoever issued the certificate issues it again, if the path is about this kind; the path without a
/// label is about any.
fn renewing_desk(held: &Held, wanted: &[Wanted]) -> Option<Desk> {
    let kind = held.record.kind?;
    let fits = wanted == [Wanted::DEFAULT]
        || wanted
            .iter()
            .flat_map(|wanted| wanted.desks())
            .any(|desk| desk.profile.kind == kind && desk.authority == held.record.authority);
    let world = crate::ca::World::from_folder(held.record.authority.split_once('/')?.0)?;
    fits.then(|| Desk {
        authority: held.record.authority.clone(),
        profile: world.profile(kind),
    })
}

/// Files a request of a supervised client; the id of one that was approved.
fn supervise(
    est: &Est,
    identity: &Identity,
    desk: &Desk,
    asked: &csr::Csr,
    der: &[u8],
) -> Result<Option<String>, Fault> {
    if !identity.supervised {
        return Ok(None);
    }
    let name = asked.subject.common_name.clone().unwrap_or_default();
    let waiting = Waiting {
        id: pending::id(der),
        authority: desk.authority.clone(),
        kind: desk.profile.kind.slug().to_owned(),
        label: if desk.profile.kind.is_personal() {
            format!("{}…", name.chars().take(2).collect::<String>())
        } else {
            name
        },
        requester: identity.requester.label(),
        since: gridlatch_host::now(),
    };
    match est.pending.judge(&waiting) {
        Ok(Verdict::Approved) => Ok(Some(waiting.id)),
        Ok(Verdict::Waits) => Err(Fault::pending(&waiting.id)),
        Ok(Verdict::Denied) => Err(Fault::new(
            403,
            enrolment::REQUEST_REFUSED,
            "the person who looks at this client's requests refused this one",
        )),
        Ok(Verdict::Full) => Err(Fault::new(
            503,
            enrolment::PENDING,
            "too many requests wait for approval already",
        )
        .ask_again(ASK_AGAIN)),
        Err(_) => Err(Fault::new(
            503,
            ca_codes::STORE_FAILED,
            "the request could not be filed for approval",
        )),
    }
}

/// Reads a request: bounded, of the right type, signed by its own key, bound to this connection or to none.
async fn read(est: &Est, request: Request, tls: &Protected) -> Result<(Vec<u8>, csr::Csr), Fault> {
    let pkcs10 = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let kind = value.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/pkcs10")
        });
    if !pkcs10 {
        return Err(Fault::new(
            415,
            enrolment::NOT_A_REQUEST,
            "the content type has to be application/pkcs10",
        ));
    }
    let body = http::body(request.into_body(), body::MAX_BODY)
        .await
        .map_err(Fault::body)?;
    let der = body::decode(&body).ok_or_else(|| {
        Fault::new(
            400,
            enrolment::NOT_A_REQUEST,
            "the body is not Base64 of a PKCS#10 request",
        )
    })?;
    let asked = est.ca.read_request(&der).await.map_err(|error| match error {
        CaError::Csr(error) => Fault::new(400, error.code(), format!("the request is refused: {error}")),
        other => Fault::from_ca(other),
    })?;
    if let Some(challenge) = &asked.challenge {
        // RFC 7030, 3.5: whoever binds a request to a connection wants it refused on any other.
        let bound = tls
            .bindings
            .iter()
            .any(|binding| STANDARD.encode(binding) == *challenge);
        if !bound {
            return Err(Fault::new(
                403,
                enrolment::OTHER_CONNECTION,
                "the challenge password is not the binding of this connection",
            ));
        }
    }
    Ok((der, asked))
}

fn certs_only(certificates: &[Vec<u8>]) -> Response {
    match cms::certs_only(certificates) {
        Ok(der) => answer::pkcs7(&der),
        Err(_) => Fault::new(500, pki::STORE_DAMAGED, "a stored certificate cannot be read").response(),
    }
}
