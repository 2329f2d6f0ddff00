//! The merge by script and by chance: no clock, no socket.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use antiphon_discovery::DiscoveryEvent::{self, Appeared, Changed, Returned, Unreachable};
use antiphon_discovery::merge::{Input, MAX_ENDPOINTS, Merge, Output, Refusal, Setting};
use antiphon_domain::{HubTime, SpeakerId};
use antiphon_endpoint::Descriptor;
use proptest::prelude::*;

fn at(millis: u64) -> HubTime {
    HubTime::EPOCH + Duration::from_millis(millis)
}

fn id(text: &str) -> SpeakerId {
    SpeakerId::new(text)
}

fn device(id: &str, name: &str, addresses: &[&str]) -> Descriptor {
    Descriptor {
        id: SpeakerId::new(id),
        name: name.into(),
        kind: "airplay",
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        properties: BTreeMap::new(),
    }
}

fn fixed(id: &str, addresses: &[&str]) -> Setting {
    Setting { id: SpeakerId::new(id), name: None, fixed: Some(device(id, id, addresses)) }
}

fn drain(merge: &mut Merge) -> Vec<Output> {
    std::iter::from_fn(|| merge.poll_output()).collect()
}

fn events(merge: &mut Merge) -> Vec<DiscoveryEvent> {
    drain(merge)
        .into_iter()
        .filter_map(|output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        })
        .collect()
}

fn resolved(merge: &mut Merge, instance: &str, descriptor: Descriptor, now: u64) -> Vec<DiscoveryEvent> {
    merge.handle_input(Input::Resolved { instance: instance.into(), descriptor }, at(now));
    events(merge)
}

fn removed(merge: &mut Merge, instance: &str, now: u64) -> Vec<Output> {
    merge.handle_input(Input::Removed { instance: instance.into() }, at(now));
    drain(merge)
}

/// Wakes the merge when it wants to be and answers its one probe; when that was and what came of it.
fn probe(merge: &mut Merge, answered: bool) -> (HubTime, Vec<Output>) {
    let now = merge.next_wake().unwrap();
    merge.handle_input(Input::Wake, now);
    (now, answer(merge, now, answered))
}

fn answer(merge: &mut Merge, now: HubTime, answered: bool) -> Vec<Output> {
    let mut outputs = drain(merge);
    let Some(Output::Probe { id, attempt, .. }) = outputs.pop() else { panic!("no probe: {outputs:?}") };
    merge.handle_input(Input::Probed { id, attempt, answered }, now);
    drain(merge)
}

#[test]
fn a_device_appears_changes_goes_and_returns() {
    let mut merge = Merge::default();
    let kitchen = device("A", "Kitchen", &["192.0.2.1:5000"]);
    assert_eq!(resolved(&mut merge, "A@Kitchen", kitchen.clone(), 0), [Appeared(kitchen.clone())]);
    assert_eq!(resolved(&mut merge, "A@Kitchen", kitchen.clone(), 1), []);
    let moved = device("A", "Kitchen", &["192.0.2.9:5000"]);
    assert_eq!(resolved(&mut merge, "A@Kitchen", moved.clone(), 2), [Changed(moved.clone())]);
    assert_eq!(
        removed(&mut merge, "A@Kitchen", 3),
        [Output::Event(Unreachable { id: id("A"), since: at(3) }), Output::Query { kind: "airplay" },]
    );
    assert_eq!(merge.endpoints().collect::<Vec<_>>(), [(&moved, false)]);
    // Back at another port, under a new name.
    let back = device("A", "Bath", &["192.0.2.9:5001"]);
    assert_eq!(resolved(&mut merge, "A@Bath", back.clone(), 4), [Returned(back.clone())]);
    assert_eq!(merge.endpoints().collect::<Vec<_>>(), [(&back, true)]);
    assert_eq!(merge.next_wake(), None);
}

#[test]
fn the_same_name_twice_is_two_speakers() {
    let mut merge = Merge::default();
    let one = device("A", "Kitchen", &["192.0.2.1:5000"]);
    let two = device("B", "Kitchen", &["192.0.2.2:5000"]);
    assert_eq!(resolved(&mut merge, "A@Kitchen", one.clone(), 0), [Appeared(one)]);
    assert_eq!(resolved(&mut merge, "B@Kitchen", two.clone(), 0), [Appeared(two.clone())]);
    removed(&mut merge, "A@Kitchen", 1);
    let states: Vec<_> = merge.endpoints().map(|(d, there)| (d.id.as_str(), there)).collect();
    assert_eq!(states, [("A", false), ("B", true)]);
}

#[test]
fn one_device_under_two_instances_is_one_and_leaves_with_the_last() {
    let mut merge = Merge::default();
    let old = device("A", "Kitchen", &["192.0.2.1:5000"]);
    let new = device("A", "Bath", &["192.0.2.2:5000"]);
    resolved(&mut merge, "A@Kitchen", old.clone(), 0);
    let both = device("A", "Bath", &["192.0.2.2:5000", "192.0.2.1:5000"]);
    assert_eq!(resolved(&mut merge, "A@Bath", new.clone(), 1), [Changed(both)]);
    // Said again, the old one does not become the newest.
    assert_eq!(resolved(&mut merge, "A@Kitchen", old, 2), []);
    assert_eq!(removed(&mut merge, "A@Kitchen", 3), [Output::Event(Changed(new))]);
    assert!(matches!(removed(&mut merge, "A@Bath", 4)[0], Output::Event(Unreachable { .. })));
}

#[test]
fn a_new_device_behind_an_old_name_is_another_speaker() {
    let mut merge = Merge::default();
    resolved(&mut merge, "Kitchen", device("A", "Kitchen", &["192.0.2.1:5000"]), 0);
    let other = device("B", "Kitchen", &["192.0.2.1:5000"]);
    assert_eq!(
        resolved(&mut merge, "Kitchen", other.clone(), 1),
        [Unreachable { id: id("A"), since: at(1) }, Appeared(other)]
    );
    // Somebody else lives at A's address now: an answer there would not be A's.
    let (_, outputs) = {
        let now = merge.next_wake().unwrap();
        merge.handle_input(Input::Wake, now);
        (now, drain(&mut merge))
    };
    assert_eq!(outputs, []);
    assert!(merge.next_wake().is_some());
}

#[test]
fn an_unreachable_one_is_probed_after_1_2_4_up_to_60_s_until_it_answers() {
    let mut merge = Merge::default();
    let kitchen = device("A", "Kitchen", &["192.0.2.1:5000"]);
    resolved(&mut merge, "i", kitchen.clone(), 0);
    removed(&mut merge, "i", 1_000);
    let mut times = vec![at(1_000)];
    for _ in 0..9 {
        let (when, outputs) = probe(&mut merge, false);
        assert_eq!(outputs, []);
        times.push(when);
    }
    let pauses: Vec<u64> = times.windows(2).map(|w| w[1].since(w[0]).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    let (_, outputs) = probe(&mut merge, true);
    assert_eq!(outputs, [Output::Event(Returned(kitchen))]);
    assert_eq!(merge.next_wake(), None);
}

#[test]
fn one_that_only_a_probe_can_find_is_never_left_alone_for_5_s() {
    let mut merge = Merge::new(vec![fixed("kitchen", &["192.0.2.1:5000"])], vec![], at(0));
    assert!(matches!(events(&mut merge)[..], [Appeared(_)]));
    merge.handle_input(Input::Lost(id("kitchen")), at(10));
    let outputs = answer(&mut merge, at(10), false);
    assert_eq!(outputs[0], Output::Event(Unreachable { id: id("kitchen"), since: at(10) }));
    let mut last = at(10);
    for _ in 0..20 {
        let (when, _) = probe(&mut merge, false);
        assert!(when.since(last) < Duration::from_secs(5));
        last = when;
    }
}

#[test]
fn one_whose_record_holds_while_its_port_is_closed_is_never_left_alone_for_5_s() {
    let mut merge = Merge::default();
    resolved(&mut merge, "i", device("A", "Kitchen", &["192.0.2.1:5000"]), 0);
    merge.handle_input(Input::Lost(id("A")), at(10));
    answer(&mut merge, at(10), false);
    let mut last = at(10);
    for _ in 0..20 {
        let (when, _) = probe(&mut merge, false);
        assert!(when.since(last) < Duration::from_secs(5));
        last = when;
    }
}

#[test]
fn a_complaint_is_checked_at_once_and_verified_when_nobody_answers() {
    let mut merge = Merge::default();
    let kitchen = device("A", "Kitchen", &["192.0.2.1:5000"]);
    resolved(&mut merge, "i", kitchen.clone(), 0);
    merge.handle_input(Input::Lost(id("A")), at(5_000));
    assert_eq!(answer(&mut merge, at(5_000), true), []);
    merge.handle_input(Input::Lost(id("A")), at(5_500));
    assert_eq!(drain(&mut merge), [], "complaints within a second are one");

    merge.handle_input(Input::Lost(id("A")), at(7_000));
    assert_eq!(
        answer(&mut merge, at(8_000), false),
        [
            Output::Event(Unreachable { id: id("A"), since: at(8_000) }),
            Output::Verify { instance: "i".into() },
            Output::Query { kind: "airplay" },
        ]
    );
    // The record as it was, out of the cache, proves nothing; it is worth a probe.
    assert_eq!(resolved(&mut merge, "i", kitchen.clone(), 8_001), []);
    assert_eq!(merge.next_wake(), Some(at(8_001)));
    assert_eq!(probe(&mut merge, false).1, []);
    // Gone from the cache and announced anew it counts.
    assert_eq!(removed(&mut merge, "i", 11_000), []);
    assert_eq!(resolved(&mut merge, "i", kitchen.clone(), 12_000), [Returned(kitchen)]);
}

#[test]
fn an_answer_that_comes_too_late_changes_nothing() {
    let mut merge = Merge::default();
    let kitchen = device("A", "Kitchen", &["192.0.2.1:5000"]);
    resolved(&mut merge, "i", kitchen.clone(), 0);
    merge.handle_input(Input::Lost(id("A")), at(10));
    let Some(Output::Probe { id, attempt, .. }) = merge.poll_output() else { panic!() };
    removed(&mut merge, "i", 20);
    let moved = device("A", "Kitchen", &["192.0.2.2:5000"]);
    assert_eq!(resolved(&mut merge, "i", moved.clone(), 30), [Returned(moved)]);
    merge.handle_input(Input::Probed { id, attempt, answered: false }, at(2_000));
    assert_eq!(drain(&mut merge), []);
}

#[test]
fn remembered_speakers_wait_in_silence_and_return() {
    let kitchen = device("A", "Kitchen", &["192.0.2.1:5000"]);
    let mut merge = Merge::new(vec![], vec![kitchen.clone()], at(0));
    assert_eq!(drain(&mut merge), []);
    assert_eq!(merge.next_wake(), Some(at(0)));
    let (_, outputs) = probe(&mut merge, true);
    assert_eq!(outputs, [Output::Event(Returned(kitchen.clone()))]);

    let mut merge = Merge::new(vec![], vec![kitchen], at(0));
    let moved = device("A", "Kitchen", &["192.0.2.7:5000"]);
    assert_eq!(resolved(&mut merge, "i", moved.clone(), 5), [Returned(moved)]);
}

#[test]
fn a_configured_address_and_its_record_are_one_speaker() {
    let mut merge = Merge::new(vec![fixed("kitchen", &["192.0.2.1:5000"])], vec![], at(0));
    events(&mut merge);
    let mut record = device("33FA", "Küche", &["192.0.2.1:5000"]);
    record.properties.insert("et".into(), "0".into());
    let mut merged = record.clone();
    merged.id = id("kitchen");
    assert_eq!(resolved(&mut merge, "33FA@K", record.clone(), 1), [Changed(merged.clone())]);
    // It moves: known by its protocol's id from now on. The configured address stays, as the last resort.
    record.addresses = vec!["192.0.2.5:5000".parse().unwrap()];
    merged.addresses = vec!["192.0.2.5:5000".parse().unwrap(), "192.0.2.1:5000".parse().unwrap()];
    assert_eq!(resolved(&mut merge, "33FA@K", record, 2), [Changed(merged)]);
    assert_eq!(merge.endpoints().count(), 1);
}

#[test]
fn settings_name_a_discovered_speaker() {
    let setting = Setting { id: id("A"), name: Some("Mine".into()), fixed: None };
    let mut merge = Merge::new(vec![setting], vec![], at(0));
    assert_eq!(drain(&mut merge), []);
    let events = resolved(&mut merge, "i", device("A", "Theirs", &["192.0.2.1:5000"]), 0);
    assert_eq!(events, [Appeared(device("A", "Mine", &["192.0.2.1:5000"]))]);
}

#[test]
fn endpoints_of_this_machine_are_always_there() {
    let mut merge = Merge::new(vec![fixed("virtual", &[])], vec![], at(0));
    assert!(matches!(events(&mut merge)[..], [Appeared(_)]));
    merge.handle_input(Input::Lost(id("virtual")), at(1));
    assert_eq!(drain(&mut merge), []);
    assert_eq!(merge.next_wake(), None);
}

#[test]
fn a_forgotten_one_appears_anew() {
    let mut merge = Merge::default();
    let kitchen = device("A", "Kitchen", &["192.0.2.1:5000"]);
    resolved(&mut merge, "i", kitchen.clone(), 0);
    merge.handle_input(Input::Forget(id("A")), at(1));
    assert_eq!(merge.endpoints().count(), 0);
    assert_eq!(resolved(&mut merge, "i", kitchen.clone(), 2), [Appeared(kitchen)]);
}

#[test]
fn a_flood_of_names_is_bounded() {
    let mut merge = Merge::default();
    let mut refused = 0;
    for n in 0..MAX_ENDPOINTS + 10 {
        let descriptor = device(&format!("{n}"), "x", &["192.0.2.1:5000"]);
        merge.handle_input(Input::Resolved { instance: format!("{n}"), descriptor }, at(0));
        refused += drain(&mut merge).iter().filter(|o| **o == Output::Refused(Refusal::TooMany)).count();
    }
    assert_eq!((merge.endpoints().count(), refused), (MAX_ENDPOINTS, 10));
    merge.handle_input(Input::Resolved { instance: "i".into(), descriptor: device("0", "x", &[]) }, at(0));
    assert_eq!(drain(&mut merge), [Output::Refused(Refusal::NoAddress)]);
}

/// What chance may do: the numbers pick an instance, an id, a name and an address.
#[derive(Clone, Debug)]
enum Act {
    Resolve(u8, u8, u8, u8),
    Remove(u8),
    Lost(u8),
    Answer(bool),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..6_u8, 0..4_u8, 0..3_u8, 0..6_u8).prop_map(|(i, d, n, a)| Act::Resolve(i, d, n, a)),
        2 => (0..6_u8).prop_map(Act::Remove),
        2 => (0..5_u8).prop_map(Act::Lost),
        2 => any::<bool>().prop_map(Act::Answer),
        2 => (0..70_000_u64).prop_map(Act::Pass),
    ]
}

proptest! {
    /// Whatever happens: who appeared stays known; each id goes and returns in turn; the events add up to the picture;
    /// whoever is away is probed within a minute.
    #[test]
    fn the_events_tell_the_whole_story(acts in prop::collection::vec(act(), 1..200)) {
        let settings = vec![fixed("0", &["192.0.2.0:5000"]), fixed("4", &["192.0.2.5:5000"])];
        let remembered = device("1", "n", &["192.0.2.1:5000"]);
        let mut merge = Merge::new(settings, vec![remembered.clone()], at(0));
        let mut told = BTreeMap::from([(remembered.id.clone(), (remembered, false))]);
        let mut probes: Vec<(SpeakerId, u64)> = Vec::new();
        let mut numbers = BTreeSet::new();
        let mut millis = 0;
        for act in acts {
            match act {
                Act::Resolve(instance, device_id, name, address) => {
                    let descriptor =
                        device(&device_id.to_string(), &name.to_string(), &[&format!("192.0.2.{address}:5000")]);
                    let instance = instance.to_string();
                    merge.handle_input(Input::Resolved { instance, descriptor }, at(millis));
                }
                Act::Remove(i) => merge.handle_input(Input::Removed { instance: i.to_string() }, at(millis)),
                Act::Lost(i) => merge.handle_input(Input::Lost(id(&i.to_string())), at(millis)),
                Act::Answer(answered) => {
                    if let Some((id, attempt)) = probes.pop() {
                        merge.handle_input(Input::Probed { id, attempt, answered }, at(millis));
                    }
                }
                Act::Pass(more) => millis += more,
            }
            merge.handle_input(Input::Wake, at(millis));
            for output in drain(&mut merge) {
                match output {
                    Output::Event(Appeared(d)) => {
                        prop_assert!(told.insert(d.id.clone(), (d, true)).is_none());
                    }
                    Output::Event(Changed(d)) => {
                        let (was, there) = told.insert(d.id.clone(), (d.clone(), true)).unwrap();
                        prop_assert!(there && was != d);
                    }
                    Output::Event(Unreachable { id, since }) => {
                        prop_assert_eq!(since, at(millis));
                        let (_, there) = told.get_mut(&id).unwrap();
                        prop_assert!(std::mem::replace(there, false));
                    }
                    Output::Event(Returned(d)) => {
                        let (_, there) = told.insert(d.id.clone(), (d, true)).unwrap();
                        prop_assert!(!there);
                    }
                    Output::Probe { id, attempt, addresses } => {
                        prop_assert!(!addresses.is_empty() && numbers.insert(attempt));
                        probes.push((id, attempt));
                    }
                    _ => {}
                }
            }
            for (descriptor, there) in merge.endpoints() {
                let (known, said) = &told[&descriptor.id];
                prop_assert_eq!(*said, there);
                prop_assert!(!there || known == descriptor);
                let pending = probes.iter().any(|(id, _)| *id == descriptor.id);
                prop_assert!(there || pending || merge.next_wake().unwrap() <= at(millis + 60_000));
            }
            prop_assert_eq!(merge.endpoints().count(), told.len());
        }
    }
}

/// One that dials the hub has no address: it is never probed, and is there again only once it calls.
#[test]
fn one_that_calls_is_there_until_it_hangs_up() {
    let mut merge = Merge::new(Vec::new(), vec![device("old", "Old", &[])], at(0));
    assert!(drain(&mut merge).is_empty(), "one that is remembered waits for its call");
    assert_eq!(merge.next_wake(), None);
    let call = |merge: &mut Merge, descriptor: Descriptor, now: u64| {
        merge.handle_input(Input::Called(descriptor), at(now));
        events(merge)
    };
    assert_eq!(call(&mut merge, device("old", "Old", &[]), 10), [Returned(device("old", "Old", &[]))]);
    assert_eq!(call(&mut merge, device("new", "New", &[]), 20), [Appeared(device("new", "New", &[]))]);
    // Told again, it is no news unless it is another.
    assert_eq!(call(&mut merge, device("new", "New", &[]), 30), []);
    assert_eq!(call(&mut merge, device("new", "Newer", &[]), 40), [Changed(device("new", "Newer", &[]))]);
    // A session that failed proves nothing: as long as it is connected it is there.
    merge.handle_input(Input::Lost(id("new")), at(50));
    assert!(drain(&mut merge).is_empty());
    merge.handle_input(Input::HungUp(id("new")), at(60));
    assert_eq!(events(&mut merge), [Unreachable { id: id("new"), since: at(60) }]);
    assert_eq!(merge.next_wake(), None, "nobody could reach it");
    assert_eq!(call(&mut merge, device("new", "Newer", &[]), 70), [Returned(device("new", "Newer", &[]))]);
    // Who was never here cannot go.
    merge.handle_input(Input::HungUp(id("nobody")), at(80));
    assert!(drain(&mut merge).is_empty());
}

/// What can be had now is worth an attempt at once, if it is there.
#[test]
fn one_that_is_free_is_told_as_returned() {
    let mut merge = Merge::new(Vec::new(), vec![device("away", "Away", &[])], at(0));
    merge.handle_input(Input::Called(device("bath", "Bath", &[])), at(10));
    assert_eq!(events(&mut merge), [Appeared(device("bath", "Bath", &[]))]);
    merge.handle_input(Input::Free(id("bath")), at(20));
    assert_eq!(events(&mut merge), [Returned(device("bath", "Bath", &[]))]);
    for absent in ["away", "nobody"] {
        merge.handle_input(Input::Free(id(absent)), at(30));
        assert!(drain(&mut merge).is_empty());
    }
    assert_eq!(merge.next_wake(), None);
}
