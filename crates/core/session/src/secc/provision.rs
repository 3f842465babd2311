//! Contracts on their way into the vehicle: the station asks the platform and passes on what it says.
//!
//! The station judges neither the request nor the contract: the provisioning service and the vehicle do, with
//! keys and roots the station does not have. It only makes sure that what it passes on is an answer to what was
//! asked, within the bounds of its standard.

use std::time::Duration;

use gridlatch_vocab::catalogue::{pnc as codes, provisioning as faults};
use iso15118::Protocol;
use iso15118::message::Message;
use iso15118::v2gtp::PayloadType;

use super::policy::{Answer, Policy};
use super::types::{Clock, Notice, Output};
use crate::evcc::Generation;
use crate::provisioning::{Action, MAX_MESSAGE, Refusal, refuse};

/// How long the platform may take. The vehicle waits 5 s (ISO 15118-2 table 109, ISO 15118-20 table 215), and the
/// answer has to travel yet.
pub(super) const PATIENCE: Duration = Duration::from_millis(4_200);

/// How often a vehicle may ask in one session; ISO 15118-20 lets it ask for one contract after the other.
const MAX_ASKED: u8 = 8;

/// Where the request of a session stands.
#[derive(Debug, Default)]
pub(super) enum Provisioning {
    #[default]
    Idle,
    Asked {
        generation: Generation,
        action: Action,
        request: &'static str,
    },
    Answered(Box<Message>),
}

impl Policy {
    /// Contracts come over TLS only, and only where somebody behind the station provides them.
    pub(super) const fn offers_provisioning(&self) -> bool {
        self.config.provisioning && self.offers_contract()
    }

    /// Passes the request on, as it came.
    pub(super) fn ask_for_contract(&mut self, generation: Generation, action: Action, request: &'static str) {
        if self.provisioning_asked >= MAX_ASKED {
            self.notice_request(
                codes::CONTRACT_NOT_PROVIDED,
                request,
                "the vehicle asks again and again; the platform is not asked any more in this session",
            );
            return;
        }
        self.provisioning_asked += 1;
        if !self.offers_provisioning() {
            self.notice_request(
                codes::CONTRACT_NOT_PROVIDED,
                request,
                "the vehicle asks for a contract, which this station did not offer",
            );
            return;
        }
        let exi = self
            .frame
            .get(super::framing::HEADER..)
            .unwrap_or_default()
            .to_vec();
        self.outputs.push_back(Output::Event(
            Notice::new(
                codes::CONTRACT_ASKED,
                "the vehicle asks for a contract; the request goes to the platform",
            )
            .with("request", request)
            .with("octets", exi.len().to_string()),
        ));
        self.provisioning = Provisioning::Asked {
            generation,
            action,
            request,
        };
        self.outputs.push_back(Output::Provision {
            generation,
            action,
            exi,
        });
    }

    /// What came from the platform: a response of the provisioning service in EXI, or why there is none.
    pub(super) fn provisioned(&mut self, clock: Clock, answer: Result<Vec<u8>, String>) {
        let Provisioning::Asked {
            generation,
            action,
            request,
        } = self.provisioning
        else {
            return;
        };
        let passed = answer
            .map_err(|reason| (codes::CONTRACT_NOT_PROVIDED, reason))
            .and_then(|exi| read(generation, request, &exi).map_err(|why| (faults::ANSWER_MALFORMED, why)));
        match passed {
            Ok(message) => {
                let told = message
                    .outcome()
                    .is_some_and(|outcome| outcome == iso15118::message::Outcome::Ok);
                if told {
                    self.notice_request(
                        codes::CONTRACT_PASSED_ON,
                        request,
                        "a contract of the provisioning service goes to the vehicle",
                    );
                } else {
                    self.notice_request(
                        codes::CONTRACT_NOT_PROVIDED,
                        request,
                        "the provisioning service refused; the vehicle is told its reason",
                    );
                }
                self.provisioning = Provisioning::Answered(Box::new(message));
            }
            Err((code, why)) => {
                self.notice_request(code, request, &why);
                self.no_contract(clock, generation, action, request);
            }
        }
    }

    /// Answers the request, or waits for the platform.
    pub(super) fn answer_provisioning(&mut self, clock: Clock, waited: Duration) -> Option<Answer> {
        match std::mem::take(&mut self.provisioning) {
            Provisioning::Answered(message) => Some(Answer::With(message)),
            asked @ Provisioning::Asked { .. } if waited < PATIENCE => {
                self.provisioning = asked;
                Some(Answer::Hold)
            }
            Provisioning::Asked {
                generation,
                action,
                request,
            } => {
                self.notice_request(
                    codes::CONTRACT_NOT_PROVIDED,
                    request,
                    "the platform did not answer in the time the vehicle waits",
                );
                self.no_contract(clock, generation, action, request);
                match std::mem::take(&mut self.provisioning) {
                    Provisioning::Answered(message) => Some(Answer::With(message)),
                    _ => None,
                }
            }
            Provisioning::Idle => None,
        }
    }

    /// A refusal in the words of the standard.
    fn no_contract(&mut self, clock: Clock, generation: Generation, action: Action, request: &'static str) {
        let refusal = refuse(generation, action, &[0; 8], Refusal::NoContract, clock.wall)
            .map_err(|error| error.to_string())
            .and_then(|exi| read(generation, request, &exi));
        self.provisioning = match refusal {
            Ok(message) => Provisioning::Answered(Box::new(message)),
            // Plain FAILED follows; it always exists.
            Err(_) => Provisioning::Idle,
        };
    }
}

/// A response in EXI as a message that answers `request`.
fn read(generation: Generation, request: &str, exi: &[u8]) -> Result<Message, String> {
    if exi.len() > MAX_MESSAGE {
        return Err(format!(
            "the answer of the provisioning service has {} bytes, at most {MAX_MESSAGE} are passed on",
            exi.len()
        ));
    }
    let (protocol, kind) = match generation {
        Generation::Iso2 => (Protocol::Iso2, PayloadType::ExiEncodedV2gMessage),
        Generation::Iso20 => (Protocol::Iso20, PayloadType::Part20Main),
    };
    let message = Message::decode(Some(protocol), kind, exi)
        .map_err(|error| format!("the answer of the provisioning service cannot be read: {error}"))?;
    if message.answers(request) {
        Ok(message)
    } else {
        Err(format!(
            "the provisioning service answered {request} with {}",
            message.name()
        ))
    }
}
