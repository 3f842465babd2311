//! What a station comes with when its keys are in a token or a TPM: `up` plays the factory. The keys are made in the
//! token, requests signed by them are answered by the CA, and the station's folder holds certificates and references.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use gridlatch_host::{DataDir, now};
use gridlatch_keys::{KeyError, KeyUri, PinSource, free, generate, open, write_atomically};
use gridlatch_pki::ca::{Ca, Requester, Role};
use gridlatch_pki::dev::DevPki;
use gridlatch_station::custody::{CertificateUse, KeyStore};
use gridlatch_tls::Credential;
use gridlatch_trust::build::Subject;
use gridlatch_trust::{certificate, csr};
use gridlatch_vocab::StationId;
use gridlatch_vocab::catalogue::key as codes;

use super::authority;

/// Where stations have their keys.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StationKeys {
    /// Make and keep the stations' keys in a token or a TPM: a URI without a key's name (docs/keys.md)
    #[arg(long, value_name = "URI", hide_short_help = true)]
    pub(crate) station_keys: Option<KeyUri>,
    /// File with the PIN of that token (mode 600)
    #[arg(long, value_name = "FILE", requires = "station_keys", hide_short_help = true)]
    pub(crate) pin_file: Option<PathBuf>,
}

impl StationKeys {
    /// As the station's custody takes it.
    pub(crate) fn store(&self) -> KeyStore {
        match &self.station_keys {
            None => KeyStore::Files,
            Some(place) => KeyStore::Token {
                place: place.clone(),
                pin: self.pin(),
            },
        }
    }

    fn pin(&self) -> PinSource {
        self.pin_file
            .as_ref()
            .map_or(PinSource::None, |path| PinSource::File(path.clone()))
    }

    /// As arguments of a station's process.
    pub(crate) fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = Vec::new();
        if let Some(place) = &self.station_keys {
            arguments.extend(["--station-keys".into(), place.to_string().into()]);
        }
        if let Some(file) = &self.pin_file {
            arguments.extend(["--pin-file".into(), file.into()]);
        }
        arguments
    }
}

/// Certificates and keys that a station starts with.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// For vehicles, ISO 15118-20 first.
    pub(crate) vehicle: Vec<Credential>,
    /// For the platform.
    pub(crate) platform: Credential,
}

/// The order in which a station prefers what it shows.
const USES: [CertificateUse; 3] = [
    CertificateUse::Vehicle20,
    CertificateUse::Vehicle,
    CertificateUse::Platform,
];

/// Makes what is missing or in the last third of its life; nothing where keys are in files.
pub(crate) async fn deliver(
    keys: &StationKeys,
    ca: &Ca,
    pki: &DevPki,
    data: &DataDir,
    id: &StationId,
) -> Result<()> {
    let Some(place) = &keys.station_keys else {
        // Issued here, one after the other: the processes only read them.
        pki.station_credentials(id)?;
        pki.station_client(id)?;
        return Ok(());
    };
    if matches!(place, KeyUri::File(_)) {
        bail!(
            "--station-keys {place}: a token (pkcs11:) or a TPM (tpm:) is meant; keys in files need no flag"
        );
    }
    for usage in USES {
        let note = files(data, id, usage)?;
        if certificate_at(&note).is_some_and(|chain| fresh(&chain)) {
            continue;
        }
        if let Err(error) = deliver_one((place, &keys.pin()), ca, pki, id, usage, &note).await {
            let code = match error.downcast_ref::<KeyError>() {
                Some(key) => format!("{}: ", key.code()),
                None => String::new(),
            };
            return Err(error.context(format!(
                "{code}station {id} gets no {} with its key in {place}",
                usage.word()
            )));
        }
    }
    Ok(())
}

async fn deliver_one(
    (place, pin): (&KeyUri, &PinSource),
    ca: &Ca,
    pki: &DevPki,
    id: &StationId,
    usage: CertificateUse,
    note: &Path,
) -> Result<()> {
    let algorithm = usage.algorithm();
    let written = std::fs::read_to_string(note).ok();
    let uri = match written.as_deref().map(str::trim).map(str::parse::<KeyUri>) {
        Some(uri) => uri?,
        None => {
            let uri = free(place, &format!("{id}-{}", usage.folder()), pin)?;
            // Before the key: after a crash it is known whose it is.
            write_atomically(note, format!("{uri}\n").as_bytes(), 0o600)?;
            uri
        }
    };
    let key = match open(&uri, pin) {
        Err(error) if error.code() == codes::NOT_FOUND => generate(&uri, algorithm, pin)?,
        other => other?,
    };
    let subject = Subject {
        common_name: if usage == CertificateUse::Platform {
            id.to_string()
        } else {
            pki.secc_name(id)
        },
        organization: Some("Gridlatch Dev CPO".to_owned()),
        country: Some("DE".to_owned()),
    };
    let profile = usage.profile();
    let request = csr::build(
        &subject,
        profile.row().domain_component,
        key.public_key_der(),
        algorithm,
        &|message| key.sign(message).map_err(Into::into),
    )?;
    let requester = Requester {
        role: Role::Station,
        id: id.to_string(),
    };
    let issued = ca
        .enroll(&request, authority::for_use(usage), profile, requester)
        .await?;
    let text: String = issued.chain.iter().map(|der| certificate::to_pem(der)).collect();
    write_atomically(&note.with_extension("pem"), text.as_bytes(), 0o644)?;
    Ok(())
}

/// What the station's process finds.
///
/// # Errors
/// A key does not answer or is another one than its certificate's. There is no key that takes its place.
pub(crate) fn find(keys: &StationKeys, pki: &DevPki, data: &DataDir, id: &StationId) -> Result<Delivered> {
    if keys.station_keys.is_none() {
        return Ok(Delivered {
            vehicle: pki.station_credentials(id)?,
            platform: pki.station_client(id)?,
        });
    }
    let read = |usage: CertificateUse| -> Result<Credential> {
        let note = files(data, id, usage)?;
        let uri: KeyUri = std::fs::read_to_string(&note)
            .with_context(|| format!("the station was delivered without {}", note.display()))?
            .trim()
            .parse()?;
        let key = open(&uri, &keys.pin())?;
        let chain = certificate_at(&note).context("the station was delivered without a certificate")?;
        let leaf = chain
            .first()
            .context("the station was delivered without a certificate")?;
        if certificate::public_key_der(leaf)? != key.public_key_der() {
            return Err(KeyError::Hardware {
                code: codes::MISMATCH,
                key: uri.to_string(),
                reason: format!("it is not the key of {}", note.with_extension("pem").display()),
            }
            .into());
        }
        Ok(Credential::new(
            format!("{}/delivered", usage.folder()),
            chain,
            key,
        ))
    };
    let [newer, older, platform] = USES.map(read);
    Ok(Delivered {
        vehicle: vec![newer?, older?],
        platform: platform?,
    })
}

/// The file with the reference to a key; its certificate is beside it.
fn files(data: &DataDir, id: &StationId, usage: CertificateUse) -> Result<PathBuf> {
    let folder = data.dir(&format!("stations/{id}/delivered"))?;
    Ok(folder.join(usage.folder()).with_extension("key"))
}

fn certificate_at(note: &Path) -> Option<Vec<Vec<u8>>> {
    certificate::from_pem(&std::fs::read(note.with_extension("pem")).ok()?)
        .ok()
        .filter(|chain| !chain.is_empty())
}

fn fresh(chain: &[Vec<u8>]) -> bool {
    chain
        .first()
        .and_then(|leaf| certificate::summary(leaf).ok())
        .is_some_and(|leaf| {
            let life = leaf.not_after.0 - leaf.not_before.0;
            leaf.not_after.0 - now().0 > life / 3
        })
}
