//! Signed contract data of ISO 15118-2 as the pools exchange it: the `V2G_Message` with a
//! `CertificateInstallationRes` in XML. What is signed are the EXI fragments of the elements, so that nothing
//! depends on how the XML was laid out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gridlatch_vocab::Personal;
use iso15118::iso2::{
    CanonicalizationMethod, CertificateChain, ContractSignatureEncryptedPrivateKey, DiffieHellmanPublickey,
    DigestMethod, EMAID, Reference, Signature, SignatureMethod, SignatureValue, SignedInfo, SubCertificates,
    Transform, Transforms,
};
use roxmltree::{Document, Node, ParsingOptions};

use super::answer::{Seal as AnySeal, SignedContract};
use super::iso2::Seal;
use super::{ContractData, Delivery, ProvisioningFault};

/// The largest document looked at, bytes.
pub const MAX_XML: usize = 32 * 1024;
/// Nodes of a document: the message has about 120.
const MAX_NODES: u32 = 1024;

const MESSAGE: &str = "urn:iso:15118:2:2013:MsgDef";
const HEADER: &str = "urn:iso:15118:2:2013:MsgHeader";
const BODY: &str = "urn:iso:15118:2:2013:MsgBody";
const TYPES: &str = "urn:iso:15118:2:2013:MsgDataTypes";
const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

impl SignedContract {
    /// The message in XML, without a session id; nothing for contract data of ISO 15118-20.
    #[must_use]
    pub fn to_xml(&self) -> Option<String> {
        match &self.seal {
            AnySeal::Iso2(seal) => Some(write(seal)),
            AnySeal::Iso20(_) => None,
        }
    }

    /// Reads the message of at most [`MAX_XML`] bytes. Nothing is believed yet.
    ///
    /// # Errors
    /// It is not XML, or not this message with a signature.
    pub fn from_xml(xml: &str) -> Result<Self, ProvisioningFault> {
        if xml.len() > MAX_XML {
            return Err(ProvisioningFault::TooLarge(xml.len()));
        }
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(xml, options)
            .map_err(|error| ProvisioningFault::Exi(format!("not XML: {error}")))?;
        let root = document.root_element();
        let response = path(root, &["Body", "CertificateInstallationRes"])?;
        let signature = path(root, &["Header", "Signature"]).map_err(|_| ProvisioningFault::Unsigned)?;
        let key = child(response, "ContractSignatureEncryptedPrivateKey")?;
        let dh = child(response, "DHpublickey")?;
        let emaid = child(response, "eMAID")?;
        let seal = Seal {
            cps: chain(child(response, "SAProvisioningCertificateChain")?)?,
            chain: chain(child(response, "ContractSignatureCertChain")?)?,
            key: ContractSignatureEncryptedPrivateKey {
                id: id(key)?,
                value: binary(key, Delivery::P256.length())?,
            },
            dh: DiffieHellmanPublickey {
                id: id(dh)?,
                value: binary(dh, 65)?,
            },
            emaid: EMAID {
                id: id(emaid)?,
                value: text(emaid).to_owned(),
            },
            signature: read_signature(signature)?,
        };
        let list = |chain: &CertificateChain| -> Vec<Vec<u8>> {
            std::iter::once(chain.certificate.clone())
                .chain(
                    chain
                        .sub_certificates
                        .iter()
                        .flat_map(|subs| subs.certificate.iter().cloned()),
                )
                .collect()
        };
        Ok(Self {
            contract: ContractData {
                emaid: Personal::new(seal.emaid.value.clone()),
                chain: list(&seal.chain),
                delivery: Delivery::P256,
                encrypted_key: seal.key.value.clone(),
                dh_public_key: seal.dh.value.clone(),
            },
            cps_chain: list(&seal.cps),
            seal: AnySeal::Iso2(Box::new(seal)),
        })
    }
}

fn missing(name: &str) -> ProvisioningFault {
    ProvisioningFault::Exi(format!("the element {name} is missing or occurs twice"))
}

fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Result<Node<'a, 'i>, ProvisioningFault> {
    let mut found = node.children().filter(|child| child.tag_name().name() == name);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(missing(name)),
    }
}

fn path<'a, 'i>(node: Node<'a, 'i>, names: &[&str]) -> Result<Node<'a, 'i>, ProvisioningFault> {
    names.iter().try_fold(node, |node, name| child(node, name))
}

fn text<'a>(node: Node<'a, '_>) -> &'a str {
    node.text().unwrap_or_default().trim()
}

fn id(node: Node<'_, '_>) -> Result<String, ProvisioningFault> {
    node.attributes()
        .find(|attribute| attribute.name() == "Id")
        .map(|attribute| attribute.value().to_owned())
        .ok_or_else(|| ProvisioningFault::Exi(format!("{} has no Id", node.tag_name().name())))
}

fn attribute(node: Node<'_, '_>, name: &str) -> Result<String, ProvisioningFault> {
    node.attribute(name)
        .map(str::to_owned)
        .ok_or_else(|| ProvisioningFault::Exi(format!("{} has no {name}", node.tag_name().name())))
}

fn binary(node: Node<'_, '_>, limit: usize) -> Result<Vec<u8>, ProvisioningFault> {
    let plain: String = text(node).split_whitespace().collect();
    STANDARD
        .decode(plain)
        .ok()
        .filter(|bytes| bytes.len() <= limit)
        .ok_or_else(|| {
            ProvisioningFault::Exi(format!("{} is not Base64 of its size", node.tag_name().name()))
        })
}

fn chain(node: Node<'_, '_>) -> Result<CertificateChain, ProvisioningFault> {
    let subs = match child(node, "SubCertificates") {
        Ok(subs) => subs
            .children()
            .filter(|child| child.tag_name().name() == "Certificate")
            .take(5)
            .map(|certificate| binary(certificate, 800))
            .collect::<Result<Vec<_>, _>>()?,
        Err(_) => Vec::new(),
    };
    if subs.len() > 4 {
        return Err(ProvisioningFault::Exi(
            "a chain has more than four sub-certificates".to_owned(),
        ));
    }
    Ok(CertificateChain {
        id: id(node).ok(),
        certificate: binary(child(node, "Certificate")?, 800)?,
        sub_certificates: (!subs.is_empty()).then_some(SubCertificates { certificate: subs }),
    })
}

fn read_signature(node: Node<'_, '_>) -> Result<Signature, ProvisioningFault> {
    let info = child(node, "SignedInfo")?;
    let mut references = Vec::new();
    for reference in info
        .children()
        .filter(|child| child.tag_name().name() == "Reference")
        .take(5)
    {
        let transforms = child(reference, "Transforms")?
            .children()
            .filter(|child| child.tag_name().name() == "Transform")
            .take(2)
            .map(|transform| {
                Ok(Transform {
                    algorithm: attribute(transform, "Algorithm")?,
                })
            })
            .collect::<Result<Vec<_>, ProvisioningFault>>()?;
        references.push(Reference {
            id: None,
            r#type: None,
            uri: Some(attribute(reference, "URI")?),
            transforms: Some(Transforms {
                transform: transforms,
            }),
            digest_method: DigestMethod {
                algorithm: attribute(child(reference, "DigestMethod")?, "Algorithm")?,
            },
            digest_value: binary(child(reference, "DigestValue")?, 64)?,
        });
    }
    Ok(Signature {
        id: None,
        signed_info: SignedInfo {
            id: None,
            canonicalization_method: CanonicalizationMethod {
                algorithm: attribute(child(info, "CanonicalizationMethod")?, "Algorithm")?,
            },
            signature_method: SignatureMethod {
                algorithm: attribute(child(info, "SignatureMethod")?, "Algorithm")?,
                hmac_output_length: None,
            },
            reference: references,
        },
        signature_value: SignatureValue {
            id: None,
            value: binary(child(node, "SignatureValue")?, 132)?,
        },
    })
}

fn write(seal: &Seal) -> String {
    let mut out = String::with_capacity(12 * 1024);
    let mut say = |part: &str| out.push_str(part);
    say("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    say(&format!(
        "<m:V2G_Message xmlns:m=\"{MESSAGE}\" xmlns:h=\"{HEADER}\" xmlns:b=\"{BODY}\" xmlns:t=\"{TYPES}\" xmlns:x=\"{XMLDSIG}\">"
    ));
    let info = &seal.signature.signed_info;
    say("<m:Header><x:Signature><x:SignedInfo>");
    say(&algorithm(
        "CanonicalizationMethod",
        &info.canonicalization_method.algorithm,
    ));
    say(&algorithm("SignatureMethod", &info.signature_method.algorithm));
    for reference in &info.reference {
        say(&format!(
            "<x:Reference URI=\"{}\"><x:Transforms>",
            escaped(reference.uri.as_deref().unwrap_or(""))
        ));
        for transform in reference
            .transforms
            .iter()
            .flat_map(|transforms| &transforms.transform)
        {
            say(&algorithm("Transform", &transform.algorithm));
        }
        say("</x:Transforms>");
        say(&algorithm("DigestMethod", &reference.digest_method.algorithm));
        say(&format!(
            "<x:DigestValue>{}</x:DigestValue></x:Reference>",
            STANDARD.encode(&reference.digest_value)
        ));
    }
    say(&format!(
        "</x:SignedInfo><x:SignatureValue>{}</x:SignatureValue></x:Signature></m:Header>",
        STANDARD.encode(&seal.signature.signature_value.value)
    ));
    say("<m:Body><b:CertificateInstallationRes><b:ResponseCode>OK</b:ResponseCode>");
    say(&certificates("SAProvisioningCertificateChain", &seal.cps));
    say(&certificates("ContractSignatureCertChain", &seal.chain));
    for (name, id, value) in [
        (
            "ContractSignatureEncryptedPrivateKey",
            &seal.key.id,
            STANDARD.encode(&seal.key.value),
        ),
        ("DHpublickey", &seal.dh.id, STANDARD.encode(&seal.dh.value)),
        ("eMAID", &seal.emaid.id, escaped(&seal.emaid.value)),
    ] {
        say(&format!("<b:{name} t:Id=\"{}\">{value}</b:{name}>", escaped(id)));
    }
    say("</b:CertificateInstallationRes></m:Body></m:V2G_Message>");
    out
}

fn algorithm(name: &str, value: &str) -> String {
    format!("<x:{name} Algorithm=\"{}\"/>", escaped(value))
}

fn certificates(name: &str, chain: &CertificateChain) -> String {
    let id = chain
        .id
        .as_deref()
        .map(|id| format!(" t:Id=\"{}\"", escaped(id)))
        .unwrap_or_default();
    let mut out = format!(
        "<b:{name}{id}><t:Certificate>{}</t:Certificate>",
        STANDARD.encode(&chain.certificate)
    );
    if let Some(subs) = &chain.sub_certificates {
        out.push_str("<t:SubCertificates>");
        for sub in &subs.certificate {
            out.push_str(&format!(
                "<t:Certificate>{}</t:Certificate>",
                STANDARD.encode(sub)
            ));
        }
        out.push_str("</t:SubCertificates>");
    }
    out.push_str(&format!("</b:{name}>"));
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
