//! Whatever comes: random walks of directives and news over two devices, with the rules checked at each step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::{Effect, PlayerCommand, PlayerId};
use antiphon_avs::signal::{Attributes, PlayerNews, Signal};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::{HubTime, Level, Report, Volume};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Bench, directive};

#[derive(Clone, Debug)]
enum Step {
    Play {
        behaviour: &'static str,
        expects_last: bool,
        again: bool,
        offset: u64,
        end: Option<u64>,
        report: u64,
    },
    Stop,
    Clear(bool),
    Interval(u64),
    /// About one of the latest streams.
    News(u64, News),
    Pass(u64),
    ContentTaken,
    /// Another device takes the streams over.
    HandOver,
    Level(i64, bool),
}

#[derive(Clone, Copy, Debug)]
enum News {
    Started,
    Buffered,
    Stalled,
    Recovered,
    Paused,
    Resumed,
    Finished,
    Stopped,
    Failed,
    Unattached,
    Attributes,
    Title,
}

fn step() -> impl Strategy<Value = Step> {
    use News::*;
    let behaviours = vec!["REPLACE_ALL", "ENQUEUE", "ENQUEUE", "REPLACE_ENQUEUED"];
    let play = (
        prop::sample::select(behaviours),
        any::<bool>(),
        prop::bool::weighted(0.2),
        0u64..3_000,
        prop::option::of(3_001u64..9_000),
        0u64..2_000,
    );
    let news = prop::sample::select(vec![
        Started, Started, Started, Started, Buffered, Stalled, Recovered, Paused, Resumed, Finished,
        Finished, Stopped, Failed, Unattached, Attributes, Title,
    ]);
    prop_oneof![
        4 => play.prop_map(|(behaviour, expects_last, again, offset, end, report)| {
            Step::Play { behaviour, expects_last, again, offset, end, report }
        }),
        1 => Just(Step::Stop),
        1 => any::<bool>().prop_map(Step::Clear),
        1 => (0u64..5_000).prop_map(Step::Interval),
        12 => (0u64..4, news).prop_map(|(id, news)| Step::News(id, news)),
        4 => (0u64..5_000).prop_map(Step::Pass),
        1 => Just(Step::ContentTaken),
        1 => Just(Step::HandOver),
        1 => (0i64..=100, any::<bool>()).prop_map(|(volume, muted)| Step::Level(volume, muted)),
    ]
}

#[derive(Default)]
struct Told {
    started: bool,
    nearly: bool,
    /// The device that led before said so; who has the next stream already need not ask for it again.
    nearly_elsewhere: bool,
    ended: bool,
    stuttering: bool,
}

/// What must be true of everything that was ever said and asked.
#[derive(Default)]
struct Rules {
    told: BTreeMap<String, Told>,
    prepared: BTreeSet<PlayerId>,
    stopped: BTreeSet<PlayerId>,
    asked: BTreeSet<(PlayerId, Option<PlayerId>)>,
}

impl Rules {
    /// `finished`: the streams that any device said to have finished.
    fn check_all(&mut self, effects: &[Effect], finished: &mut BTreeSet<String>) {
        for effect in effects {
            self.check(effect);
            if let Effect::Send(event) = effect
                && event.header.name == "PlaybackFinished"
            {
                let token = event.payload["token"].as_str().unwrap();
                assert!(finished.insert(token.into()), "{token} finished on two devices");
            }
        }
    }

    fn check(&mut self, effect: &Effect) {
        match effect {
            Effect::Player(command) => self.command(command),
            Effect::Send(event) if event.header.namespace == "AudioPlayer" => {
                if let Some(token) = event.payload["token"].as_str() {
                    self.event(token, &event.header.name);
                }
            }
            _ => {}
        }
    }

    fn command(&mut self, command: &PlayerCommand) {
        match command {
            PlayerCommand::Prepare { id, .. } => assert!(self.prepared.insert(*id), "prepared twice"),
            PlayerCommand::Play { id, .. } | PlayerCommand::Pause { id } | PlayerCommand::Resume { id } => {
                assert!(self.prepared.contains(id) && !self.stopped.contains(id), "{command:?}");
                if let PlayerCommand::Play { id, after } = command {
                    assert!(self.asked.insert((*id, *after)), "{command:?} twice");
                }
            }
            PlayerCommand::Stop { id } => {
                assert!(self.prepared.contains(id) && self.stopped.insert(*id), "{command:?}");
            }
            PlayerCommand::Bequeath(_) | PlayerCommand::Silence => {}
        }
    }

    /// What the other device's streams, under their new names, mean to this one: told anew, asked already.
    fn inherit(&mut self, old: &Rules, token: &str, was: PlayerId, is: PlayerId) {
        let nearly_elsewhere = old.told.get(token).is_some_and(|told| told.nearly || told.nearly_elsewhere);
        self.told.insert(token.into(), Told { nearly_elsewhere, ..Told::default() });
        if old.prepared.contains(&was) && !old.stopped.contains(&was) {
            self.prepared.insert(is);
        }
    }

    fn event(&mut self, token: &str, name: &str) {
        let told = self.told.entry(token.into()).or_default();
        assert!(!told.ended, "{name} of {token} after its end");
        // A stream may fail before it sounds; everything else is said of streams that began.
        match name {
            "PlaybackStarted" => assert!(!told.started, "{token} began twice"),
            "PlaybackFailed" => {}
            _ => assert!(told.started, "{name} of {token}, which never began"),
        }
        match name {
            "PlaybackStarted" => told.started = true,
            "PlaybackNearlyFinished" => assert!(!std::mem::replace(&mut told.nearly, true), "{name} twice"),
            "PlaybackStutterStarted" => {
                assert!(!std::mem::replace(&mut told.stuttering, true), "{name} twice")
            }
            "PlaybackStutterFinished" => assert!(std::mem::take(&mut told.stuttering), "{name} of none"),
            "PlaybackFinished" => {
                assert!(told.nearly || told.nearly_elsewhere, "finished out of nothing");
                told.ended = true;
            }
            "PlaybackStopped" | "PlaybackFailed" => told.ended = true,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn each_stream_begins_once_and_ends_once(steps in prop::collection::vec(step(), 1..80)) {
        // Two devices of one group; one of them leads it, and has the player.
        let mut leader = (Bench::new(), Rules::default());
        let mut other = (Bench::new(), Rules::default());
        let mut finished = BTreeSet::new();
        let mut plays = 0u64;
        let mut messages = 0u64;
        // The streams by the order of their Plays, as the player knows them now.
        let mut names: Vec<PlayerId> = Vec::new();
        let mut plays_of = [0u64; 2];
        let mut leads = 0;
        let mut new_name = PlayerId::INHERITED;
        for step in steps {
            if let Step::HandOver = step {
                let mut estate = leader.0.estate.clone();
                if estate.is_empty() {
                    continue;
                }
                let mut renamed = Vec::new();
                estate.rename(|was| {
                    new_name += 1;
                    renamed.push((was, PlayerId(new_name)));
                    PlayerId(new_name)
                });
                // Whatever is not in it is nobody's any more.
                for (index, name) in names.iter_mut().enumerate() {
                    let is = renamed.iter().find(|(was, _)| was == name).map(|(_, is)| *is);
                    if let Some(is) = is {
                        other.1.inherit(&leader.1, &format!("t{}", index + 1), *name, is);
                    }
                    *name = is.unwrap_or(PlayerId(u64::MAX));
                }
                other.0.now = leader.0.now;
                let taken = other.0.input(DeviceInput::Signal(Signal::Inherit(Box::new(estate))));
                other.1.check_all(&taken, &mut finished);
                let left = leader.0.input(DeviceInput::Signal(Signal::ContentTaken));
                leader.1.check_all(&left, &mut finished);
                assert!(leader.0.estate.is_empty());
                std::mem::swap(&mut leader, &mut other);
                leads = 1 - leads;
                continue;
            }
            let (bench, rules) = &mut leader;
            let mut wakes = Vec::new();
            let input = match step {
                Step::Play { behaviour, expects_last, again, offset, end, report } => {
                    let last = plays;
                    // Sometimes the same content once more, with a token of its own.
                    plays += 1;
                    plays_of[leads] += 1;
                    names.push(PlayerId(plays_of[leads]));
                    let url = if again { last } else { plays };
                    let expected = if expects_last && last > 0 { format!("t{last}") } else { String::new() };
                    let mut stream = json!({
                        "url": format!("https://media.test/{url}"),
                        "token": format!("t{plays}"),
                        "expectedPreviousToken": expected,
                        "offsetInMilliseconds": offset,
                        "progressReport": {
                            "progressReportDelayInMilliseconds": report / 2,
                            "progressReportIntervalInMilliseconds": report,
                        },
                    });
                    if let Some(end) = end {
                        stream["endOffsetInMilliseconds"] = json!(end);
                    }
                    let item = json!({ "stream": stream, "audioItemId": "item" });
                    let payload = json!({ "playBehavior": behaviour, "audioItem": item });
                    tell("AudioPlayer.Play", &mut messages, payload)
                }
                Step::Stop => tell("AudioPlayer.Stop", &mut messages, json!({})),
                Step::Clear(all) => {
                    let behaviour = if all { "CLEAR_ALL" } else { "CLEAR_ENQUEUED" };
                    tell("AudioPlayer.ClearQueue", &mut messages, json!({ "clearBehavior": behaviour }))
                }
                Step::Interval(ms) => {
                    let payload = json!({ "progressReportIntervalInMilliseconds": ms });
                    tell("AudioPlayer.UpdateProgressReportInterval", &mut messages, payload)
                }
                Step::News(back, news) => {
                    let Some(index) = names.len().checked_sub(1 + back as usize) else { continue };
                    let id = names[index];
                    // A player forgets what it was told to stop, and knows only what it was told to prepare.
                    if !rules.prepared.contains(&id) {
                        continue;
                    }
                    DeviceInput::Signal(Signal::Player(id, news_at(news, bench.now)))
                }
                Step::Pass(ms) => {
                    wakes = pass(bench, ms);
                    DeviceInput::Timeout
                }
                Step::HandOver => continue,
                Step::ContentTaken => DeviceInput::Signal(Signal::ContentTaken),
                Step::Level(volume, muted) => {
                    let level = Level { volume: Volume::new(volume).unwrap(), muted };
                    DeviceInput::Signal(Signal::Levels { level, report: Report { volume: true, mute: muted } })
                }
            };
            wakes.extend(bench.input(input));
            rules.check_all(&wakes, &mut finished);
        }
    }
}

fn tell(name: &str, messages: &mut u64, payload: Value) -> DeviceInput {
    *messages += 1;
    DeviceInput::Directive(directive(name, &messages.to_string(), None, payload))
}

fn pass(bench: &mut Bench, ms: u64) -> Vec<Effect> {
    let end = bench.now + Duration::from_millis(ms);
    let mut effects = Vec::new();
    while let Some(due) = bench.device.deadline().filter(|due| *due <= end) {
        bench.now = bench.now.max(due);
        effects.extend(bench.input(DeviceInput::Timeout));
        assert_ne!(bench.device.deadline(), Some(due), "a deadline that stays is a busy loop");
    }
    bench.now = end;
    effects
}

fn news_at(news: News, at: HubTime) -> PlayerNews {
    let offset = Duration::from_millis(1234);
    match news {
        News::Started => PlayerNews::Started { at: at + Duration::from_millis(20) },
        News::Buffered => PlayerNews::Buffered,
        News::Stalled => PlayerNews::Stalled { at },
        News::Recovered => PlayerNews::Recovered { at },
        News::Paused => PlayerNews::Paused { offset },
        News::Resumed => PlayerNews::Resumed { at },
        News::Finished => PlayerNews::Finished,
        News::Stopped => PlayerNews::Stopped { offset },
        News::Failed => {
            PlayerNews::Failed(MediaError { kind: MediaErrorKind::Unknown, message: "no".into() })
        }
        News::Unattached => PlayerNews::Unattached,
        News::Attributes => PlayerNews::Attributes(Attributes { codec: "MP3".into(), ..Default::default() }),
        News::Title => PlayerNews::Title(format!("{}", at.nanos() % 5)),
    }
}
