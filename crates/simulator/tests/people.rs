//! What people and players meet: the admin API through the program, the media, the speech.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use antiphon_simulator::Simulator;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use support::*;

async fn get(simulator: &Simulator, path: &str, range: Option<&str>) -> Response<Incoming> {
    let host = simulator.admin().trim_start_matches("http://").to_owned();
    let tcp = tokio::net::TcpStream::connect(&host).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::get(path).header("host", host);
    if let Some(range) = range {
        request = request.header("range", range);
    }
    sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
}

async fn bytes(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Whether the tool is there; where it must be (CI), its absence is a failure, else it is said aloud.
fn present(tool: &str, test: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "{tool} is not installed");
    if !there {
        eprintln!("SKIPPED: {test}: this machine lacks {tool}");
    }
    there
}

/// Runs the program against the simulator; its standard output.
async fn program(simulator: &Simulator, words: &[&str]) -> Result<String, String> {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_antiphon-simulator"));
    command.arg("--at").arg(simulator.admin()).args(words);
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[tokio::test]
async fn the_program_drives_a_simulator() {
    let (simulator, folder) = simulator(|_| {}).await;
    simulator.link("serial-1", "Living Room");
    let (mut device, mut down) = ready(&simulator, "serial-1").await;
    let said = async {
        down.until("AdjustVolume").await;
        let changed = event("Speaker", "VolumeChanged", json!({"volume":60,"muted":false}));
        device.event(&changed).await.unwrap()
    };
    let (printed, _) = tokio::join!(program(&simulator, &["say", "living room", "volume", "up"]), said);
    let printed = printed.unwrap();
    assert!(printed.contains("-> Speaker.AdjustVolume {\"volume\":10}"), "{printed}");
    assert!(printed.contains("<- Speaker.VolumeChanged"), "{printed}");
    let devices = program(&simulator, &["devices"]).await.unwrap();
    assert!(devices.contains("Living Room") && devices.contains("volume 60"), "{devices}");
    let transcript = program(&simulator, &["transcript", "serial-1"]).await.unwrap();
    assert_eq!(transcript.lines().count(), 3, "{transcript}");
    assert!(program(&simulator, &["say", "nobody", "mute"]).await.unwrap_err().contains("no device nobody"));
    assert!(program(&simulator, &["say", "serial-1", "sing"]).await.unwrap_err().contains("not understood"));
    assert!(
        program(&simulator, &["fault", "serial-1", "nonsense"]).await.unwrap_err().contains("no such fault")
    );
    program(&simulator, &["hear", "serial-1", "set volume to 3", "--stop", "never"]).await.unwrap();
    let wrong = program(&simulator, &["hear", "serial-1", "--stop", "soon"]).await.unwrap_err();
    assert!(wrong.contains("stop is usual"), "{wrong}");
    let file = folder.0.join("directive.json");
    std::fs::write(
        &file,
        json!({"directive":{"header":{"namespace":"X","name":"Y"},"payload":{"url":"cid:one"}}}).to_string(),
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let attach = format!("one={path}");
    program(&simulator, &["directive", "serial-1", path, "--attach", &attach]).await.unwrap();
    down.until("Content-ID: <one>").await;
    program(&simulator, &["fault", "all", "end-downchannel"]).await.unwrap();
    while down.more().await {}
    assert_eq!(program(&simulator, &["violations"]).await.unwrap(), "");
}

#[tokio::test]
async fn media_answer_ranges_and_fail_as_named() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let whole = get(&simulator, "/media/tone-440-1s.wav", None).await;
    assert_eq!(
        (whole.status().as_u16(), whole.headers()["content-type"].to_str().unwrap()),
        (200, "audio/wav")
    );
    let whole = bytes(whole).await;
    assert_eq!(whole.len(), 44 + 44_100 * 4);
    let part = get(&simulator, "/media/tone-440-1s.wav", Some("bytes=40-43")).await;
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], format!("bytes 40-43/{}", whole.len()));
    assert_eq!(bytes(part).await, whole.slice(40..44));
    assert_eq!(get(&simulator, "/media/tone-440-1s.wav", Some("bytes=999999-")).await.status(), 416);
    for (name, status) in
        [("404", 404), ("500", 500), ("garbage", 200), ("jazz.mp3", 404), ("..%2Fca-key.pem", 404)]
    {
        assert_eq!(get(&simulator, &format!("/media/{name}"), None).await.status(), status, "{name}");
    }
}

#[tokio::test]
async fn every_format_is_made() {
    if !present("gst-launch-1.0", "every_format_is_made") {
        return;
    }
    let (simulator, _folder) = simulator(|_| {}).await;
    for (name, magic) in [
        ("mp3", &b"\xff\xfb"[..]),
        ("aac", b"\xff\xf1"),
        ("flac", b"fLaC"),
        ("opus", b"OggS"),
        ("ogg", b"OggS"),
        ("m4a", b"\0\0\0"),
    ] {
        let track = get(&simulator, &format!("/media/tone-440-1s.{name}"), None).await;
        assert_eq!(track.status(), 200, "{name}");
        let data = bytes(track).await;
        assert!(data.starts_with(magic) && data.len() > 2000, "{name}: {:?}", &data[..8]);
    }
    let mut stalled = get(&simulator, "/media/stall", None).await.into_body();
    let mut seen = 0;
    while let Ok(Some(Ok(frame))) =
        tokio::time::timeout(std::time::Duration::from_secs(1), stalled.frame()).await
    {
        seen += frame.into_data().unwrap().len();
    }
    assert!(seen > 100_000, "{seen}");
}

#[tokio::test]
async fn speech_is_attached() {
    if !present("gst-launch-1.0", "speech_is_attached") || !present("espeak-ng", "speech_is_attached") {
        return;
    }
    let (simulator, _folder) = simulator(|_| {}).await;
    let (_device, mut down) = ready(&simulator, "a").await;
    let (said, ()) = tokio::join!(simulator.say("a", "tell me It works"), down.until("Content-ID: <speech:"));
    assert_eq!(said.unwrap(), ["SpeechSynthesizer.Speak"]);
    let speak = simulator.transcript("a").pop().unwrap();
    assert!(speak.attachment_bytes > 1000);
}

#[tokio::test]
async fn an_album_goes_on_by_itself() {
    let (simulator, _folder) = simulator(|_| {}).await;
    let (mut device, mut down) = ready(&simulator, "a").await;
    assert_eq!(device.declare(&["System", "Speaker", "AudioPlayer"]).await, 204);
    simulator.say("a", "play demo").await.unwrap();
    down.until("AudioPlayer").await;
    let play = simulator.transcript("a").pop().unwrap();
    let stream = &play.payload()["audioItem"]["stream"];
    assert_eq!(stream["url"], simulator.track("demo-1.mp3"));
    let nearly = |token: &serde_json::Value| {
        event("AudioPlayer", "PlaybackNearlyFinished", json!({"token":token,"offsetInMilliseconds":1}))
    };
    let started = |token: &serde_json::Value| {
        event("AudioPlayer", "PlaybackStarted", json!({"token":token,"offsetInMilliseconds":0}))
    };
    device.event(&started(&stream["token"])).await.unwrap();
    let (status, body) = device.event(&nearly(&stream["token"])).await.unwrap();
    assert_eq!(status, 200);
    assert!(
        body.contains("ENQUEUE") && body.contains("demo-2.mp3") && body.contains("expectedPreviousToken")
    );
    assert_eq!(device.event(&nearly(&json!("stale"))).await.unwrap().0, 204);
    assert!(simulator.violations().pop().unwrap().what.contains("no Play had the token"));
    simulator.forget_violations();
    let token =
        simulator.transcript("a").iter().rfind(|e| e.is_directive("AudioPlayer", "Play")).unwrap().payload()
            ["audioItem"]["stream"]["token"]
            .clone();
    device.event(&started(&token)).await.unwrap();
    simulator.inject("a", &"no-final-delimiter".parse().unwrap()).unwrap();
    let (status, body) = device.event(&nearly(&token)).await.unwrap();
    assert!(status == 200 && body.ends_with("}\r\n"), "{body}");
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
}

#[tokio::test]
async fn playlists_and_broken_media() {
    if !present("gst-launch-1.0", "playlists_and_broken_media") {
        return;
    }
    let (simulator, _folder) = simulator(|_| {}).await;
    let list = bytes(get(&simulator, "/media/tone-440-5s.m3u8", None).await).await;
    let list = String::from_utf8(list.to_vec()).unwrap();
    assert!(list.contains("#EXTINF") && list.contains("#EXT-X-ENDLIST"), "{list}");
    let segments: Vec<&str> = list.lines().filter(|line| line.ends_with(".ts")).collect();
    assert!(segments.len() >= 2, "{list}");
    for segment in segments {
        let segment = get(&simulator, &format!("/media/{segment}"), None).await;
        assert_eq!(segment.status(), 200);
        assert_eq!(bytes(segment).await[0], 0x47, "a transport stream packet");
    }
    let pls = bytes(get(&simulator, "/media/demo.pls", None).await).await;
    let wanted = format!("File3={}", simulator.track("demo-3.mp3"));
    assert!(String::from_utf8(pls.to_vec()).unwrap().contains(&wanted));
    let m3u = bytes(get(&simulator, "/media/tone-440-1s.wav.m3u", None).await).await;
    assert!(String::from_utf8(m3u.to_vec()).unwrap().ends_with("tone-440-1s.wav\r\n"));
    assert!(get(&simulator, "/media/cut-tone-440-1s.wav", None).await.into_body().collect().await.is_err());
    let began = std::time::Instant::now();
    let mut slow = get(&simulator, "/media/slow-tone-440-1s.wav", None).await.into_body();
    for _ in 0..3 {
        slow.frame().await.unwrap().unwrap();
    }
    assert!(began.elapsed() >= std::time::Duration::from_millis(150));
    assert_eq!(simulator.fetched("demo.pls").len(), 1);
}
