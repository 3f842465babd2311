//! The root certificate pool.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gridlatch_session::evcc::raw_signature;
use gridlatch_store::PoolRoot;
use gridlatch_trust::{Generation, KeyAlgorithm, certificate};
use gridlatch_vocab::catalogue::pools as codes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{Caller, Role};
use super::answer::{Answer, Refused};
use super::{Dialect, Pools, hook, input};
use crate::provisioning::RootKind;
use crate::provisioning::conclude::{choose, subject_key_id};

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(rename = "rootType")]
    root_type: Option<String>,
    #[serde(rename = "pkiType")]
    pki_type: Option<String>,
}

pub(super) async fn all(_: Caller, State(pools): State<Pools>, Query(filter): Query<Filter>) -> Answer {
    list(&pools, Dialect::Opcp, filter.root_type).await
}

pub(super) async fn all_opnc(_: Caller, State(pools): State<Pools>, Query(filter): Query<Filter>) -> Answer {
    list(&pools, Dialect::Opnc, filter.pki_type).await
}

async fn list(pools: &Pools, dialect: Dialect, kind: Option<String>) -> Answer {
    let kind = kind
        .map(|text| {
            kind_of(&text)
                .ok_or_else(|| Refused::bad("the kind of root is none of mo (emsp), v2g, oem and pe"))
        })
        .transpose()?;
    let roots = pools
        .provisioner
        .store()
        .pool_roots(kind.map(RootKind::as_str))
        .await?;
    let listed: Vec<Value> = roots.iter().map(|root| described(root, dialect)).collect();
    Ok(Json(match dialect {
        Dialect::Opcp => json!({"RootCertificateCollection": {"rootCertificates": listed}}),
        Dialect::Opnc => json!({"rootCertificateCollection": listed}),
    })
    .into_response())
}

pub(super) async fn one(_: Caller, State(pools): State<Pools>, Path(id): Path<String>) -> Answer {
    let root = find(&pools, &id).await?;
    Ok(Json(json!({"RootResponse": described(&root, Dialect::Opcp)})).into_response())
}

/// The published description of the answer spells its field `roootCertificate`.
pub(super) async fn one_opnc(_: Caller, State(pools): State<Pools>, Path(id): Path<String>) -> Answer {
    let root = find(&pools, &id).await?;
    let described = described(&root, Dialect::Opnc);
    Ok(Json(json!({"roootCertificate": described, "rootCertificate": described})).into_response())
}

async fn find(pools: &Pools, id: &str) -> Result<PoolRoot, Refused> {
    pools
        .provisioner
        .store()
        .pool_root(id)
        .await?
        .ok_or_else(|| Refused::absent("Root certificate with the given ID is not found"))
}

#[derive(Deserialize)]
struct NewRoot {
    #[serde(rename = "caCertificate")]
    certificate: String,
    #[serde(rename = "rootType")]
    kind: Option<String>,
    #[serde(rename = "rootTypeList", default)]
    kinds: Vec<String>,
}

pub(super) async fn save(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let saved = async {
        caller.must_be(&[Role::Admin])?;
        let new: NewRoot = input::json(body).await?;
        let der = input::certificate(&new.certificate, "caCertificate")?;
        let names: Vec<&String> = new.kind.iter().chain(&new.kinds).take(4).collect();
        let kinds = names
            .into_iter()
            .map(|name| kind_of(name).ok_or_else(|| Refused::bad("rootType : must be MO, V2G, OEM or PE")))
            .collect::<Result<Vec<_>, _>>()?;
        if kinds.is_empty() {
            return Err(Refused::bad("rootType : is missing"));
        }
        let mut ids = Vec::new();
        for kind in kinds {
            let added = pools.provisioner.add_root(kind, &der, &caller.id).await?;
            if added.new {
                pools.provisioner.emit(
                    codes::ROOT_ADDED,
                    format!("{} added a root of kind {}", caller.id, kind.as_str()),
                );
                let root = find(&pools, &added.id).await?;
                hook::root_added(&pools, &root).await?;
            }
            ids.push(added.id);
        }
        Ok(ids)
    };
    let ids: Vec<String> = saved.await.map_err(|refused: Refused| refused.told(&pools))?;
    Ok(Json(json!({"rootCertificateId": ids.first(), "rootCertificateIds": ids})).into_response())
}

pub(super) async fn remove(caller: Caller, State(pools): State<Pools>, Path(id): Path<String>) -> Answer {
    caller
        .must_be(&[Role::Admin])
        .map_err(|refused| refused.told(&pools))?;
    if !pools.provisioner.store().pool_root_remove(&id).await? {
        return Err(Refused::absent("Root certificate with the given ID is not found"));
    }
    pools
        .provisioner
        .emit(codes::ROOT_REMOVED, format!("{} removed a root", caller.id));
    Ok(Json(json!({})).into_response())
}

/// Link certificates between roots of the pool. The protocols have no word for them, and who reads
/// `rootCertificates` takes each for an anchor: they are never listed there.
pub(super) async fn links(_: Caller, State(pools): State<Pools>) -> Answer {
    linked(&pools, None).await
}

/// Those that one root has signed or is the subject of.
pub(super) async fn links_of(_: Caller, State(pools): State<Pools>, Path(id): Path<String>) -> Answer {
    let root = find(&pools, &id).await?;
    linked(&pools, Some(&root.fingerprint)).await
}

async fn linked(pools: &Pools, of: Option<&str>) -> Answer {
    let links = described_links(pools, of).await?;
    Ok(Json(json!({"linkCertificates": links})).into_response())
}

/// Those that are valid now, each with the ids of the two roots.
async fn described_links(pools: &Pools, of: Option<&str>) -> Result<Vec<Value>, Refused> {
    let store = pools.provisioner.store();
    let (links, roots) = (store.pool_links(of).await?, store.pool_roots(None).await?);
    let id = |fingerprint: &str| {
        roots
            .iter()
            .find(|root| root.fingerprint == fingerprint)
            .map(|root| root.id.clone())
    };
    let now = pools.provisioner.now();
    Ok(links
        .iter()
        .filter_map(|link| Some((link, certificate::summary(&link.der).ok()?)))
        .filter(|(_, summary)| (summary.not_before..=summary.not_after).contains(&now))
        .map(|(link, summary)| {
            json!({
                "linkCertificate": input::text(&link.der),
                "issuerRootCertificateId": id(&link.issuer), "issuerFingerprint": link.issuer,
                "subjectRootCertificateId": id(&link.subject), "subjectFingerprint": link.subject,
                "validFrom": summary.not_before.to_rfc3339(), "validTo": summary.not_after.to_rfc3339(),
            })
        })
        .collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLink {
    #[serde(rename = "linkCertificate")]
    certificate: String,
}

pub(super) async fn save_link(caller: Caller, State(pools): State<Pools>, body: Body) -> Answer {
    let saved = async {
        caller.must_be(&[Role::Admin])?;
        let new: NewLink = input::json(body).await?;
        let der = input::certificate(&new.certificate, "linkCertificate")?;
        Ok(pools.provisioner.add_link(&der, &caller.id).await?)
    };
    let link = saved.await.map_err(|refused: Refused| refused.told(&pools))?;
    Ok(Json(json!({"issuerFingerprint": link.issuer, "subjectFingerprint": link.subject})).into_response())
}

/// The trust list: every root, signed by the provisioning service as a JWS (RFC 7515) with its chain. The
/// protocol leaves form and signer open.
pub(super) async fn trust_list(_: Caller, State(pools): State<Pools>) -> Answer {
    let roots = pools.provisioner.store().pool_roots(None).await?;
    let now = pools.provisioner.now();
    let listed: Vec<Value> = roots
        .iter()
        .map(|root| json!({"rootType": root.kind, "fingerprint": root.fingerprint, "caCertificate": input::text(&root.der)}))
        .collect();
    let links = described_links(&pools, None).await?;
    let payload =
        json!({"issuedAt": now.to_rfc3339(), "rootCertificates": listed, "linkCertificates": links});
    let authority = std::sync::Arc::clone(pools.provisioner.authority());
    let (signer, token) = tokio::task::spawn_blocking(move || {
        let signer = choose(&*authority, Generation::Iso2, None)?;
        let (name, width) = match signer.key.algorithm() {
            KeyAlgorithm::P256 => ("ES256", 32),
            KeyAlgorithm::P521 => ("ES512", 66),
            KeyAlgorithm::Ed448 => ("EdDSA", 0),
        };
        let chain: Vec<String> = signer.chain.iter().map(|der| input::text(der)).collect();
        let header = json!({"alg": name, "x5c": chain});
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(payload.to_string())
        );
        let signature = signer
            .key
            .sign(signed.as_bytes())
            .map_err(crate::PkiError::from)?;
        let signature = if width == 0 {
            signature
        } else {
            raw_signature(&signature, width).unwrap_or_default()
        };
        Ok::<_, crate::provisioning::ProvisioningError>((
            signer,
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)),
        ))
    })
    .await
    .map_err(|_| crate::provisioning::ProvisioningError::stopped())??;
    Ok(Json(json!({
        "signerCertificate": input::text(signer.chain.first().map_or(&[], Vec::as_slice)),
        "timeStamp": now.to_rfc3339(),
        "CTL": {"jws": token, "rootCertificates": listed, "linkCertificates": links},
    }))
    .into_response())
}

/// The kinds as both protocols spell them.
fn kind_of(text: &str) -> Option<RootKind> {
    if text.eq_ignore_ascii_case("emsp") {
        Some(RootKind::Mo)
    } else {
        RootKind::parse(text)
    }
}

fn described(root: &PoolRoot, dialect: Dialect) -> Value {
    let mut value = json!({
        "rootCertificateId": root.id,
        "caCertificate": input::text(&root.der),
        "rootType": root.kind,
        "fingerprint": root.fingerprint,
        "rootAuthorityKeyIdentifier": input::text(&subject_key_id(&root.der)),
        "distinguishedName": distinguished_name(&root.der),
    });
    if let (Ok(summary), Some(fields)) = (certificate::summary(&root.der), value.as_object_mut()) {
        fields.insert("commonName".into(), summary.subject_cn.into());
        fields.insert(
            "organizationName".into(),
            summary.subject_o.unwrap_or_default().into(),
        );
        fields.insert(
            "rootIssuerSerialNumber".into(),
            summary.serial_hex.to_ascii_lowercase().into(),
        );
        fields.insert("validFrom".into(), summary.not_before.to_rfc3339().into());
        fields.insert("validTo".into(), summary.not_after.to_rfc3339().into());
        if dialect == Dialect::Opnc {
            let kind = if root.kind == "MO" { "eMSP" } else { &root.kind };
            fields.insert("rootTypeList".into(), json!([kind]));
        }
    }
    value
}

/// `CN=.., DC=.., O=.., C=..`, as the protocols' patterns want it.
pub(super) fn distinguished_name(der: &[u8]) -> String {
    let Ok(parsed) = certificate::parse(der) else {
        return String::new();
    };
    let names = certificate::names(&parsed.tbs_certificate.subject);
    let clean = |text: String| text.replace([',', '='], " ");
    [
        ("CN", names.common_name),
        ("DC", names.domain_component),
        ("O", names.organization),
        ("C", country(&parsed.tbs_certificate.subject)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(format!("{name}={}", clean(value?))))
    .collect::<Vec<_>>()
    .join(", ")
}

fn country(name: &x509_cert::name::Name) -> Option<String> {
    let attribute = name
        .0
        .iter()
        .flat_map(|part| part.0.iter())
        .find(|attribute| attribute.oid == const_oid::db::rfc4519::COUNTRY_NAME)?;
    core::str::from_utf8(attribute.value.value())
        .ok()
        .filter(|text| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()))
        .map(str::to_owned)
}
