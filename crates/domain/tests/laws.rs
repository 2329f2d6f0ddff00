//! The volume laws (product.md 3) as properties of random houses under random walks: over 10^5 steps a run.
#![allow(clippy::expect_used)] // a test that cannot set the stage has failed

use antiphon_domain::group::Target;
use antiphon_domain::house::House;
use antiphon_domain::{GroupId, Level, LevelCommand, SpeakerId, Volume, VolumeStep};
use proptest::prelude::*;

const PARTY: &str = "party";

fn id(i: usize) -> SpeakerId {
    SpeakerId::new(format!("s{i}"))
}

fn volume(v: u8) -> Volume {
    Volume::new(i64::from(v)).expect("0 to 100")
}

fn step(v: i8) -> VolumeStep {
    VolumeStep::new(i64::from(v)).expect("-100 to 100")
}

fn party() -> Target {
    Target::Group(GroupId::new(PARTY))
}

/// A party of speakers with these volumes and ceilings.
fn house(members: &[(u8, u8)]) -> House {
    let mut house = House::default();
    for (i, (v, ceiling)) in members.iter().enumerate() {
        house.admit(&id(i), "speaker", Some(volume(*v)), volume(*ceiling));
    }
    let all: Vec<SpeakerId> = (0..members.len()).map(id).collect();
    house.form(&GroupId::new(PARTY), "Party".into(), &all).expect("all are here");
    house
}

fn levels(house: &House, n: usize) -> Vec<Level> {
    (0..n).map(|i| house.level_of(&id(i)).expect("admitted")).collect()
}

fn volumes(house: &House, n: usize) -> Vec<u8> {
    levels(house, n).iter().map(|l| l.volume.get()).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Group(LevelCommand),
    Voice(usize, LevelCommand),
    Alone(usize, LevelCommand),
    Leave(usize),
    Join(usize),
    Ceiling(usize, u8),
}

fn command() -> impl Strategy<Value = LevelCommand> {
    prop_oneof![
        3 => (0u8..=100).prop_map(|v| LevelCommand::SetVolume(volume(v))),
        1 => prop_oneof![Just(0u8), Just(100u8)].prop_map(|v| LevelCommand::SetVolume(volume(v))),
        3 => (-100i8..=100).prop_map(|v| LevelCommand::AdjustVolume(step(v))),
        1 => any::<bool>().prop_map(LevelCommand::SetMute),
    ]
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => command().prop_map(Step::Group),
        6 => (0usize..8, command()).prop_map(|(i, c)| Step::Voice(i, c)),
        3 => (0usize..8, command()).prop_map(|(i, c)| Step::Alone(i, c)),
        1 => (0usize..8).prop_map(Step::Leave),
        2 => (0usize..8).prop_map(Step::Join),
        1 => (0usize..8, 0u8..=100).prop_map(|(i, c)| Step::Ceiling(i, c)),
    ]
}

fn members() -> impl Strategy<Value = Vec<(u8, u8)>> {
    let ceiling = prop_oneof![3 => Just(100u8), 1 => 0u8..=100];
    prop::collection::vec((0u8..=100, ceiling), 1..8)
}

/// Puts a house into some lawful state by a walk; used as the start of every law.
fn walk(house: &mut House, n: usize, steps: &[Step]) {
    for s in steps {
        take(house, n, s);
    }
}

fn take(house: &mut House, n: usize, s: &Step) {
    match s {
        Step::Group(c) => drop(house.command(&party(), *c, true)),
        Step::Voice(i, c) => drop(house.command(&Target::SpeakerInGroup(id(i % n)), *c, true)),
        Step::Alone(i, c) => drop(house.command(&Target::SpeakerAlone(id(i % n)), *c, false)),
        Step::Leave(i) => drop(house.leave(&id(i % n))),
        Step::Join(i) => drop(house.join(&GroupId::new(PARTY), &id(i % n))),
        Step::Ceiling(i, c) => drop(house.set_ceiling(&id(i % n), volume(*c))),
    }
}

fn group_members(house: &House, of: &SpeakerId) -> Vec<SpeakerId> {
    house.group_of(of).map(|g| g.members().iter().map(|m| m.speaker.clone()).collect()).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    /// Laws 1, 3, 5, 7, 8 and 9 after every step of a long random walk (1,500 walks of up to 120 steps).
    #[test]
    fn laws_hold_at_every_step(start in members(), steps in prop::collection::vec(a_step(), 60..120)) {
        let n = start.len();
        let mut house = house(&start);
        let mut ceilings: Vec<u8> = start.iter().map(|m| m.1).collect();
        let mut version = 0;
        for s in &steps {
            let before = levels(&house, n);
            let hidden: Vec<Vec<SpeakerId>> = (0..n).map(|i| group_members(&house, &id(i))).collect();
            match s {
                Step::Voice(i, c) => {
                    let i = i % n;
                    let fan_out = house.command(&Target::SpeakerInGroup(id(i)), *c, true).expect("here");
                    prop_assert!(fan_out.version > version, "law 9");
                    version = fan_out.version;
                    let after = levels(&house, n);
                    if let LevelCommand::SetVolume(v) = c {
                        prop_assert_eq!(after[i].volume.get(), v.get().min(ceilings[i]), "law 1");
                        prop_assert!(!after[i].muted, "a set volume unmutes its speaker");
                    }
                    if matches!(c, LevelCommand::SetMute(true)) {
                        for j in 0..n { prop_assert_eq!(after[j].volume, before[j].volume, "law 7"); }
                    }
                    // The addressed speaker answers SetVolume and AdjustVolume whatever happened; movers report moves.
                    for change in &fan_out.changes {
                        prop_assert_eq!(Some(change.level), house.level_of(&change.speaker));
                    }
                    for j in 0..n {
                        let reported = fan_out.changes.iter().any(|ch| ch.speaker == id(j));
                        prop_assert!(reported || before[j] == after[j], "a moved member is told");
                        if !hidden[i].contains(&id(j)) { prop_assert_eq!(before[j], after[j], "another group"); }
                    }
                    if let LevelCommand::AdjustVolume(d) = c { monotonic(d.get(), &before, &after)?; }
                }
                Step::Group(c) => {
                    if let Ok(fan_out) = house.command(&party(), *c, true) {
                        prop_assert!(fan_out.version > version, "law 9");
                        version = fan_out.version;
                        let after = levels(&house, n);
                        if let LevelCommand::AdjustVolume(d) = c { monotonic(d.get(), &before, &after)?; }
                        if *c == LevelCommand::SetVolume(Volume::MIN) {
                            for m in house.group(&GroupId::new(PARTY)).expect("it exists").members() {
                                prop_assert_eq!(house.level_of(&m.speaker).expect("here").volume, Volume::MIN, "law 4");
                            }
                        }
                    }
                }
                Step::Alone(i, c) => {
                    let i = i % n;
                    let fan_out = house.command(&Target::SpeakerAlone(id(i)), *c, false).expect("here");
                    version = fan_out.version;
                    let after = levels(&house, n);
                    for j in (0..n).filter(|j| *j != i) { prop_assert_eq!(before[j], after[j], "a local change is local"); }
                    if let LevelCommand::SetVolume(v) = c {
                        prop_assert_eq!(after[i].volume.get(), v.get().min(ceilings[i]));
                    }
                }
                Step::Leave(_) | Step::Join(_) => {
                    take(&mut house, n, s);
                    prop_assert_eq!(before, levels(&house, n), "law 8");
                }
                Step::Ceiling(i, c) => {
                    ceilings[i % n] = *c;
                    let fan_out = house.set_ceiling(&id(i % n), volume(*c)).expect("here");
                    version = fan_out.version;
                }
            }
            for (i, v) in volumes(&house, n).iter().enumerate() { prop_assert!(*v <= ceilings[i], "law 5"); }
        }
    }

    /// Law 2: a walk of group commands that returns to its level returns every member, also through 0 and 100.
    #[test]
    fn group_walks_are_reversible(start in members(), before in prop::collection::vec(a_step(), 0..30), way in prop::collection::vec(command(), 1..30), v in 0u8..=100) {
        let n = start.len();
        let mut house = house(&start);
        walk(&mut house, n, &before);
        let set = LevelCommand::SetVolume(volume(v));
        if house.command(&party(), set, true).is_ok() {
            let there = volumes(&house, n);
            for c in way { let _ = house.command(&party(), c, true); }
            let _ = house.command(&party(), set, true);
            prop_assert_eq!(there, volumes(&house, n));
        }
    }

    /// Law 2 again, walked by voice at one member.
    #[test]
    fn voice_walks_are_reversible(start in members(), before in prop::collection::vec(a_step(), 0..30), way in prop::collection::vec(0u8..=100, 1..20), v in 1u8..100) {
        let n = start.len();
        let mut house = house(&start);
        walk(&mut house, n, &before);
        let at = Target::SpeakerInGroup(id(0));
        // Any detour, then away and back: the way back ends where the way there began.
        let _ = house.command(&at, LevelCommand::SetVolume(Volume::MIN), true);
        let _ = house.command(&at, LevelCommand::SetVolume(volume(v)), true);
        let there = volumes(&house, n);
        for c in way { let _ = house.command(&at, LevelCommand::SetVolume(volume(c)), true); }
        let _ = house.command(&at, LevelCommand::SetVolume(Volume::MIN), true);
        let _ = house.command(&at, LevelCommand::SetVolume(volume(v)), true);
        prop_assert_eq!(there, volumes(&house, n));
    }

    /// Law 6: the next group step does not undo a local wish.
    #[test]
    fn a_local_wish_stays(start in members(), before in prop::collection::vec(a_step(), 0..30), v in 5u8..95) {
        let n = start.len();
        let mut house = house(&start);
        walk(&mut house, n, &before);
        let _ = house.set_ceiling(&id(0), Volume::MAX);
        let _ = house.command(&Target::SpeakerAlone(id(0)), LevelCommand::SetVolume(volume(v)), false);
        prop_assert_eq!(house.level_of(&id(0)).expect("here").volume.get(), v);
        let group = house.group_of(&id(0)).expect("here");
        let target = Target::Group(group.id.clone());
        let at = group.volume().get();
        if (5..95).contains(&at) {
            let _ = house.command(&target, LevelCommand::AdjustVolume(step(1)), true);
            let after = house.level_of(&id(0)).expect("here").volume.get();
            // One step of the group moves a member by the slope of its own curve, at most 100/at.
            prop_assert!(after >= v && after - v <= 100 / at.min(100 - at) + 1, "{v} became {after} at {at}");
        }
    }

    /// Law 11: +d then -d is the identity for everybody while the addressed speaker does not saturate.
    #[test]
    fn up_and_down_is_where_we_were(start in members(), before in prop::collection::vec(a_step(), 0..30), d in 1i8..=60) {
        let n = start.len();
        let mut house = house(&start);
        walk(&mut house, n, &before);
        let _ = house.set_ceiling(&id(0), Volume::MAX);
        let at = Target::SpeakerInGroup(id(0));
        let _ = house.command(&at, LevelCommand::SetMute(false), true);
        let here = house.level_of(&id(0)).expect("here").volume.get();
        if here > 0 && i16::from(here) + i16::from(d) < 100 {
            let there = levels(&house, n);
            let _ = house.command(&at, LevelCommand::AdjustVolume(step(d)), true);
            prop_assert_eq!(house.level_of(&id(0)).expect("here").volume.get(), here + d as u8);
            let _ = house.command(&at, LevelCommand::AdjustVolume(step(-d)), true);
            let back = levels(&house, n);
            for i in 0..n { prop_assert_eq!(there[i].volume, back[i].volume, "member {}", i); }
        }
    }

    /// A house survives the archive exactly.
    #[test]
    fn a_house_is_archived_exactly(start in members(), steps in prop::collection::vec(a_step(), 0..60)) {
        let n = start.len();
        let mut house = house(&start);
        walk(&mut house, n, &steps);
        let json = serde_json::to_string(&house).expect("plain data");
        let back: House = serde_json::from_str(&json).expect("what we wrote");
        prop_assert_eq!(house, back);
    }
}

fn monotonic(d: i8, before: &[Level], after: &[Level]) -> Result<(), TestCaseError> {
    for (b, a) in before.iter().zip(after) {
        if d >= 0 {
            prop_assert!(a.volume >= b.volume, "law 3: up never lowers");
        } else {
            prop_assert!(a.volume <= b.volume, "law 3: down never raises");
        }
    }
    Ok(())
}
