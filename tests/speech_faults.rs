//! What goes wrong while somebody speaks: at Alexa's side, in what is sent as speech, and in the hub itself. However it
//! goes, the speaker listens no longer than it should, says nothing twice, and hears the next thing that is said.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use antiphon_simulator::{Fault, Reply, Script, Stop};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use support::hub::{Hub, Setup};
use support::patience::wait_for;
use support::speech::{PCM, WAV, spoken, wav_head};

/// Limits short enough for a test where a fault is only noticed by a limit.
const TIMERS: &str = "[avs.timers]\nliveness_idle_s = 0.5\nliveness_limit_s = 1.0\nevent_progress_s = 2.0\n\
                      linger_s = 5.0\nlwa_delays_s = [0.2, 0.5]\nevent_delays_s = [0.2, 0.5]\nconnect_delays_s = [0.2]\n";

/// What happens to one speaker while it is spoken to.
struct Case {
    name: &'static str,
    /// Before anybody speaks.
    before: Option<Fault>,
    /// After a quarter of a second of speech.
    midst: Option<Fault>,
    reply: Reply,
    /// Whether the request is answered nevertheless.
    answered: bool,
}

fn midst(name: &'static str, fault: Fault, answered: bool) -> Case {
    Case { name, before: None, midst: Some(fault), reply: Reply::Text("volume 3".into()), answered }
}

fn before(name: &'static str, fault: Fault) -> Case {
    Case { name, before: Some(fault), midst: None, reply: Reply::Text("volume 3".into()), answered: false }
}

/// How often it asked Alexa to listen since a mark.
fn recognizes(hub: &Hub, id: &str, mark: u64) -> usize {
    let entries = hub.simulator().transcript(id);
    entries.iter().filter(|e| e.index >= mark && e.is_event("SpeechRecognizer", "Recognize")).count()
}

/// What is said now is heard and done.
fn obeys(hub: &Hub, id: &str, volume: u64) {
    let mark = hub.simulator().mark(id);
    hub.simulator().answer_speech(id, Script::text(&format!("volume {}", volume / 10))).unwrap();
    let mut upload = hub.speak_to(id, "?initiator=hold", PCM);
    upload.send(&spoken(16_000, 0.6));
    assert_eq!(upload.end().0, 204, "{id}: {:#}", hub.speaker(id));
    let told = hub.event(id, mark, "Speaker", "VolumeChanged");
    assert_eq!(told.payload()["volume"], volume, "{id}");
    hub.wait_attention(id, "idle");
    assert_eq!(recognizes(hub, id, mark), 1, "{id}");
}

fn survives(hub: &Hub, case: &Case) {
    let id = case.name;
    let mark = hub.simulator().mark(id);
    if let Some(fault) = &case.before {
        // The request does not get as far as to be answered.
        hub.simulator().inject(id, fault).unwrap();
    } else {
        let script = Script::reply(case.reply.clone()).stop(Stop::Bytes(48_000));
        hub.simulator().answer_speech(id, script).unwrap();
    }
    let mut upload = hub.speak_to(id, "", PCM);
    let mut fault = case.midst.clone();
    upload.say_until(16_000, &spoken(16_000, 20.0), || {
        if fault.is_some() && hub.simulator().hearings(id).last().is_some_and(|h| h.bytes > 8_000) {
            hub.simulator().inject(id, &fault.take().unwrap()).unwrap();
        }
        false
    });
    let said =
        upload.sent.last().map_or(Duration::ZERO, |(at, _)| at.saturating_duration_since(upload.sent[0].0));
    let (status, problem) = upload.answer();
    println!("speech: {id}: over after {said:?} with {status}; {:?}", hub.simulator().counts(id));
    assert!(status == 204 || status == 409, "{id}: {status} {problem}");
    assert!(said < Duration::from_secs(10), "{id}: listened for {said:?}");
    if case.answered {
        let told = hub.event(id, mark, "Speaker", "VolumeChanged");
        assert_eq!(told.payload()["volume"], 30, "{id}");
    }
    hub.wait_attention(id, "idle");
    hub.wait_picture("it is linked again", |_| hub.speaker(id)["link"]["state"] == "connected");
    assert!(recognizes(hub, id, mark) <= 1, "{id} says it twice");
    let _ = hub.simulator().inject(id, &Fault::Clear);
    obeys(hub, id, 50);
}

#[test]
fn a_fault_in_the_midst_of_a_request() {
    let status = |name, status| Case {
        name,
        before: None,
        midst: None,
        reply: Reply::Status(status),
        answered: false,
    };
    let cases = [
        midst("goaway", Fault::GoAway, true),
        midst("enddownchannel", Fault::EndDownchannel, true),
        midst("resetdownchannel", Fault::ResetDownchannel, true),
        midst("tcpreset", Fault::TcpReset, false),
        midst("halfclose", Fault::HalfClose, false),
        midst("silence", Fault::Silence, false),
        midst("expired", Fault::ExpireToken, true),
        before("expiredbefore", Fault::ExpireToken),
        before("reset", Fault::ResetEvents(1)),
        before("forbidden", Fault::EventStatus(403, 1)),
        before("toomany", Fault::EventStatus(429, 1)),
        status("refused", 400),
        status("broken", 500),
    ];
    let names: Vec<&str> = cases.iter().map(|case| case.name).collect();
    let hub = Setup::new(&names).with(TIMERS).start();
    std::thread::scope(|scope| {
        for case in &cases {
            let hub = &hub;
            scope.spawn(move || survives(hub, case));
        }
    });
    hub.assert_no_violations();
}

#[test]
fn what_is_no_speech() {
    let hub = Setup::new(&["kitchen", "lost"])
        .with(TIMERS)
        .speaker("lost", "refresh_token = \"Atza|nobody\"\n")
        .start_unlinked();
    hub.wait_picture("the kitchen is linked", |_| hub.speaker("kitchen")["link"]["state"] == "connected");
    for (id, query, content_type, wanted) in [
        ("kitchen", "", "text/plain", 415),
        ("kitchen", "", "audio/l16;rate=44100", 415),
        ("kitchen", "?initiator=shout", PCM, 400),
        ("kitchen", "?initiator=wakeword&start=8000", PCM, 400),
        ("kitchen", "?initiator=wakeword&wake_word=%C3%A4", PCM, 400),
        ("kitchen", "?format=mp3", PCM, 400),
        ("kitchen", "?voice_energy=1", PCM, 400),
        ("nobody", "", PCM, 404),
        ("lost", "", PCM, 409),
    ] {
        let mut upload = hub.speak_to(id, query, content_type);
        upload.send(&spoken(16_000, 0.1));
        let (status, problem) = upload.end();
        assert_eq!(status, wanted, "{id} {query} {content_type}: {problem}");
        assert!(problem["detail"].as_str().is_some_and(|d| d.len() > 10), "{problem}");
    }
    // No sound in it, or none that can be had out of it: nobody is asked to listen to that.
    let garbage = b"this is no WAV file, and never was one";
    for (content_type, body) in
        [(PCM, &b""[..]), (WAV, &b""[..]), (WAV, &garbage[..]), (WAV, &wav_head(16_000)[..])]
    {
        let mut upload = hub.speak_to("kitchen", "?initiator=hold", content_type);
        if !body.is_empty() {
            upload.send(body);
        }
        let (status, problem) = upload.end();
        println!("speech: {content_type} of {} bytes: {status} {}", body.len(), problem["detail"]);
        assert_eq!(status, 409, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|d| d.contains("nothing to hear")), "{problem}");
    }
    assert_eq!(recognizes(&hub, "kitchen", 0), 0);
    hub.wait_attention("kitchen", "idle");
    obeys(&hub, "kitchen", 60);
    hub.assert_no_violations();
}

#[test]
fn who_never_ends_or_never_goes_on() {
    let hub = Setup::new(&["endless", "slow", "still", "gone"]).with(TIMERS).start();
    std::thread::scope(|scope| {
        // As fast as it is taken, and for ever.
        scope.spawn(|| {
            hub.simulator()
                .answer_speech("endless", Script::text("volume 3").stop(Stop::Bytes(64_000)))
                .unwrap();
            let mut upload = hub.speak_to("endless", "", PCM);
            let (piece, begun) = (spoken(16_000, 1.0), Instant::now());
            while !upload.is_answered() && upload.send(&piece) {
                assert!(begun.elapsed() < Duration::from_secs(30), "it is listened to for ever");
            }
            let bytes = upload.sent.last().unwrap().1;
            assert_eq!(upload.answer().0, 204);
            let hearing = hub.wait_hearing("endless", 0, |h| h.ended.is_some());
            println!(
                "speech: endless: {bytes} bytes were offered, {} went on, {:?} ahead",
                hearing.bytes,
                hearing.ahead()
            );
            assert!(hearing.whole && hearing.ahead() < Duration::from_secs(4), "{:?} ahead", hearing.ahead());
        });
        // A byte now and then: that is no speech, and later no progress.
        scope.spawn(|| {
            let mut upload = hub.speak_to("slow", "", PCM);
            let begun = Instant::now();
            while !upload.is_answered() && upload.send(&[0]) {
                assert!(begun.elapsed() < Duration::from_secs(20), "it waits for ever");
                std::thread::sleep(Duration::from_millis(100));
            }
            println!("speech: slow: over after {:?}", begun.elapsed());
            assert_eq!(upload.answer().0, 409);
            hub.simulator().answer_speech("slow", Script::nothing().stop(Stop::Never)).unwrap();
            let mut upload = hub.speak_to("slow", "", PCM);
            upload.send(&spoken(16_000, 0.2));
            let begun = Instant::now();
            while !upload.is_answered() && upload.send(&[0]) {
                assert!(
                    begun.elapsed() < Duration::from_secs(30),
                    "it waits for ever: {:#}",
                    hub.speaker("slow")
                );
                std::thread::sleep(Duration::from_millis(100));
            }
            println!(
                "speech: slow in the midst: over after {:?} with {}",
                begun.elapsed(),
                upload.answer().0
            );
        });
        // Not a byte more.
        scope.spawn(|| {
            hub.simulator().answer_speech("still", Script::nothing().stop(Stop::Never)).unwrap();
            let mut upload = hub.speak_to("still", "", PCM);
            let begun = Instant::now();
            upload.send(&spoken(16_000, 0.5));
            let (status, problem) = upload.answer();
            println!("speech: still: over after {:?} with {status} {}", begun.elapsed(), problem["detail"]);
            assert!(begun.elapsed() < Duration::from_secs(17));
        });
        // The one who spoke is gone, and has said what was said.
        scope.spawn(|| {
            hub.simulator().answer_speech("gone", Script::text("volume 3").stop(Stop::Never)).unwrap();
            let mark = hub.simulator().mark("gone");
            let mut upload = hub.speak_to("gone", "", PCM);
            upload.send(&spoken(16_000, 0.5));
            hub.wait_hearing("gone", 0, |h| h.bytes >= 15_000);
            drop(upload);
            assert!(hub.wait_hearing("gone", 0, |h| h.ended.is_some()).whole);
            hub.event("gone", mark, "Speaker", "VolumeChanged");
        });
    });
    for id in ["endless", "slow", "still", "gone"] {
        hub.wait_attention(id, "idle");
        hub.wait_picture("linked", |_| hub.speaker(id)["link"]["state"] == "connected");
        obeys(&hub, id, 70);
    }
    hub.assert_no_violations();
}

#[test]
fn the_hub_ends_in_the_midst_of_a_request() {
    let mut hub = Setup::new(&["kitchen"]).with(TIMERS).program().start();
    for signal in [Signal::KILL, Signal::TERM] {
        let index = hub.simulator().hearings("kitchen").len();
        hub.simulator().answer_speech("kitchen", Script::text("volume 3").stop(Stop::Never)).unwrap();
        let mut upload = hub.speak_to("kitchen", "", PCM);
        upload.send(&spoken(16_000, 0.5));
        hub.wait_hearing("kitchen", index, |h| h.bytes >= 15_000);
        let begun = Instant::now();
        hub.end(signal);
        println!("speech: {signal:?} in the midst: ended after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(6));
        let over = || hub.simulator().connections("kitchen").iter().all(|c| c.closed.is_some());
        assert!(wait_for(Duration::from_secs(10), || over().then_some(())).is_some(), "it hangs");
        drop(upload);
        hub.start_again();
        hub.wait_linked();
        assert_eq!(hub.speaker("kitchen")["device"]["attention"], "idle");
        assert_eq!(recognizes(&hub, "kitchen", 0), index + 1, "nothing is said twice");
        let volume = if signal == Signal::KILL { 50 } else { 60 };
        obeys(&hub, "kitchen", volume);
    }
    hub.assert_no_violations();
}
