//! HomePlug management frames: SLAC (ISO 15118-3) in full, other management messages by number.

use gridlatch_vocab::catalogue::cable::HOMEPLUG_BAD_FRAME;
use iso15118::slac::{self as message, Mmtype, Mmv, SlacError};

use super::{Described, Layer, Tree, Undecodable, serialize};

/// Fields that are keys: a capture tool must not spread what lets anybody join the network.
const KEYS: [&str; 2] = ["nmk", "new_key"];

/// Names of management messages outside SLAC that modems on a charging link send.
fn other_name(mmtype: u16) -> Option<&'static str> {
    Some(match mmtype & !3 {
        0x0014 => "CC_DISCOVER_LIST",
        0x6000 => "CM_UNASSOCIATED_STA",
        0x600C => "CM_AMP_MAP",
        0x6014 => "CM_BRG_INFO",
        0x6018 => "CM_CONN_NEW",
        0x6034 => "CM_STA_CAP",
        0x6038 => "CM_NW_INFO",
        0x6048 => "CM_NW_STATS",
        0x6060 => "CM_STA_IDENTIFY",
        0xA000 => "VS_SW_VER",
        0xA01C => "VS_RS_DEV",
        0xA038 => "VS_NW_INFO",
        0xA050 => "VS_SET_KEY",
        0xA068 => "VS_OP_ATTRIBUTES",
        0xA0B0 => "VS_NW_INFO_STATS",
        0xA0B8 => "VS_LNK_STATUS",
        _ => return None,
    })
}

/// The name of any management message, with its number where the name is unknown.
fn name(mmtype: Mmtype) -> String {
    let number = mmtype.as_u16();
    let base = match mmtype {
        Mmtype::SetKeyReq | Mmtype::SetKeyCnf => Some("CM_SET_KEY"),
        Mmtype::SlacParmReq | Mmtype::SlacParmCnf => Some("CM_SLAC_PARM"),
        Mmtype::StartAttenCharInd => Some("CM_START_ATTEN_CHAR"),
        Mmtype::AttenCharInd | Mmtype::AttenCharRsp => Some("CM_ATTEN_CHAR"),
        Mmtype::MnbcSoundInd => Some("CM_MNBC_SOUND"),
        Mmtype::ValidateReq | Mmtype::ValidateCnf => Some("CM_VALIDATE"),
        Mmtype::SlacMatchReq | Mmtype::SlacMatchCnf => Some("CM_SLAC_MATCH"),
        Mmtype::AttenProfileInd => Some("CM_ATTEN_PROFILE"),
        _ => other_name(number),
    };
    let kind = ["REQ", "CNF", "IND", "RSP"][usize::from(number & 3)];
    match base {
        Some(base) => format!("{base}.{kind}"),
        None => format!("MME {number:#06x} ({kind})"),
    }
}

fn mac(bytes: &[u8]) -> Tree {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Tree::Text(parts.join(":"))
}

/// Replaces keys by a note and MAC addresses by their usual spelling.
fn presentable(key: &str, value: Tree) -> Tree {
    match value {
        Tree::Bytes(_) if KEYS.contains(&key) => Tree::text("(key, not shown)"),
        Tree::Bytes(bytes) if bytes.len() == 6 => mac(&bytes),
        Tree::Fields(fields) => Tree::Fields(
            fields
                .into_iter()
                .map(|(key, value)| {
                    let value = presentable(&key, value);
                    (key, value)
                })
                .collect(),
        ),
        other => other,
    }
}

/// The body, or nothing for a message outside SLAC.
fn body(mmtype: Mmtype, payload: &[u8]) -> Result<Option<Tree>, SlacError> {
    macro_rules! decode {
        ($type:ident) => {
            serialize::describe(&message::$type::decode(payload)?).ok()
        };
    }
    Ok(match mmtype {
        Mmtype::SetKeyReq => decode!(SetKeyReq),
        Mmtype::SetKeyCnf => decode!(SetKeyCnf),
        Mmtype::SlacParmReq => decode!(SlacParmReq),
        Mmtype::SlacParmCnf => decode!(SlacParmCnf),
        Mmtype::StartAttenCharInd => decode!(StartAttenCharInd),
        Mmtype::AttenCharInd => attenuation(
            decode!(AttenCharInd),
            message::AttenCharInd::decode(payload)?.profile,
        ),
        Mmtype::AttenCharRsp => decode!(AttenCharRsp),
        Mmtype::MnbcSoundInd => decode!(MnbcSoundInd),
        Mmtype::ValidateReq => decode!(ValidateReq),
        Mmtype::ValidateCnf => decode!(ValidateCnf),
        Mmtype::SlacMatchReq => decode!(SlacMatchReq),
        Mmtype::SlacMatchCnf => decode!(SlacMatchCnf),
        Mmtype::AttenProfileInd => attenuation(
            decode!(AttenProfileInd),
            message::AttenProfileInd::decode(payload)?.profile,
        ),
        _ => None,
    })
}

/// Puts the mean attenuation (dB), the number SLAC decides by, before the 58 groups.
fn attenuation(tree: Option<Tree>, profile: message::AttenProfile) -> Option<Tree> {
    match tree {
        Some(Tree::Fields(mut fields)) => {
            if let Some(mean) = profile.mean_attenuation() {
                fields.insert(0, ("mean_attenuation_db".to_owned(), Tree::Int(mean.into())));
            }
            Some(Tree::Fields(fields))
        }
        other => other,
    }
}

/// Where in the frame the management message body starts.
const fn body_offset(mmv: Mmv) -> usize {
    message::ETHERNET_HEADER_LEN + 3 + mmv.fragmentation_len()
}

/// Describes one Ethernet frame of EtherType 0x88E1, Ethernet header included. Keys are left out.
///
/// # Errors
/// [`Undecodable`] with `slac.bad_frame` when the frame is short, or a field contradicts ISO 15118-3.
pub fn describe_homeplug(frame: &[u8]) -> Result<Described, Undecodable> {
    let failed = |payload_type: Option<u16>, offset: Option<usize>, error: SlacError| Undecodable {
        code: HOMEPLUG_BAD_FRAME,
        layer: Layer::HomePlug,
        protocol: Some("slac"),
        payload_type,
        reason: match payload_type {
            Some(mmtype) => format!("{}: {error}", name(Mmtype::from_u16(mmtype))),
            None => error.to_string(),
        },
        offset,
        length: frame.len(),
        first_bytes: Undecodable::excerpt(frame),
    };
    let parsed = match message::parse_frame(frame) {
        Ok(parsed) => parsed,
        // A version above 1 exists (vendor modems): it is named by number, not an error of the link.
        Err(error) => return Err(failed(None, Some(14.min(frame.len())), error)),
    };
    let number = parsed.mmtype.as_u16();
    let body = body(parsed.mmtype, parsed.payload).map_err(|error| {
        let offset = match error {
            SlacError::Truncated => Some(frame.len()),
            _ => Some(body_offset(parsed.mmv)),
        };
        failed(Some(number), offset, error)
    })?;
    let mut fields = vec![
        ("source".to_owned(), mac(&parsed.source)),
        ("destination".to_owned(), mac(&parsed.destination)),
    ];
    let known = body.is_some();
    match body {
        Some(Tree::Fields(body)) => {
            for (key, value) in body {
                let value = presentable(&key, value);
                fields.push((key, value));
            }
        }
        _ => fields.push(("body_length".to_owned(), Tree::Int(parsed.payload.len() as i128))),
    }
    Ok(Described {
        layer: Layer::HomePlug,
        name: name(parsed.mmtype),
        payload_type: number,
        protocol: if known { "slac" } else { "homeplug" },
        response_code: None,
        fields: Tree::Fields(fields),
        notice: None,
        partial: false,
        length: parsed.payload.len(),
    })
}
