//! Setting a CA up: the whole hierarchy in one ceremony, or the development PKI taken over as it is.

use der::Encode as _;
use gridlatch_keys::{KeyAlgorithm, write_atomically};
use gridlatch_store::Store;
use gridlatch_store::pki::{NewAuthority, NewCertificate};
use gridlatch_trust::build::Subject;
use gridlatch_trust::profile::Kind;
use gridlatch_trust::{Profile, certificate};
use gridlatch_vocab::{EventSink, Personal, Timestamp, catalogue::ca};
use std::sync::Arc;

use super::authority::generation_word;
use super::issue::{Draft, Grounds};
use super::policy::{self, Policy};
use super::{APPROVERS, Ca, CaError, Clock, FILE, KeyRing, Serial, setting, system_clock};
use crate::dev::DevPki;
use crate::store::to_pem;
use crate::tree::{Node, World};

/// Who has to agree before a root signs, a CA is revoked, or policy and operators change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Two registered operators.
    Dual,
    /// Nobody else: for a laptop and for tests, and only when asked for.
    Single,
}

impl Control {
    /// The word of settings and lists: `two-operators` or `single-operator`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dual => "two-operators",
            Self::Single => "single-operator",
        }
    }

    pub(super) fn from_setting(text: &str) -> Option<Self> {
        [Self::Dual, Self::Single]
            .into_iter()
            .find(|control| control.as_str() == text)
    }
}

/// What to set up.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose PKI it is: begins every CA's name, 1 to 24 characters.
    pub name: String,
    /// Country, two letters.
    pub country: String,
    /// Which trees.
    pub worlds: Vec<World>,
    /// Where roots' keys go: the scheme of a [`KeyRing`] source, [`FILE`] for files.
    pub root_keys: String,
    /// Where the other CAs' keys go.
    pub keys: String,
    /// Who agrees to what roots sign from now on.
    pub control: Control,
    /// Operators and their public keys (DER SubjectPublicKeyInfo); at least two, with different keys,
    /// unless one operator is enough.
    pub operators: Vec<(String, Vec<u8>)>,
    /// The policy; `None` for the default one.
    pub policy: Option<String>,
}

impl Plan {
    /// All trees, keys in files, one operator: what `gridlatch pki init --single-operator` does.
    #[must_use]
    pub fn single(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            country: "DE".to_owned(),
            worlds: World::EVERY.to_vec(),
            root_keys: FILE.to_owned(),
            keys: FILE.to_owned(),
            control: Control::Single,
            operators: Vec::new(),
            policy: None,
        }
    }

    /// Refuses what cannot be carried out, before anything is made.
    ///
    /// # Errors
    /// A name, a country or operators that no CA is set up with.
    pub fn check(&self) -> Result<(), CaError> {
        let bad = |reason| Err(CaError::Plan(reason));
        let name = &self.name;
        if !(1..=24).contains(&name.chars().count())
            || name.chars().any(char::is_control)
            || name.trim() != name
        {
            return bad("the name has 1 to 24 printable characters");
        }
        if self.country.len() != 2 || !self.country.bytes().all(|b| b.is_ascii_uppercase()) {
            return bad("the country is two capital letters");
        }
        if self.worlds.is_empty() {
            return bad("it names no tree");
        }
        let ed448 = |world: &World| world.algorithm() == KeyAlgorithm::Ed448;
        if self.worlds.iter().any(ed448) && (self.root_keys != FILE || self.keys != FILE) {
            return bad(
                "Ed448 keys live in files only, in no token and no TPM: leave that tree out (--tree iso2,iso20,ocpp), \
                 or set it up as a CA of its own with keys in files",
            );
        }
        for (index, (name, key)) in self.operators.iter().enumerate() {
            let before = self.operators.get(..index).unwrap_or_default();
            if before.iter().any(|(other, _)| other == name) {
                return bad("two operators have one name");
            }
            if before.iter().any(|(_, other)| other == key) {
                return bad("two operators have one key");
            }
            if certificate::usable_key(key).is_none() {
                return bad(super::approval::NO_KEY);
            }
        }
        if self.control == Control::Dual && self.operators.len() < APPROVERS {
            return bad("dual control takes at least two operators with a key each");
        }
        Ok(())
    }
}

impl Ca {
    /// Sets up a CA: keys, certificates and OCSP signers of every tree of the plan. After a crash the
    /// same call completes what is missing; keys are never replaced.
    ///
    /// # Errors
    /// [`CaError::Exists`] where a CA was set up before or where certificates are that this store does not
    /// know; the plan cannot be carried out; keys or store fail.
    pub async fn init(
        store: Store,
        keys: KeyRing,
        sink: Arc<dyn EventSink>,
        plan: &Plan,
    ) -> Result<Self, CaError> {
        Self::init_at(store, keys, sink, plan, system_clock()).await
    }

    /// As [`Self::init`], with another clock.
    ///
    /// # Errors
    /// As [`Self::init`].
    pub async fn init_at(
        store: Store,
        keys: KeyRing,
        sink: Arc<dyn EventSink>,
        plan: &Plan,
        clock: Clock,
    ) -> Result<Self, CaError> {
        plan.check()?;
        if store.setting_find(setting::CONTROL).await?.is_some() {
            return Err(CaError::Exists("a CA".to_owned()));
        }
        let text = plan.policy.as_deref().unwrap_or(policy::DEFAULT);
        Policy::parse(text)?;
        let _lock = crate::store::Store::open(keys.folder())?.lock()?;
        let ca = Self::unloaded(store, keys, sink, clock);
        ca.inner.store.setting_put(setting::POLICY, text).await?;
        for (name, key) in &plan.operators {
            ca.inner.store.pki_operator_add(name, key, ca.now()).await?;
        }
        ca.load(Control::Single).await?;
        for world in &plan.worlds {
            for node in world.nodes() {
                ca.make_authority(*world, node, plan).await?;
            }
        }
        ca.ensure_ocsp_signers().await?;
        // The last step: before it, the ceremony is not over and runs again.
        ca.inner
            .store
            .setting_put(setting::CONTROL, plan.control.as_str())
            .await?;
        ca.reload().await?;
        let count = ca.authorities().len();
        ca.emit(
            ca::INITIALISED,
            format!("{count} CAs, {}", plan.control.as_str()),
            |event| {
                event
                    .with("authorities", count)
                    .with("control", plan.control.as_str())
            },
        );
        Ok(ca)
    }

    /// Takes over the development PKI of a folder: its CAs, and every certificate it has issued so far.
    /// One operator is enough for it. Running it again adds what is new. A CA that was replaced since is
    /// kept under another name for its certificates.
    ///
    /// # Errors
    /// The store fails, or holds a CA under dual control.
    pub async fn adopt(
        store: Store,
        keys: KeyRing,
        sink: Arc<dyn EventSink>,
        dev: &DevPki,
    ) -> Result<Self, CaError> {
        let ca = Self::unloaded(store, keys, sink, system_clock());
        match ca.inner.store.setting_find(setting::CONTROL).await? {
            None => {
                ca.inner
                    .store
                    .setting_put(setting::CONTROL, Control::Single.as_str())
                    .await?;
            }
            Some(text) if text == Control::Single.as_str() => {}
            Some(_) => return ca.reload().await.map(|()| ca),
        }
        ca.reload().await?;
        let mut new = 0_usize;
        for world in World::ALL {
            for node in world.nodes() {
                let der = dev.ca(world, node.name).der.clone();
                let name = format!("{}/{}", world.folder(), node.name);
                if let Ok(known) = ca.authority(&name) {
                    if known.der == der {
                        continue;
                    }
                    let old = format!("{name}#{}", known.number);
                    ca.inner.store.pki_authority_retire(known.number, &old).await?;
                }
                let key_uri = format!("{FILE}:{name}.key.pem");
                ca.add_authority(world, node, &der, key_uri, "ca:development")
                    .await?;
                new += 1;
            }
        }
        let leaves = ca.adopt_issued(dev).await?;
        ca.ensure_ocsp_signers().await?;
        if new > 0 {
            ca.emit(
                ca::ADOPTED,
                format!("{new} CAs and {leaves} certificates"),
                |event| event.with("authorities", new).with("certificates", leaves),
            );
        }
        Ok(ca)
    }

    /// Records certificates that the development PKI issued since it was adopted; how many.
    ///
    /// # Errors
    /// The store fails.
    pub async fn adopt_issued(&self, dev: &DevPki) -> Result<usize, CaError> {
        let mut added = 0;
        for (world, kind, issuer, der) in dev.issued()? {
            let authority = format!("{}/{issuer}", world.folder());
            if self
                .record_existing(&authority, world.profile(kind), &der, "ca:development")
                .await?
            {
                added += 1;
            }
        }
        Ok(added)
    }

    /// Records a certificate that one of this CA's keys signed elsewhere; `false` if it is known.
    ///
    /// # Errors
    /// It was not signed by this CA, or has a serial number that this CA cannot have given; the store fails.
    pub async fn record_existing(
        &self,
        authority: &str,
        profile: Profile,
        der: &[u8],
        requester: &str,
    ) -> Result<bool, CaError> {
        let authority = self.authority(authority)?;
        let damaged = |reason| CaError::Damaged {
            what: format!("a certificate said to be of {}", authority.name),
            reason,
        };
        let parsed = certificate::parse(der).map_err(|_| damaged("it cannot be read"))?;
        let signed = parsed
            .tbs_certificate
            .to_der()
            .map_err(|_| damaged("it cannot be read"))?;
        let signature = parsed.signature.raw_bytes();
        if !gridlatch_keys::verify(authority.algorithm(), &authority.spki, &signed, signature)
            .unwrap_or(false)
        {
            return Err(damaged("its signature is not of this CA"));
        }
        let row = existing(authority.number, profile, der, requester, self.now())
            .ok_or_else(|| damaged("its serial number is foreign"))?;
        Ok(matches!(
            self.inner.store.pki_insert(row).await?,
            gridlatch_store::pki::Inserted::Stored(_)
        ))
    }

    /// Makes one CA of the tree, unless it is there.
    async fn make_authority(&self, world: World, node: &Node, plan: &Plan) -> Result<(), CaError> {
        let name = format!("{}/{}", world.folder(), node.name);
        let keys = &self.inner.keys;
        if let Ok(known) = self.authority(&name) {
            return self.write_copy(&name, &known.key_uri, &known.der);
        }
        let copy = keys.folder().join(format!("{name}.crt.pem"));
        if copy.exists() {
            return Err(CaError::Exists(copy.display().to_string()));
        }
        let scheme = if node.kind.is_root() {
            &plan.root_keys
        } else {
            &plan.keys
        };
        let key_uri = self.new_key(scheme, &name, world.algorithm()).await?;
        let key = keys.open(&key_uri)?;
        let renamed = |text: &str| text.replacen("Gridlatch Dev", &plan.name, 1);
        let subject = Subject {
            common_name: renamed(&world.common_name(node)),
            organization: Some(renamed(node.organization)),
            country: Some(plan.country.clone()),
        };
        let profile = world.profile(node.kind);
        // A day's grace for clocks that differ.
        let not_before = Timestamp(self.now().0 - time::Duration::DAY);
        let policy = self.policy();
        let draft = Draft {
            profile,
            subject: &subject,
            spki: key.public_key_der(),
            alt_names: &[],
            not_before,
            not_after: Timestamp(not_before.0 + time::Duration::days(i64::from(profile.row().days))),
            requester: "ca:init".to_owned(),
            urls: &policy.urls,
            grounds: Grounds::default(),
        };
        let der = if node.kind.is_root() {
            draft.sign(None, 0, &*key, self.now())?.1.der
        } else {
            let issuer = self.authority(&format!("{}/{}", world.folder(), node.issuer))?;
            let signer = issuer.signer(keys)?;
            draft
                .sign(Some(&issuer), issuer.number, &*signer, self.now())?
                .1
                .der
        };
        self.add_authority(world, node, &der, key_uri.clone(), "ca:init")
            .await?;
        self.write_copy(&name, &key_uri, &der)
    }

    /// Makes the key of a CA. Where it will be in a token is written down before it is made: after a crash
    /// the ceremony knows its own key from a stranger's by the same name.
    async fn new_key(&self, scheme: &str, name: &str, algorithm: KeyAlgorithm) -> Result<String, CaError> {
        let keys = &self.inner.keys;
        if scheme == FILE {
            return keys.create(name, algorithm);
        }
        let note = format!("{}{name}", setting::KEY);
        let uri = match self.inner.store.setting_find(&note).await? {
            Some(uri) => uri,
            None => {
                let uri = keys.place(scheme, name)?;
                self.inner.store.setting_put(&note, &uri).await?;
                uri
            }
        };
        keys.make(&uri, algorithm)?;
        Ok(uri)
    }

    async fn add_authority(
        &self,
        world: World,
        node: &Node,
        der: &[u8],
        key_uri: String,
        requester: &str,
    ) -> Result<(), CaError> {
        let name = format!("{}/{}", world.folder(), node.name);
        let issuer = if node.kind.is_root() {
            None
        } else {
            Some(
                self.authority(&format!("{}/{}", world.folder(), node.issuer))?
                    .number,
            )
        };
        let profile = world.profile(node.kind);
        let row = existing(issuer.unwrap_or(0), profile, der, requester, self.now()).ok_or_else(|| {
            CaError::Damaged {
                what: name.clone(),
                reason: "its certificate cannot be read or has a foreign serial number",
            }
        })?;
        let authority = NewAuthority {
            name: name.clone(),
            kind: node.kind.slug().to_owned(),
            generation: generation_word(profile).to_owned(),
            key_uri,
            issuer,
        };
        if self
            .inner
            .store
            .pki_authority_add(authority, row)
            .await?
            .is_none()
        {
            return Err(CaError::Exists(name));
        }
        self.load(Control::Single).await
    }

    /// Loads authorities and policy, whatever the stored control.
    async fn load(&self, control: Control) -> Result<(), CaError> {
        let text = self.inner.store.setting_find(setting::POLICY).await?;
        let state = super::State {
            policy: Arc::new(Policy::parse(text.as_deref().unwrap_or(policy::DEFAULT))?),
            authorities: self.load_authorities().await?,
            control,
        };
        self.inner.state.store(Arc::new(state));
        Ok(())
    }

    /// The certificate beside a key file, where programs and people look for it. The store is what counts.
    pub(super) fn write_copy(&self, name: &str, key_uri: &str, der: &[u8]) -> Result<(), CaError> {
        if !key_uri.starts_with("file:") {
            return Ok(());
        }
        let path = self.inner.keys.folder().join(format!("{name}.crt.pem"));
        let text = to_pem(der);
        if std::fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        write_atomically(&path, text.as_bytes(), 0o644).map_err(|source| CaError::File {
            operation: "write",
            path,
            source,
        })
    }
}

/// The row of a certificate that exists; `None` if it cannot be one of this CA.
fn existing(
    authority: i64,
    profile: Profile,
    der: &[u8],
    requester: &str,
    now: Timestamp,
) -> Option<NewCertificate> {
    let parsed = certificate::parse(der).ok()?;
    let summary = certificate::summary(der).ok()?;
    let serial = Serial::from_octets(parsed.tbs_certificate.serial_number.as_bytes())?;
    Some(NewCertificate {
        authority,
        serial: serial.stored(),
        kind: profile.kind.slug().to_owned(),
        subject: Personal::new(summary.subject_cn),
        personal: profile.kind.is_personal(),
        der: der.to_vec(),
        not_before: summary.not_before,
        not_after: summary.not_after,
        requester: requester.to_owned(),
        at: now,
        request_digest: None,
        approved: None,
    })
}

/// The kind and the issuer of a leaf of the development PKI, by its file name.
pub(crate) fn of_dev_leaf(stem: &str) -> Option<(Kind, &'static str)> {
    [
        ("secc-", Kind::SeccLeaf, "cpo-sub2"),
        ("station-", Kind::StationClient, "csms-sub"),
        ("platform", Kind::CsmsServer, "csms-sub"),
        ("bills", Kind::BillSigner, "csms-sub"),
        ("vehicle-", Kind::VehicleLeaf, "oem-sub2"),
        ("provisioning-", Kind::OemProvisioning, "oem-sub2"),
        ("contract-", Kind::ContractLeaf, "mo-sub2"),
        ("bills", Kind::BillSigner, "csms-sub"),
        ("cps", Kind::CpsLeaf, "cps-sub2"),
    ]
    .into_iter()
    .find(|(prefix, ..)| stem.starts_with(prefix))
    .map(|(_, kind, issuer)| (kind, issuer))
}
