//! Answering a vehicle.

use gridlatch_session::provisioning::{
    Action, Answer, InstallationRequest, Refusal, RootId, SignedContract, refuse,
};
use gridlatch_store::{PoolContract, PoolVehicle};
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::provisioning as codes;
use gridlatch_vocab::{Emaid, Personal};
use sha2::{Digest as _, Sha256};

use super::trust::{fingerprint, summary};
use super::{
    Installed, Order, Provisioner, ProvisioningError, RootKind, session_generation, stored_generation,
};

/// How long a request for an update gets the same answer again, seconds: a station may have lost the first one.
/// Longer than any charging session waits; after that the request is a replay.
const REPEATED: i64 = 3_600;
/// Who owns vehicles and contracts that came about on demand.
const ON_DEMAND: &str = "on-demand";

pub(super) async fn answer(
    this: &Provisioner,
    generation: Generation,
    action: Action,
    exi: &[u8],
) -> Result<Installed, ProvisioningError> {
    let request = InstallationRequest::decode(session_generation(generation), action, exi)?;
    let answered = match action {
        Action::Install => install(this, generation, &request).await,
        Action::Update => update(this, generation, &request, exi).await,
    };
    let found = answered.map_err(|error| {
        let exi = refuse(
            session_generation(generation),
            action,
            &request.session,
            error.refusal(),
            this.now(),
        );
        error.telling(exi.ok())
    })?;
    let exi = found
        .signed
        .encode(action, &request.session, found.remaining, this.now())?;
    this.emit(
        codes::CONTRACT_DELIVERED,
        format!(
            "a contract of {generation} for a vehicle, {} more waiting",
            found.remaining
        ),
    );
    Ok(Installed {
        exi,
        emaid: found.emaid,
        pcid: found.pcid,
        remaining: found.remaining,
        cps_root: found.cps_root,
    })
}

/// A contract to be delivered.
struct Found {
    signed: SignedContract,
    emaid: Personal<Emaid>,
    pcid: Personal<String>,
    remaining: u8,
    cps_root: String,
}

async fn install(
    this: &Provisioner,
    generation: Generation,
    request: &InstallationRequest,
) -> Result<Found, ProvisioningError> {
    request.verify()?;
    let leaf = request.leaf();
    let pcid = summary(leaf, "the provisioning certificate")?.subject_cn;
    let known = this
        .store
        .pool_vehicle(&pcid, Some(stored_generation(generation)))
        .await?;
    // ISO 15118-2 vehicles send the leaf alone; the manufacturer's sub-CAs come from the pool.
    let mut chain = request.chain.clone();
    let helpers = known.iter().flat_map(|vehicle| vehicle.chain.iter().skip(1));
    for helper in helpers.chain(&this.settings.intermediates) {
        if chain.len() < gridlatch_trust::verdict::MAX_SENT && !chain.contains(helper) {
            chain.push(helper.clone());
        }
    }
    this.judge_vehicle(&chain, generation).await?;
    match &known {
        Some(vehicle) if vehicle.fingerprint == fingerprint(leaf) => {}
        Some(_) => {
            return Err(ProvisioningError::new(
                codes::VEHICLE_UNKNOWN,
                Refusal::NoContract,
                "the pool holds another provisioning certificate for this vehicle",
            ));
        }
        None => on_demand(this, generation, &pcid, chain).await?,
    }
    let contracts = waiting(this, generation, &pcid, request).await?;
    let remaining = u8::try_from(contracts.len().saturating_sub(1))
        .unwrap_or(u8::MAX)
        .min(request.maximum.saturating_sub(1));
    let chosen = contracts.into_iter().next().ok_or_else(|| {
        ProvisioningError::new(
            codes::NO_CONTRACT,
            Refusal::NoContract,
            "there is no valid contract for this vehicle under a V2G root it knows",
        )
    })?;
    let signed = stored(&chosen, generation)?;
    Ok(Found {
        signed,
        emaid: emaid_of(&chosen)?,
        pcid: chosen.pcid,
        remaining,
        cps_root: chosen.cps_root,
    })
}

/// Publishes a vehicle nobody has published and makes its contract, where that is allowed.
async fn on_demand(
    this: &Provisioner,
    generation: Generation,
    pcid: &str,
    chain: Vec<Vec<u8>>,
) -> Result<(), ProvisioningError> {
    let Some(emaid) = this.settings.on_demand.as_ref().and_then(|offer| offer(pcid)) else {
        return Err(ProvisioningError::new(
            codes::VEHICLE_UNKNOWN,
            Refusal::NoContract,
            "this vehicle's provisioning certificate is in no pool",
        ));
    };
    let leaf = chain.first().cloned().unwrap_or_default();
    this.publish_vehicle(PoolVehicle {
        pcid: Personal::new(pcid.to_owned()),
        generation: stored_generation(generation).to_owned(),
        owner: ON_DEMAND.to_owned(),
        fingerprint: fingerprint(&leaf),
        chain,
        roots: Vec::new(),
        previous: None,
        at: this.now(),
    })
    .await?;
    let order = Order {
        owner: ON_DEMAND.to_owned(),
        pcid: Personal::new(pcid.to_owned()),
        emaid: Personal::new(emaid),
        generation,
        not_before: None,
        not_after: None,
        cps_root: None,
    };
    this.conclude(order).await.map(drop)
}

/// The contracts that may be delivered now, in order: valid, under a V2G root the vehicle names, and those it
/// prefers first.
async fn waiting(
    this: &Provisioner,
    generation: Generation,
    pcid: &str,
    request: &InstallationRequest,
) -> Result<Vec<PoolContract>, ProvisioningError> {
    let known = known_roots(this, &request.roots).await?;
    let mut contracts = this
        .store
        .pool_contracts_of(pcid, Some(stored_generation(generation)))
        .await?;
    let now = this.now();
    contracts.retain(|contract| contract.not_after > now && known.contains(&contract.cps_root));
    if generation == Generation::Iso20 && !request.emaids.is_empty() {
        let place = |contract: &PoolContract| {
            request
                .emaids
                .iter()
                .position(|wanted| same_contract(wanted.reveal(), contract.emaid.reveal()))
                .unwrap_or(usize::MAX)
        };
        contracts.sort_by_key(place);
    }
    Ok(contracts)
}

/// Fingerprints of the pool's V2G roots that the vehicle names. It names them by issuer and serial number; the
/// spelling of the issuer differs between implementations, the number does not.
async fn known_roots(this: &Provisioner, named: &[RootId]) -> Result<Vec<String>, ProvisioningError> {
    let roots = this.anchors(&[RootKind::V2g]).await?;
    Ok(roots
        .iter()
        .filter(|root| {
            certificate::summary(root).is_ok_and(|summary| {
                i64::from_str_radix(&summary.serial_hex, 16)
                    .is_ok_and(|serial| named.iter().any(|one| one.serial == serial))
            })
        })
        .map(|root| fingerprint(root))
        .collect())
}

async fn update(
    this: &Provisioner,
    generation: Generation,
    request: &InstallationRequest,
    exi: &[u8],
) -> Result<Found, ProvisioningError> {
    request.verify()?;
    let leaf = request.leaf();
    this.judge(
        &request.chain,
        &[RootKind::Mo, RootKind::V2g],
        generation,
        Kind::ContractLeaf,
    )
    .await?;
    let emaid = certificate::emaid_of(leaf).map_err(|error| {
        ProvisioningError::new(codes::REQUEST_MALFORMED, Refusal::Chain, error.to_string())
    })?;
    let named = request.emaids.first().map_or("", |emaid| emaid.reveal().as_str());
    if !same_contract(named, emaid.reveal().as_str()) {
        return Err(ProvisioningError::new(
            codes::CERTIFICATE_REFUSED,
            Refusal::Chain,
            "the contract id in the request is not the one in its certificate",
        ));
    }
    let standing = this
        .store
        .pool_contract(emaid.reveal().as_str(), Some(stored_generation(generation)))
        .await?;
    let known = known_roots(this, &request.roots).await?;
    let standing = standing
        .into_iter()
        .find(|contract| known.contains(&contract.cps_root))
        .ok_or_else(|| {
            ProvisioningError::new(
                codes::NO_CONTRACT,
                Refusal::Cancelled,
                "this contract is no longer in the pool, or is signed for a V2G root the vehicle does not know",
            )
        })?;
    let digest = hex::encode(Sha256::digest(exi));
    let found = |signed, standing: PoolContract| Found {
        signed,
        emaid: emaid.clone(),
        pcid: standing.pcid,
        remaining: 0,
        cps_root: standing.cps_root,
    };
    if let Some(signed) = answered(this, generation, &digest).await? {
        return Ok(found(signed, standing));
    }
    let order = Order {
        owner: standing.owner.clone(),
        pcid: standing.pcid.clone(),
        emaid: emaid.clone(),
        generation,
        not_before: None,
        not_after: None,
        cps_root: Some(standing.cps_root.clone()),
    };
    let until = summary(leaf, "the contract certificate")?.not_after;
    let (signed, _) = this.make(&order, leaf.to_vec()).await?;
    let message = signed.encode(Action::Install, &[0; 8], 0, this.now())?;
    if this
        .store
        .pool_update_put(&digest, &message, this.now(), until)
        .await?
    {
        return Ok(found(signed, standing));
    }
    // The same request came twice at once: the answer that was kept first is the answer.
    let first = answered(this, generation, &digest).await?;
    Ok(found(first.unwrap_or(signed), standing))
}

/// What a request for an update was answered with, if it was. A repetition soon after has lost its answer on the
/// way; one that comes later is a replay.
async fn answered(
    this: &Provisioner,
    generation: Generation,
    digest: &str,
) -> Result<Option<SignedContract>, ProvisioningError> {
    let Some(known) = this.store.pool_update(digest).await? else {
        return Ok(None);
    };
    if this.now().0 - known.at.0 > time::Duration::seconds(REPEATED) {
        return Err(ProvisioningError::new(
            codes::REQUEST_REPLAYED,
            Refusal::Failed,
            format!("this request was answered at {}", known.at.to_rfc3339()),
        ));
    }
    decoded(&known.message, generation).map(Some)
}

/// Signed contract data as the pool keeps it.
pub(crate) fn stored(
    contract: &PoolContract,
    generation: Generation,
) -> Result<SignedContract, ProvisioningError> {
    decoded(&contract.message, generation)
}

fn decoded(message: &[u8], generation: Generation) -> Result<SignedContract, ProvisioningError> {
    match Answer::decode(session_generation(generation), Action::Install, message)? {
        Answer::Contract(signed) => Ok(*signed),
        Answer::Refused(_) => Err(ProvisioningError::new(
            codes::UNMAKEABLE,
            Refusal::Failed,
            "the pool holds a refusal instead of a contract",
        )),
    }
}

fn emaid_of(contract: &PoolContract) -> Result<Personal<Emaid>, ProvisioningError> {
    contract.emaid.reveal().parse().map(Personal::new).map_err(|_| {
        ProvisioningError::new(
            codes::UNMAKEABLE,
            Refusal::Failed,
            "the pool holds a contract whose id is no EMAID",
        )
    })
}

/// Contract ids are the same with and without separators and check digit's place, in either case.
fn same_contract(a: &str, b: &str) -> bool {
    match (a.parse::<Emaid>(), b.parse::<Emaid>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
