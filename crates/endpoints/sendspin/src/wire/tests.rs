//! The machine against a client of our own.

use std::sync::Arc;

use antiphon_domain::HubTime;
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::key::{Category, Credential, Identity, PeerId, Psk};
use super::link::{Activity, Frame, Link, News};
use super::noise::Suite;
use super::pairing::Method;
use super::peer::{Got, Peer};
use super::{Fault, Goodbye};

const NOW: HubTime = HubTime::from_nanos(1_234_567_890_123);

struct Pair {
    link: Link,
    peer: Peer,
    news: Vec<News>,
    got: Vec<Got>,
}

fn keys(credential: Credential) -> super::link::Keys {
    Arc::new(move |_: &PeerId| credential.clone())
}

impl Pair {
    fn new(suite: Suite, credential: Credential) -> Self {
        let link = Link::new(Identity::new([1; 32]), "Hub", keys(credential), None);
        let peer = Peer::new([2; 32], suite, Peer::player());
        Self { link, peer, news: Vec::new(), got: Vec::new() }
    }

    /// Carries frames to and fro until nobody has any.
    fn carry(&mut self) -> Result<(), Fault> {
        loop {
            let mut quiet = true;
            while let Some(frame) = self.peer.frame() {
                quiet = false;
                self.link.receive(&frame, NOW)?;
            }
            while let Some(news) = self.link.news() {
                self.news.push(news);
            }
            while let Some(frame) = self.link.frame() {
                quiet = false;
                self.got.extend(self.peer.receive(&frame)?);
            }
            if quiet {
                return Ok(());
            }
        }
    }

    fn up(suite: Suite, credential: Credential) -> Self {
        let mut pair = Self::new(suite, credential);
        pair.carry().unwrap();
        assert!(matches!(pair.news.remove(0), News::Hello(hello) if hello.name == "Fake"));
        pair.link.activate(Activity::Idle, &[]).unwrap();
        pair.carry().unwrap();
        pair
    }

    fn says(&mut self, kind: &str, payload: Value) -> Result<(), Fault> {
        self.peer.json(kind, &payload).unwrap();
        self.carry()
    }

    fn heard(&self, kind: &str) -> Option<&serde_json::Map<String, Value>> {
        self.got.iter().rev().find_map(|got| match got {
            Got::Json(has, payload) if has == kind => Some(payload),
            _ => None,
        })
    }

    fn code(&self) -> Vec<u8> {
        let code = self.got.iter().rev().find_map(|got| match got {
            Got::Code(code) => Some(code.clone()),
            _ => None,
        });
        code.unwrap()
    }
}

#[test]
fn both_suites_lead_to_a_hello_and_an_activation() {
    for suite in [Suite::ChaChaPoly, Suite::AesGcm] {
        let pair = Pair::up(suite, Credential::sentinel());
        assert_eq!(pair.link.client(), Some(pair.peer.id()));
        assert_eq!(pair.heard("server/hello").unwrap()["name"], "Hub");
        let activated = pair.heard("server/activate").unwrap();
        assert_eq!(activated["activities"], json!([]));
        assert_eq!(activated["active_roles"], json!([]));
    }
}

#[test]
fn what_is_sent_is_what_arrives() {
    let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
    let big: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
    pair.link.binary(9, &big).unwrap();
    let due = NOW.nanos() / 1_000 + 500_000;
    for (due, ahead) in [(due, 500_000u32), (0, 0), (i64::MAX, u32::MAX)] {
        pair.got.clear();
        pair.link.audio(due, b"sound", NOW).unwrap();
        pair.carry().unwrap();
        let expected = [&due.to_be_bytes()[..], &ahead.to_be_bytes(), b"sound"].concat();
        assert_eq!(pair.got.pop(), Some(Got::Binary(4, expected)));
        assert!(pair.got.is_empty() || pair.got == [Got::Binary(9, big.clone())]);
    }
    let mut payload = serde_json::Map::new();
    payload.insert("player".into(), json!({}));
    pair.link.stamped("stream/start", payload, NOW).unwrap();
    pair.carry().unwrap();
    assert_eq!(pair.heard("stream/start").unwrap()["server_transmitted"], NOW.nanos() / 1_000);
}

#[test]
fn the_time_is_told() {
    let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
    pair.says("client/time", json!({"client_transmitted": -5})).unwrap();
    let told = pair.heard("server/time").unwrap();
    assert_eq!(told["client_transmitted"], -5);
    assert_eq!(told["server_received"], NOW.nanos() / 1_000);
    assert_eq!(pair.news, [News::Time(-5)]);
    assert!(pair.says("client/time", json!({"client_transmitted": 1e300})).is_err());
}

#[test]
fn a_client_that_lost_its_key_says_so_and_one_with_another_is_refused() {
    let known = Psk::new([3; 32]);
    let mut pair = Pair::new(Suite::AesGcm, Credential::long_term(known.clone()));
    pair.carry().unwrap();
    assert!(pair.link.mismatch());
    assert_eq!(pair.link.credential().category, Category::Sentinel);

    let mut pair = Pair::new(Suite::AesGcm, Credential::long_term(known.clone()));
    pair.peer.keys.push(Credential::long_term(known));
    pair.carry().unwrap();
    assert!(!pair.link.mismatch());
    assert_eq!(pair.link.credential().category, Category::LongTerm);
}

#[test]
fn somebody_else_at_the_address_is_refused() {
    let expected = Some(Identity::new([8; 32]).id());
    let mut link = Link::new(Identity::new([1; 32]), "Hub", keys(Credential::sentinel()), expected);
    let mut peer = Peer::new([2; 32], Suite::AesGcm, Peer::player());
    assert_eq!(link.receive(&peer.frame().unwrap(), NOW), Err(Fault::Impostor));
    assert_eq!(link.frame(), None);
}

#[test]
fn an_opening_that_cannot_be_answered_is_told_why() {
    let mut link = Link::new(Identity::new([1; 32]), "Hub", keys(Credential::sentinel()), None);
    assert!(link.receive(&Frame::Binary(Bytes::from_static(b"x")), NOW).is_err());
    let Some(Frame::Text(told)) = link.frame() else { panic!() };
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["payload"]["reason"], "malformed");
}

#[test]
fn a_client_of_before_encryption_is_known_as_such() {
    let mut link = Link::new(Identity::new([1; 32]), "Hub", keys(Credential::sentinel()), None);
    let hello = r#"{"type":"client/hello","payload":{"client_id":"x","name":"y","version":1}}"#;
    assert_eq!(link.receive(&Frame::Text(hello.into()), NOW), Err(Fault::Outdated));
    assert!(matches!(link.frame(), Some(Frame::Text(told)) if told.contains("malformed")));
}

#[test]
fn cleartext_and_tampering_end_an_encrypted_connection() {
    let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
    let text = Frame::Text(r#"{"type":"client/state","payload":{}}"#.into());
    assert_eq!(pair.link.receive(&text, NOW), Err(Fault::Cipher));
    pair.peer.json("client/leave", &json!({})).unwrap();
    let Some(Frame::Binary(bytes)) = pair.peer.frame() else { panic!() };
    let mut bent = bytes.to_vec();
    bent[3] ^= 1;
    assert_eq!(pair.link.receive(&Frame::Binary(bent.into()), NOW), Err(Fault::Cipher));
}

#[test]
fn messages_are_sorted() {
    let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
    pair.says("client/state", json!({"available": true})).unwrap();
    pair.says("client/command", json!({"controller": {}})).unwrap();
    pair.says("client/leave", json!({})).unwrap();
    pair.says("client/novelty", json!({})).unwrap();
    pair.peer.plain(&[13, 1, 2]).unwrap();
    pair.says("client/goodbye", json!({"reason": "another_server"})).unwrap();
    assert!(matches!(pair.news[0], News::State(_)) && matches!(pair.news[1], News::Command(_)));
    let rest = [
        News::Leave,
        News::Ignored("unknown"),
        News::Ignored("binary"),
        News::Goodbye(Goodbye::AnotherServer),
    ];
    assert_eq!(pair.news[2..], rest);
    for bad in ["client/hello", "noise/handshake", "client/pair-init"] {
        let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
        assert!(matches!(pair.says(bad, Peer::player()), Err(Fault::OutOfTurn(_))), "{bad}");
    }
}

fn pairs(mut pair: Pair) -> Pair {
    let Some(News::Paired(psk)) = pair.news.pop() else { panic!("{:?}", pair.news) };
    assert_eq!(psk, pair.peer.gives);
    pair.link.kept(psk.clone()).unwrap();
    assert!(!pair.link.is_open());
    pair.carry().unwrap();
    assert_eq!(pair.news.pop(), Some(News::Rekeyed));
    assert_eq!(*pair.link.credential(), Credential::long_term(psk));
    pair.link.activate(Activity::Playback, &["player@v1".into()]).unwrap();
    pair.carry().unwrap();
    assert_eq!(pair.heard("server/activate").unwrap()["activities"], json!(["playback"]));
    pair
}

#[test]
fn a_token_pairs() {
    let mut pair = Pair::up(Suite::AesGcm, Credential::sentinel());
    let token = Credential::pairing(Psk::new([4; 32]));
    pair.peer.keys.push(token.clone());
    pair.link.rekey(token).unwrap();
    pair.carry().unwrap();
    assert_eq!(pair.news.pop(), Some(News::Rekeyed));
    pair.link.pair(Method::Token, [0; 32]).unwrap();
    pair.carry().unwrap();
    pairs(pair);
}

#[test]
fn codes_that_are_shown_pair_at_the_second_try() {
    for (suite, method) in [(Suite::AesGcm, Method::Digits), (Suite::ChaChaPoly, Method::Qr)] {
        let mut pair = Pair::up(suite, Credential::sentinel());
        pair.link.pair(method, [6; 32]).unwrap();
        pair.carry().unwrap();
        assert_eq!(pair.news.pop(), Some(News::CodeWanted));
        pair.link.code(b"nonsense", [7; 32]).unwrap();
        pair.carry().unwrap();
        assert_eq!(pair.news, [News::WrongCode, News::CodeWanted]);
        let code = pair.code();
        pair.link.code(&code, [7; 32]).unwrap();
        pair.carry().unwrap();
        let mut pair = pairs(pair);
        pair.link.unpair().unwrap();
        pair.carry().unwrap();
        assert!(pair.heard("server/unpair").is_some());
    }
}

#[test]
fn a_printed_code_pairs_and_a_wrong_one_ends_the_attempt() {
    let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
    pair.link.pair(Method::Fixed, [6; 32]).unwrap();
    pair.link.code(b"00000000", [7; 32]).unwrap();
    pair.carry().unwrap();
    let expected = [
        News::PairPending(Some("Press it".into())),
        News::WrongCode,
        News::PairOver("the code is not its own"),
    ];
    assert_eq!(pair.news, expected);
    assert_eq!(pair.link.pairing(), None);
    // What is on its way from an attempt that is over harms nobody.
    pair.says("client/pair-confirm", json!({})).unwrap();
    pair.link.pair(Method::Fixed, [6; 32]).unwrap();
    pair.carry().unwrap();
    assert_eq!(pair.news.pop(), Some(News::CodeWanted));
    pair.link.code(b"12345678", [7; 32]).unwrap();
    pair.carry().unwrap();
    pairs(pair);
}

#[test]
fn a_pairing_out_of_sequence_ends_the_connection() {
    for (kind, payload) in [
        ("client/pair-init", json!({})),
        ("client/pair-init", json!({"pairing_index": 2})),
        ("client/pair-init", json!({"pairing_index": 1, "commit_B": "short"})),
        ("client/pair-auth", json!({"pake_msg_2": "x"})),
        ("client/pair-finalize", json!({"long_term_psk": "x"})),
        ("client/pair-retry", json!({})),
    ] {
        let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
        pair.peer.pairs = false;
        pair.link.pair(Method::Digits, [6; 32]).unwrap();
        pair.carry().unwrap();
        assert!(matches!(pair.says(kind, payload), Err(Fault::Pairing(_))), "{kind}");
    }
    let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
    pair.peer.pairs = false;
    pair.link.pair(Method::Digits, [6; 32]).unwrap();
    pair.link.pair(Method::Digits, [6; 32]).unwrap();
    pair.says("client/pair-init", json!({"pairing_index": 1})).unwrap();
    assert_eq!(pair.news, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_opening_is_answered(frames in proptest::collection::vec(("\\PC*", any::<bool>()), 0..4)) {
        let mut link = Link::new(Identity::new([1; 32]), "Hub", keys(Credential::sentinel()), None);
        for (text, is_text) in frames {
            let frame = if is_text { Frame::Text(text) } else { Frame::Binary(Bytes::from(text)) };
            let _ = link.receive(&frame, NOW);
        }
    }

    #[test]
    fn any_message_is_answered(plains in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 1..6)) {
        let mut pair = Pair::up(Suite::ChaChaPoly, Credential::sentinel());
        for plain in plains {
            pair.peer.plain(&plain).unwrap();
            let _ = pair.carry();
        }
    }
}
