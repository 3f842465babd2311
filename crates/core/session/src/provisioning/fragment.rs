//! The two signed elements of ISO 15118-2 whose EXI fragments the protocol core does not make.
//!
//! A signature covers each element as an EXI fragment (EXI 1.0 section 8.5.2). `ContractSignatureCertChain`
//! is an ordinary one. `eMAID` is declared with two types in the message set (a plain string in the
//! requests, a string with an `Id` in the responses), and such an element takes the schema-informed element
//! fragment grammar of section 8.5.3 instead of its type's own. Both layouts are checked against the bytes of
//! EXIficient, the reference implementation, in the tests.

use iso15118::exi::{Encoder, ExiResult, Header, Lengths, ValueCoding, ValueCtx, encode_growing};
use iso15118::iso2::{CertificateChain, EMAID, FRAGMENT_ED_CODE, FRAGMENT_WIDTH};

/// `SE(ContractSignatureCertChain)`: between `ConsumptionCost` (32) and
/// `ContractSignatureEncryptedPrivateKey` (34).
const CONTRACT_CHAIN: u64 = 33;
/// `SE(eMAID)`.
const EMAID_ELEMENT: u64 = 236;

/// Ten attributes, the wildcard, 243 elements, the wildcard, end and characters: 257 first events.
const FIRST_WIDTH: u32 = 9;
/// `AT(Id)` among the attributes of the message set.
const AT_ID: u64 = 4;
/// Characters as the first event after the attributes.
const CHARACTERS: u64 = 256;
/// Past the first content the attributes are gone: 247 events.
const NEXT_WIDTH: u32 = 8;
/// The end of the element there: after 243 elements and their wildcard.
const END: u64 = 244;

/// String values are found by their place in the schema when they repeat; these occur once.
const ID_VALUE: ValueCtx = ValueCtx(107);
const EMAID_VALUE: ValueCtx = ValueCtx(9_999);

/// The fragment of a `ContractSignatureCertChain`.
pub(super) fn contract_chain(chain: &CertificateChain, coding: ValueCoding) -> ExiResult<Vec<u8>> {
    encode_growing(|buffer| {
        let mut e = Encoder::with_value_coding(buffer, coding);
        e.write_header(Header::ISO15118)?;
        e.event(CONTRACT_CHAIN, FRAGMENT_WIDTH)?;
        chain.encode_body(&mut e)?;
        e.event(FRAGMENT_ED_CODE, FRAGMENT_WIDTH)?;
        e.finish()
    })
}

/// The fragment of an `eMAID` with its `Id`.
pub(super) fn emaid(emaid: &EMAID, coding: ValueCoding) -> ExiResult<Vec<u8>> {
    encode_growing(|buffer| {
        let mut e = Encoder::with_value_coding(buffer, coding);
        e.write_header(Header::ISO15118)?;
        e.event(EMAID_ELEMENT, FRAGMENT_WIDTH)?;
        e.event(AT_ID, FIRST_WIDTH)?;
        e.string(ID_VALUE, &emaid.id, Lengths::max(65536))?;
        e.event(CHARACTERS, FIRST_WIDTH)?;
        e.string(EMAID_VALUE, &emaid.value, Lengths::max(65536))?;
        e.event(END, NEXT_WIDTH)?;
        e.event(FRAGMENT_ED_CODE, FRAGMENT_WIDTH)?;
        e.finish()
    })
}
