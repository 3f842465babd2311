//! Making a contract for one vehicle: key, certificate, envelope, signature, pool.

use std::sync::Arc;

use gridlatch_keys::delivery::{additional_data, seal_p521};
use gridlatch_keys::{FileKey, KeyAlgorithm, Signer as _};
use gridlatch_session::provisioning::{
    Action, ContractData, Delivery, IV_ISO2, Refusal, SignedContract, public_p256, seal_iso2,
};
use gridlatch_store::{ContractStored, PoolContract, PoolVehicle};
pub(crate) use gridlatch_trust::certificate::subject_key_id;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Generation, certificate};
use gridlatch_vocab::catalogue::{pools, provisioning as codes};
use gridlatch_vocab::{Emaid, Personal, Timestamp};

use super::trust::{fingerprint, summary};
use super::{
    ContractAuthority, CpsSigner, Provisioner, ProvisioningError, RootKind, sign_contract_data,
    stored_generation,
};

/// A contract to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// The mobility operator's client.
    pub owner: String,
    /// The vehicle.
    pub pcid: Personal<String>,
    /// The contract id.
    pub emaid: Personal<Emaid>,
    /// Which standard's messages it is made for.
    pub generation: Generation,
    /// When the certificate becomes valid; an hour ago when left out.
    pub not_before: Option<Timestamp>,
    /// When it ends; the profile's lifetime when left out. Never beyond its issuer's end.
    pub not_after: Option<Timestamp>,
    /// The V2G root the signer should stand under, SHA-256 in lower-case hexadecimal.
    pub cps_root: Option<String>,
}

/// A contract that was made and put into the pool.
#[derive(Debug, Clone)]
pub struct Concluded {
    /// The signed data.
    pub contract: SignedContract,
    /// Whether it is new or replaced an earlier one.
    pub stored: ContractStored,
    /// SHA-256 of the V2G root above the signer, lower-case hexadecimal.
    pub cps_root: String,
}

impl Provisioner {
    /// Makes a contract for a vehicle of the provisioning pool and puts it into the contract pool. The private
    /// key exists only here, until it is encrypted.
    ///
    /// # Errors
    /// The vehicle is unknown or its certificate is no longer believed, the contract id belongs to somebody
    /// else, the dates are past, or a key failed.
    pub async fn conclude(&self, order: Order) -> Result<Concluded, ProvisioningError> {
        if order.not_after.is_some_and(|end| end <= self.now()) {
            return Err(ProvisioningError::new(
                codes::UNMAKEABLE,
                Refusal::Failed,
                "the contract would end in the past",
            ));
        }
        let vehicle = self
            .store
            .pool_vehicle(order.pcid.reveal(), Some(stored_generation(order.generation)))
            .await?
            .ok_or_else(|| {
                ProvisioningError::new(
                    codes::VEHICLE_UNKNOWN,
                    Refusal::NoContract,
                    format!(
                        "no provisioning certificate of {} for this vehicle is in the pool",
                        order.generation
                    ),
                )
            })?;
        self.judge_vehicle(&vehicle.chain, order.generation).await?;
        let receiver = vehicle.chain.first().cloned().unwrap_or_default();
        let (contract, signer) = self.make(&order, receiver).await?;
        let cps_root = fingerprint(&signer.root);
        let stored = self
            .keep(
                &order.owner,
                order.pcid,
                order.generation,
                &contract,
                cps_root.clone(),
            )
            .await?;
        self.emit(
            codes::CONTRACT_MADE,
            format!(
                "contract data of {} for a vehicle, by {}",
                order.generation, order.owner
            ),
        );
        Ok(Concluded {
            contract,
            stored,
            cps_root,
        })
    }

    /// Whether a provisioning certificate with its chain is believed now.
    pub(crate) async fn judge_vehicle(
        &self,
        chain: &[Vec<u8>],
        generation: Generation,
    ) -> Result<(), ProvisioningError> {
        let kinds = [RootKind::Oem, RootKind::V2g];
        self.judge(chain, &kinds, generation, Kind::OemProvisioning)
            .await
            .map(drop)
    }

    /// Key, certificate, envelope and signature for the holder of `receiver` (DER).
    pub(super) async fn make(
        &self,
        order: &Order,
        receiver: Vec<u8>,
    ) -> Result<(SignedContract, CpsSigner), ProvisioningError> {
        let (authority, kdf) = (Arc::clone(&self.authority), self.settings.kdf.clone());
        let order = order.clone();
        tokio::task::spawn_blocking(move || {
            let signer = choose(&*authority, order.generation, order.cps_root.as_deref())?;
            let data = match order.generation {
                Generation::Iso2 => data_iso2(&*authority, &order, &receiver)?,
                Generation::Iso20 => data_iso20(&*authority, &order, &receiver, &kdf)?,
            };
            let signed = sign_contract_data(order.generation, data, &signer)?;
            Ok((signed, signer))
        })
        .await
        .map_err(|_| ProvisioningError::stopped())?
    }

    /// Puts signed contract data into the pool.
    pub(crate) async fn keep(
        &self,
        owner: &str,
        pcid: Personal<String>,
        generation: Generation,
        contract: &SignedContract,
        cps_root: String,
    ) -> Result<ContractStored, ProvisioningError> {
        let now = self.now();
        let leaf = contract.contract().chain.first().map_or(&[][..], Vec::as_slice);
        let not_after = summary(leaf, "the contract certificate")?.not_after;
        let record = PoolContract {
            emaid: contract.contract().emaid.clone(),
            pcid,
            generation: stored_generation(generation).to_owned(),
            cps_root,
            owner: owner.to_owned(),
            priority: 0,
            not_after,
            message: contract.encode(Action::Install, &[0; 8], 0, now)?,
            at: now,
        };
        let refuse = |code, message: &str| Err(ProvisioningError::new(code, Refusal::Failed, message));
        match self.store.pool_contract_put(record).await? {
            stored @ (ContractStored::Added | ContractStored::Replaced) => Ok(stored),
            ContractStored::OtherVehicle => refuse(
                pools::EMAID_TAKEN,
                "the contract id is already used by another vehicle",
            ),
            ContractStored::Foreign => refuse(
                pools::FOREIGN,
                "the contract id belongs to another mobility operator",
            ),
            ContractStored::Full => refuse(pools::FULL, "the vehicle has too many contracts waiting"),
        }
    }

    /// The vehicle's record in the provisioning pool, written.
    pub(crate) async fn publish_vehicle(
        &self,
        vehicle: PoolVehicle,
    ) -> Result<gridlatch_store::VehicleStored, ProvisioningError> {
        Ok(self.store.pool_vehicle_put(vehicle).await?)
    }
}

/// The signer under the wanted V2G root, or the preferred one.
pub(crate) fn choose(
    authority: &dyn ContractAuthority,
    generation: Generation,
    root: Option<&str>,
) -> Result<CpsSigner, ProvisioningError> {
    authority
        .cps(generation)?
        .into_iter()
        .find(|signer| root.is_none_or(|wanted| fingerprint(&signer.root) == wanted))
        .ok_or_else(|| {
            ProvisioningError::new(
                codes::SIGNER_UNAVAILABLE,
                Refusal::NoContract,
                "there is no signer under the wanted V2G root",
            )
        })
}

fn data_iso2(
    authority: &dyn ContractAuthority,
    order: &Order,
    receiver: &[u8],
) -> Result<ContractData, ProvisioningError> {
    let key = generate(KeyAlgorithm::P256)?;
    let chain = issue(authority, order, &key)?;
    let scalar = key.scalar().map_err(crate::PkiError::from)?;
    // [V2G2-823] before anything leaves: the key is the one in the certificate.
    let point = public_p256(&scalar)?;
    if !key.public_key_der().ends_with(&point) {
        return Err(mismatch());
    }
    let ephemeral = generate(KeyAlgorithm::P256)?
        .scalar()
        .map_err(crate::PkiError::from)?;
    let mut iv = [0; IV_ISO2];
    getrandom::fill(&mut iv).map_err(|_| ProvisioningError::entropy())?;
    let (encrypted_key, dh_public_key) = seal_iso2(&scalar, receiver, &ephemeral, &iv)?;
    Ok(ContractData {
        emaid: Personal::new(order.emaid.reveal().as_str().to_owned()),
        chain,
        delivery: Delivery::P256,
        encrypted_key,
        dh_public_key,
    })
}

fn data_iso20(
    authority: &dyn ContractAuthority,
    order: &Order,
    receiver: &[u8],
    kdf: &gridlatch_keys::delivery::Kdf,
) -> Result<ContractData, ProvisioningError> {
    let key = generate(KeyAlgorithm::P521)?;
    let chain = issue(authority, order, &key)?;
    let leaf = chain.first().map_or(&[][..], Vec::as_slice);
    let unmakeable = |message: String| ProvisioningError::new(codes::UNMAKEABLE, Refusal::Failed, message);
    let receiver = certificate::public_key_der(receiver).map_err(|error| unmakeable(error.to_string()))?;
    let aad = additional_data(order.pcid.reveal(), &subject_key_id(leaf));
    let sealed = seal_p521(&key, &receiver, &aad, kdf).map_err(|error| unmakeable(error.to_string()))?;
    Ok(ContractData {
        emaid: Personal::new(order.emaid.reveal().as_str().to_owned()),
        chain,
        delivery: Delivery::P521,
        encrypted_key: sealed.encrypted_key,
        dh_public_key: sealed.public_key,
    })
}

fn generate(algorithm: KeyAlgorithm) -> Result<FileKey, ProvisioningError> {
    FileKey::generate(algorithm).map_err(|error| crate::PkiError::from(error).into())
}

fn issue(
    authority: &dyn ContractAuthority,
    order: &Order,
    key: &FileKey,
) -> Result<Vec<Vec<u8>>, ProvisioningError> {
    let chain = authority.issue(
        order.generation,
        order.emaid.reveal(),
        key.public_key_der(),
        order.not_before,
        order.not_after,
    )?;
    let leaf = chain.first().map_or(&[][..], Vec::as_slice);
    if certificate::public_key_der(leaf).is_ok_and(|spki| spki == key.public_key_der()) {
        Ok(chain)
    } else {
        Err(mismatch())
    }
}

fn mismatch() -> ProvisioningError {
    ProvisioningError::new(
        codes::KEY_MISMATCH,
        Refusal::Failed,
        "the new contract certificate is not for the new key [V2G2-823]",
    )
}
