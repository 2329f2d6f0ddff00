//! What was told of streams, and by whom; and that nobody heard more of it than intended.

use super::analysis::{largest_jump, longest_gap};
use super::hub::{Hub, PATIENCE, RATE, level_at, play};
use super::patience::wait_for;
use serde_json::Value;

/// What is told of a stream once in its life; reports, titles and stutters come beside it.
const LIFE: [&str; 7] = [
    "PlaybackStarted",
    "PlaybackNearlyFinished",
    "PlaybackFinished",
    "PlaybackStopped",
    "PlaybackFailed",
    "PlaybackQueueCleared",
    "PlaybackPaused",
];

/// `Started:a` and so on: what a speaker told of its streams since `mark`.
pub fn lives(hub: &Hub, id: &str, mark: u64) -> Vec<String> {
    let entries = hub.simulator().transcript(id);
    let ours = entries
        .iter()
        .filter(|e| e.index >= mark && LIFE.contains(&e.name.as_str()) && e.is_event("AudioPlayer", &e.name));
    ours.map(|e| {
        let token = e.payload()["token"].as_str().unwrap_or("");
        format!("{}:{token}", e.name.trim_start_matches("Playback"))
    })
    .collect()
}

/// Waits until exactly this was told.
pub fn told(hub: &Hub, id: &str, mark: u64, expected: &[&str]) {
    let mut last = Vec::new();
    wait_for(PATIENCE, || {
        last = lives(hub, id, mark);
        // What is not expected is seen at once, what is missing is waited for.
        (last == expected || !expected.starts_with(&last.iter().map(String::as_str).collect::<Vec<_>>()))
            .then_some(())
    });
    assert!(last == expected, "{id} told {last:?}, not {expected:?}");
}

/// The offset in the first event of that name since `mark`, ms.
pub fn offset(hub: &Hub, id: &str, mark: u64, name: &str) -> u64 {
    hub.event(id, mark, "AudioPlayer", name).payload()["offsetInMilliseconds"].as_u64().unwrap()
}

/// Sends a Play of a tone of the simulator.
pub fn tone(hub: &Hub, id: &str, behavior: &str, token: &str, track: &str, previous: Option<&str>) {
    hub.send(id, "AudioPlayer", "Play", play(behavior, &hub.simulator().track(track), token, previous));
}

/// From its first sound on a speaker heard the tone, at its level, without a gap or a jump.
pub fn assert_unbroken(hub: &Hub, id: &str, hertz: f64, volume: u64) {
    hub.listen(id, RATE as usize / 4);
    let sound = hub.recording(id).samples;
    unbroken(id, &sound, hertz, volume);
}

/// The same of sound that was recorded: from its first sample that is not silent to its last.
pub fn unbroken(id: &str, sound: &[f32], hertz: f64, volume: u64) {
    let begun = sound.iter().position(|s| *s != 0.0).unwrap() + RATE as usize / 10;
    let end = sound.iter().rposition(|s| *s != 0.0).unwrap();
    let sound = &sound[begun..end];
    let (place, gap) = longest_gap(sound, level_at(volume) - 20.0);
    assert!(gap < 20, "{id}: {gap} samples of silence {} s in", place as f64 / f64::from(RATE));
    let (place, jump) = largest_jump(sound, RATE, hertz);
    assert!(jump < 3e-6, "{id}: moved by {jump} s, {} s in", place as f64 / f64::from(RATE));
    println!("{id}: {:.1} s unbroken, largest jump {jump:.1e} s", sound.len() as f64 / f64::from(RATE));
}

/// Whose Alexa owns what a group hears, by the picture.
pub fn leader(picture: &Value, group: &str) -> Option<String> {
    let groups = picture["groups"].as_array()?;
    let group = groups.iter().find(|g| g["id"] == group)?;
    Some(group["content"]["leader"].as_str()?.to_owned())
}

/// Waits until a speaker leads what a group hears.
pub fn wait_leader(hub: &Hub, group: &str, id: &str) {
    hub.wait_picture("it leads", |p| leader(p, group).as_deref() == Some(id));
}
