//! The bundle Josev (EcoG-io/iso15118) loads, file for file as its `create_certs.sh -v iso-2` makes it.
//!
//! Josev reads this folder for ISO 15118-20 as well, and knows one root of each kind.

use std::path::Path;

use gridlatch_keys::{FileKey, KeyError, write_atomically};
use gridlatch_trust::Generation;
use gridlatch_vocab::StationId;

use crate::PkiError;
use crate::dev::{DevPki, VehicleName, in_file};
use crate::store::{make_dir, to_pem};
use crate::tree::World;

/// The pass phrase of Josev's own script; it is in the password files next to the keys.
const PASSPHRASE: &str = "12345";

/// The identity of Josev's station and the name of Josev's car in this PKI.
const NAME: &str = "josev";

pub(crate) fn export(pki: &DevPki, dir: &Path) -> Result<(), PkiError> {
    let folder = dir.join("iso15118_2");
    let out = Out {
        certs: folder.join("certs"),
        keys: folder.join("private_keys"),
    };
    make_dir(&out.certs)?;
    make_dir(&out.keys)?;

    for (node, name) in CAS {
        let pair = pki.ca(World::Iso2, node);
        out.certificate(&format!("{name}Cert"), &pair.der)?;
        out.key(name, &pair.key)?;
    }
    let (station, car) = names();
    let secc = pki
        .station_credentials(&station)?
        .into_iter()
        .find(|credential| credential.key.algorithm() == World::Iso2.algorithm())
        .expect("a station has a credential for each generation");
    let oem = pki.provisioning(&car, Generation::Iso2)?;
    let contract = pki.contract(&car, Generation::Iso2)?;
    let cps = pki.provisioning_service(Generation::Iso2)?;

    let cps_key = in_file(&*cps.key)?;
    for (name, chain, key) in [
        ("seccLeaf", &secc.chain, in_file(&*secc.key)?),
        ("oemLeaf", &oem.chain, in_file(&*oem.key)?),
        ("contractLeaf", &contract.chain, &contract.key),
        ("cpsLeaf", &cps.chain, cps_key),
    ] {
        let leaf = chain.first().expect("a chain begins with its leaf");
        out.certificate(&format!("{name}Cert"), leaf)?;
        out.key(name, key)?;
        out.write(
            &out.keys.join(format!("{name}Password.txt")),
            format!("{PASSPHRASE}\n").as_bytes(),
        )?;
    }
    out.write(
        &out.keys.join("moSubCA2LeafPassword.txt"),
        format!("{PASSPHRASE}\n").as_bytes(),
    )?;
    out.bundle("cpoCertChain.pem", &secc.chain)?;
    out.bundle("oemCertChain.pem", &oem.chain)?;
    out.bundle(
        "intermediateMOCACerts.pem",
        contract.chain.get(1..).unwrap_or_default(),
    )?;
    out.bundle(
        "intermediateCPSCACerts.pem",
        cps.chain.get(1..).unwrap_or_default(),
    )?;
    for (name, alias, chain, key) in [
        (
            "moCertChain.p12",
            "contract_leaf_cert",
            &contract.chain,
            &*contract.key,
        ),
        ("cpsCertChain.p12", "cps_leaf_cert", &cps.chain, cps_key),
    ] {
        let archive = key.to_pkcs12(alias, chain, PASSPHRASE)?;
        out.write(&out.certs.join(name), &archive)?;
    }
    let mo_sub2 = pki.ca(World::Iso2, "mo-sub2");
    out.write(
        &out.keys.join("moSubCA2.pkcs8.der"),
        &mo_sub2.key.to_encrypted_pkcs8_der(PASSPHRASE.as_bytes())?,
    )
}

/// Our CAs and the stems of Josev's file names.
const CAS: [(&str, &str); 11] = [
    ("v2g-root", "v2gRootCA"),
    ("cpo-sub1", "cpoSubCA1"),
    ("cpo-sub2", "cpoSubCA2"),
    ("cps-sub1", "cpsSubCA1"),
    ("cps-sub2", "cpsSubCA2"),
    ("oem-root", "oemRootCA"),
    ("oem-sub1", "oemSubCA1"),
    ("oem-sub2", "oemSubCA2"),
    ("mo-root", "moRootCA"),
    ("mo-sub1", "moSubCA1"),
    ("mo-sub2", "moSubCA2"),
];

struct Out {
    certs: std::path::PathBuf,
    keys: std::path::PathBuf,
}

impl Out {
    fn certificate(&self, name: &str, der: &[u8]) -> Result<(), PkiError> {
        self.write(&self.certs.join(format!("{name}.pem")), to_pem(der).as_bytes())?;
        self.write(&self.certs.join(format!("{name}.der")), der)
    }

    fn key(&self, name: &str, key: &FileKey) -> Result<(), PkiError> {
        let pem = key.to_encrypted_sec1_pem(PASSPHRASE.as_bytes())?;
        self.write(&self.keys.join(format!("{name}.key")), &pem)
    }

    fn bundle(&self, name: &str, chain: &[Vec<u8>]) -> Result<(), PkiError> {
        let text: String = chain.iter().map(|der| to_pem(der)).collect();
        self.write(&self.certs.join(name), text.as_bytes())
    }

    /// Everything is private: the folder holds CA keys.
    fn write(&self, path: &Path, content: &[u8]) -> Result<(), PkiError> {
        write_atomically(path, content, 0o600).map_err(|source| {
            PkiError::Key(KeyError::File {
                operation: "write",
                path: path.to_owned(),
                source,
            })
        })
    }
}

/// The station and the car that Josev plays.
fn names() -> (StationId, VehicleName) {
    let station = NAME.parse().expect("letters are a station id");
    let car = NAME.parse().expect("letters are a vehicle name");
    (station, car)
}
