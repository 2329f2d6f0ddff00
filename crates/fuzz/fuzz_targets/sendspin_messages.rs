//! What a Sendspin client says once it is encrypted, in every state of the connection: no panic, bounded answers.
#![no_main]

use std::sync::Arc;

use antiphon_domain::HubTime;
use antiphon_sendspin::wire::link::Activity;
use antiphon_sendspin::wire::noise::Suite;
use antiphon_sendspin::wire::pairing::Method;
use antiphon_sendspin::wire::peer::Peer;
use antiphon_sendspin::wire::{Credential, Identity, Link, Psk};
use libfuzzer_sys::fuzz_target;

/// Carries what both have to say; false when the connection is over.
fn carry(link: &mut Link, peer: &mut Peer) -> bool {
    // Two honest peers are done after some rounds.
    for _ in 0..20 {
        let mut quiet = true;
        while let Some(frame) = peer.frame() {
            quiet = false;
            if link.receive(&frame, HubTime::EPOCH).is_err() {
                return false;
            }
        }
        while link.news().is_some() {}
        assert!(link.owed() < 16, "{} frames for one", link.owed());
        while let Some(frame) = link.frame() {
            quiet = false;
            if peer.receive(&frame).is_err() {
                return false;
            }
        }
        if quiet {
            break;
        }
    }
    true
}

// The first byte chooses a state; messages follow, each with two bytes of length before it.
fuzz_target!(|input: &[u8]| {
    let Some((&state, mut rest)) = input.split_first() else { return };
    let suite = if state & 1 == 0 { Suite::ChaChaPoly } else { Suite::AesGcm };
    let mut link = Link::new(Identity::new([1; 32]), "Hub", Arc::new(|_: &_| Credential::sentinel()), None);
    let mut peer = Peer::new([2; 32], suite, Peer::player());
    peer.pairs = state & 2 == 0;
    assert!(carry(&mut link, &mut peer));
    let begun = match state >> 2 & 7 {
        0 => link.activate(Activity::Playback, &["player@v1".into()]),
        1 => link.pair(Method::Digits, [6; 32]),
        2 => link.pair(Method::Fixed, [6; 32]),
        3 => link.pair(Method::Token, [6; 32]),
        4 => link.pair(Method::Qr, [6; 32]).and_then(|()| link.code(&[7; 24], [8; 32])),
        5 => link.rekey(Credential::pairing(Psk::new([5; 32]))),
        _ => Ok(()),
    };
    assert!(begun.is_ok());
    while rest.len() > 2 {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]])).min(rest.len() - 2);
        let (message, after) = rest[2..].split_at(length);
        rest = after;
        if peer.plain(message).is_err() || !carry(&mut link, &mut peer) {
            return;
        }
    }
});
