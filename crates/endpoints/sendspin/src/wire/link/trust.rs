//! Pairing and the change of keys on a [`Link`].

use rand::random;
use serde_json::{Map, Value, json};

use super::{Link, News};
use crate::wire::fault::Fault;
use crate::wire::key::{Credential, Psk, encode};
use crate::wire::noise::{self, Handshake, Shaken};
use crate::wire::pairing::{Attempt, Method, Step};

impl Link {
    /// Begins to pair. Streams have been ended and roles taken back before.
    pub fn pair(&mut self, method: Method, nonce: [u8; 32]) -> Result<(), Fault> {
        let (Some((_, suite)), Some(channel)) = (self.client, &self.channel) else {
            return Err(Fault::OutOfTurn("before the handshake"));
        };
        self.attempts += 1;
        self.attempt = Some(Attempt::new(method, suite, *channel.hash(), self.attempts, nonce));
        let announced = json!({"activities": ["pairing"], "active_roles": [], "pairing": method.announced()});
        self.json("server/activate", &announced)
    }

    /// The person's code; `random` is fresh.
    pub fn code(&mut self, code: &[u8], random: [u8; 32]) -> Result<(), Fault> {
        let Some(attempt) = &mut self.attempt else { return Ok(()) };
        let steps = attempt.code(code, random);
        self.steps(steps)
    }

    /// Tells the client that a person stopped the pairing.
    pub fn cancel_pairing(&mut self) -> Result<(), Fault> {
        if self.attempt.take().is_none() {
            return Ok(());
        }
        self.json("pair/abort", &json!({"reason": "user_cancelled"}))
    }

    pub(super) fn pair_message(&mut self, kind: &str, payload: &Map<String, Value>) -> Result<(), Fault> {
        match &mut self.attempt {
            Some(attempt) => {
                let steps = attempt.message(kind, payload, random())?;
                self.steps(steps)
            }
            // What was on its way when we ended it.
            None if self.attempts > 0 => Ok(()),
            None => Err(Fault::OutOfTurn("pairing")),
        }
    }

    fn steps(&mut self, steps: Vec<Step>) -> Result<(), Fault> {
        for step in steps {
            match step {
                Step::Send(kind, payload) => self.json(kind, &payload)?,
                Step::CodeWanted => self.news.push_back(News::CodeWanted),
                Step::Pending(words) => self.news.push_back(News::PairPending(words)),
                Step::Wrong => self.news.push_back(News::WrongCode),
                Step::Over(why) => {
                    self.attempt = None;
                    self.news.push_back(News::PairOver(why));
                }
                Step::Paired(psk) => {
                    self.attempt = None;
                    self.news.push_back(News::Paired(psk));
                }
            }
        }
        Ok(())
    }

    /// The new key is kept: tells the client, and changes to it.
    pub fn kept(&mut self, psk: Psk) -> Result<(), Fault> {
        self.json("server/pair-finalize", &json!({}))?;
        self.rekey(Credential::long_term(psk))
    }

    /// Changes keys. Nothing may be sent until [`News::Rekeyed`].
    pub fn rekey(&mut self, credential: Credential) -> Result<(), Fault> {
        let (Some((client, suite)), Some(channel)) = (self.client, &self.channel) else {
            return Err(Fault::OutOfTurn("before the handshake"));
        };
        let (handshake, message) =
            Handshake::begin(suite, &self.identity, &client, channel.hash(), credential, false)?;
        self.json("noise/handshake", &json!({"data": encode(&message)}))?;
        self.rekeying = Some(handshake);
        Ok(())
    }

    pub(super) fn rekeyed(&mut self, payload: &Map<String, Value>) -> Result<(), Fault> {
        let Some(handshake) = self.rekeying.take() else { return Err(Fault::OutOfTurn("handshake")) };
        let Shaken { channel, credential, .. } = handshake.end(noise::data(payload)?)?;
        (self.channel, self.credential, self.mismatch) = (Some(channel), credential, false);
        self.attempts = 0;
        self.news.push_back(News::Rekeyed);
        Ok(())
    }

    /// Asks the client to forget us.
    pub fn unpair(&mut self) -> Result<(), Fault> {
        self.json("server/unpair", &json!({}))
    }
}
