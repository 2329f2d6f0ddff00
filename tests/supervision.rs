//! An actor that dies is made anew with its level and its group's music; its siblings play on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon::config::Config;
use antiphon_audio::Block;
use antiphon_domain::group::Target;
use antiphon_domain::media::Media;
use antiphon_domain::{GroupId, HubTime, Lead, Level, LevelCommand, SpeakerId, Volume};
use antiphon_endpoint::{
    BadEndpoint, Caps, Clock, Control, Descriptor, Endpoint, EndpointEvent, EventSink, Kind, Pace,
    ServiceRecord,
};
use support::patience::eventually;
use support::stimulus;

const PATIENCE: Duration = Duration::from_secs(20);

/// A kind whose first session takes its speaker's actor down with it.
#[derive(Default)]
struct Fragile {
    opened: AtomicU64,
    heard: Arc<AtomicU64>,
    level: Arc<Mutex<Option<Level>>>,
}

struct Session {
    heard: Arc<AtomicU64>,
    level: Arc<Mutex<Option<Level>>>,
}

const CAPS: Caps = Caps { lead: Lead(Duration::from_millis(100)), own_volume: true };

impl Kind for Fragile {
    fn name(&self) -> &'static str {
        "fragile"
    }

    fn services(&self) -> &'static [&'static str] {
        &[]
    }

    fn recognise(&self, _: &ServiceRecord) -> Option<Descriptor> {
        None
    }

    fn configured(&self, text: &str, id: &SpeakerId, name: &str) -> Option<Result<Descriptor, BadEndpoint>> {
        let (id, name) = (id.clone(), name.to_string());
        let descriptor =
            Descriptor { id, name, kind: "fragile", addresses: Vec::new(), properties: Default::default() };
        (text == "fragile:").then_some(Ok(descriptor))
    }

    fn caps(&self, _: &Descriptor, _: Pace) -> Caps {
        CAPS
    }

    fn open(&self, _: &Descriptor, _: Pace, _: Arc<dyn Clock>, events: EventSink) -> Box<dyn Endpoint> {
        assert!(
            self.opened.fetch_add(1, Ordering::SeqCst) > 0,
            "the first session breaks, as this test wants"
        );
        events(EndpointEvent::Ready);
        Box::new(Session { heard: self.heard.clone(), level: self.level.clone() })
    }
}

impl Endpoint for Session {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn play(&mut self, _: &Block) {
        self.heard.fetch_add(1, Ordering::SeqCst);
    }

    fn flush(&mut self, _: HubTime) {}

    fn control(&mut self, control: Control) {
        let Control::Level(level) = control else { return };
        *self.level.lock().unwrap() = Some(level);
    }
}

#[test]
fn a_speaker_that_dies_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let wav = folder.path().join("tone.wav");
    let tone = stimulus::sine(44_100, 60.0, 440.0, 0.1);
    stimulus::write_wav(&wav, 44_100, &[&tone, &tone]).unwrap();
    let text = format!(
        "data_dir = {:?}\n[http]\nlisten = \"127.0.0.1:0\"\n[discovery]\ninterfaces = []\n\
         [[speakers]]\nid = \"fragile\"\nendpoint = \"fragile:\"\n[[speakers]]\nid = \"steady\"\nendpoint = \"virtual:\"\n\
         [[groups]]\nid = \"party\"\nspeakers = [\"steady\", \"fragile\"]\n",
        folder.path().join("state"),
    );
    let config = Config::parse(&text, Path::new("test.toml")).unwrap();
    let kind = Arc::new(Fragile::default());
    let hub = antiphon::start_with(&config, vec![kind.clone()]).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let picture = || runtime.block_on(hub.handle.snapshot()).unwrap_or_default();
    eventually("the party is formed", PATIENCE, || picture().groups.iter().any(|g| g.speakers.len() == 2));

    let wish = LevelCommand::SetVolume(Volume::new(23).unwrap());
    runtime.block_on(hub.handle.change_level(Target::SpeakerAlone(SpeakerId::new("fragile")), wish)).unwrap();
    let url = format!("file://{}", wav.display());
    let media = Media { url, offset: Duration::ZERO, end: None, headers: Vec::new() };
    runtime.block_on(hub.handle.play(Target::Group(GroupId::new("party")), media)).unwrap();

    let playing = |id: &str| picture().speakers.iter().any(|s| s.id.as_str() == id && s.playing);
    eventually("the steady one plays", PATIENCE, || playing("steady"));
    eventually("the fragile one came back and plays", PATIENCE, || kind.heard.load(Ordering::SeqCst) > 100);
    assert!(playing("steady"), "its sibling played on");
    eventually("it has its level again", PATIENCE, || {
        kind.level.lock().unwrap().is_some_and(|level| level.volume.get() == 23 && !level.muted)
    });
    let metrics = runtime.block_on(async {
        reqwest::Client::new().get(format!("http://{}/metrics", hub.http)).send().await?.text().await
    });
    let metrics = metrics.unwrap();
    assert!(metrics.contains("antiphon_actors_restarts_total{actor=\"speaker\"} 1"), "{metrics}");

    // And it obeys: the music of the group can be stopped.
    runtime.block_on(hub.handle.stop(Target::Group(GroupId::new("party")))).unwrap();
    eventually("both are silent", PATIENCE, || !playing("steady") && !playing("fragile"));
    hub.close();
}
