//! Who signs contract data: the provisioning service's certificates, for both dialects.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use gridlatch_trust::{Generation, certificate};
use serde_json::{Value, json};

use crate::pools::access::{Caller, Role};
use crate::pools::answer::{Answer, Refused};
use crate::pools::contract::root_id;
use crate::pools::root::distinguished_name;
use crate::pools::{Dialect, Pools, input};
use crate::provisioning::ProvisioningError;
use crate::provisioning::trust::fingerprint;

pub(in crate::pools) async fn signers(caller: Caller, State(pools): State<Pools>) -> Answer {
    let listed = all_signers(&pools, &caller, Dialect::Opcp).await?;
    Ok(Json(json!({"cpsCertificates": listed})).into_response())
}

pub(in crate::pools) async fn signers_opnc(caller: Caller, State(pools): State<Pools>) -> Answer {
    let listed = all_signers(&pools, &caller, Dialect::Opnc).await?;
    Ok(Json(json!({"cpsCertificateDataCollection": listed})).into_response())
}

async fn all_signers(pools: &Pools, caller: &Caller, dialect: Dialect) -> Result<Vec<Value>, Refused> {
    caller
        .must_be(&[Role::Mo, Role::Admin])
        .map_err(|refused| refused.told(pools))?;
    let authority = std::sync::Arc::clone(pools.provisioner.authority());
    let found = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        for generation in [Generation::Iso2, Generation::Iso20] {
            all.extend(
                authority
                    .cps(generation)?
                    .into_iter()
                    .map(|signer| (generation, signer)),
            );
        }
        Ok::<_, ProvisioningError>(all)
    })
    .await
    .map_err(|_| ProvisioningError::stopped())??;
    let mut out = Vec::with_capacity(found.len());
    for (generation, signer) in found {
        let leaf = signer.chain.first().map_or(&[][..], Vec::as_slice);
        let summary = certificate::summary(leaf).map_err(|error| Refused::bad(error.to_string()))?;
        let certificates: Vec<String> = signer.chain.iter().map(|der| input::text(der)).collect();
        let part = |index: usize| certificates.get(index).cloned().unwrap_or_default();
        let (sub2, sub1) = if certificates.len() > 2 {
            (part(1), part(2))
        } else {
            (String::new(), part(1))
        };
        let name = distinguished_name(leaf);
        let root = distinguished_name(&signer.root);
        let common = json!({
            "cpsDistinguishedName": name,
            "validFrom": summary.not_before.to_rfc3339(),
            "validTo": summary.not_after.to_rfc3339(),
            "organizationName": summary.subject_o.unwrap_or_default(),
        });
        let more = match dialect {
            Dialect::Opcp => json!({
                "cpsCertificate": part(0),
                "cpsCa2Certificate": sub2,
                "cpsCa1Certificate": sub1,
                "cpsRootCertificateId": root_id(pools, &fingerprint(&signer.root)).await?,
                "cpsRootDistinguishedName": root,
            }),
            Dialect::Opnc => json!({
                "cpsCertificateChain": {"certificate": part(0), "subCa2Certificate": sub2, "subCa1Certificate": sub1},
                "cpsV2GRootCertificateFingerprint": fingerprint(&signer.root),
                "cpsV2GRootDistinguishedName": root,
                "xsdMsgDefNamespace": input::namespace(generation),
            }),
        };
        let mut value = common;
        if let (Some(fields), Value::Object(more)) = (value.as_object_mut(), more) {
            fields.extend(more);
        }
        out.push(value);
    }
    Ok(out)
}
