//! What people do at the surfaces of the hub with one speaker's Alexa: link it on the hub's own page, by an app, log it
//! out; speak to it; its alarms, keys and tone; and what they are told when it cannot be done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, LOCATION, ORIGIN};
use reqwest::{Method, Response, StatusCode, redirect};
use serde_json::json;
use support::hub::{Hub, PATIENCE, Setup};

/// A browser without a mind of its own: it does not follow redirects.
struct Browser<'a>(&'a Hub, reqwest::Client);

impl<'a> Browser<'a> {
    fn new(hub: &'a Hub) -> Self {
        let client = reqwest::Client::builder().no_proxy().redirect(redirect::Policy::none());
        Self(hub, client.build().expect("a client"))
    }

    /// Status, where it leads, and the text of a page.
    fn open(&self, method: Method, url: &str) -> (StatusCode, String, String) {
        let url = if url.starts_with('/') { format!("{}{url}", self.0.http()) } else { url.into() };
        self.0.wait(async {
            let answer = self.1.request(method, url).send().await.expect("the hub answers");
            let to = answer.headers().get(LOCATION).map(|v| v.to_str().expect("a location").to_owned());
            (answer.status(), to.unwrap_or_default(), answer.text().await.expect("a page"))
        })
    }

    fn get(&self, url: &str) -> (StatusCode, String, String) {
        self.open(Method::GET, url)
    }
}

fn unlinked() -> Hub {
    Setup::new(&["kitchen"]).speaker("kitchen", "# unlinked\n").start_unlinked()
}

fn state(hub: &Hub, wanted: &str) {
    hub.wait_picture(&format!("the link is {wanted}"), |p| p["speakers"][0]["link"]["state"] == wanted);
}

#[test]
fn a_person_links_a_speaker_on_the_hubs_own_page() {
    let hub = unlinked();
    state(&hub, "needs_login");
    let browser = Browser::new(&hub);
    let (status, _, page) = browser.get("/link");
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("Not linked") && page.contains("/link/kitchen/local"), "{page}");
    assert!(!page.contains("://"), "nothing comes from elsewhere: {page}");

    // To Amazon, where the person says no.
    let (status, to, _) = browser.get("/link/kitchen/local");
    assert_eq!(status, StatusCode::SEE_OTHER);
    let asked = to.split("state=").nth(1).expect("a state").split('&').next().expect("a state").to_owned();
    let (status, _, page) =
        browser.get(&format!("/link/return?error=access_denied&error_description=No%3Cb%3E&state={asked}"));
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("No&lt;b&gt;") && page.contains("try again"), "{page}");
    // That way back is used up, also with a code.
    let (status, _, page) = browser.get(&format!("/link/return?code=c&state={asked}"));
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("used already"), "{page}");
    state(&hub, "needs_login");

    // And where the person says yes.
    let (_, to, _) = browser.get("/link/kitchen/local");
    let back = hub.simulator().allow(&to).expect("allowed");
    let (status, to, page) = browser.get(&back);
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/link"), "{page}");
    state(&hub, "connected");
    assert!(browser.get("/link").2.contains("Log out kitchen"));
    assert_eq!(browser.get(&back).0, StatusCode::BAD_REQUEST, "good once");

    let (status, to, _) = browser.open(Method::POST, "/link/kitchen/logout");
    assert_eq!((status, to.as_str()), (StatusCode::SEE_OTHER, "/link"));
    state(&hub, "needs_login");
    hub.assert_no_violations();
}

#[test]
fn a_code_is_shown_on_the_page() {
    let hub = unlinked();
    let browser = Browser::new(&hub);
    assert_eq!(browser.open(Method::POST, "/link/kitchen/code").0, StatusCode::SEE_OTHER);
    let picture = hub.wait_picture("a code", |p| p["speakers"][0]["link"]["login"].is_object());
    let code = picture["speakers"][0]["link"]["login"]["user_code"].as_str().expect("a code").to_owned();
    assert!(browser.get("/link").2.contains(&code));
    assert_eq!(browser.get("/link/nobody/local").0, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/link/kitchen/site").0, StatusCode::CONFLICT, "there is no client secret");
}

#[test]
fn an_app_links_a_speaker_and_it_is_logged_out() {
    let hub = unlinked();
    let redirect_uri = "https://app.example/back";
    let begin = || {
        let (status, needed) = hub.ask("POST", "/api/speakers/kitchen/link/app", None);
        assert_eq!(status, 200, "{needed}");
        assert_eq!(needed["dsn"], "kitchen");
        needed
    };
    // A code that is none uses the request up.
    let client_id = begin()["client_id"].as_str().expect("an id").to_owned();
    let wrong = json!({ "code": "nonsense", "client_id": client_id, "redirect_uri": redirect_uri });
    assert_eq!(hub.ask("POST", "/api/speakers/kitchen/link/code", Some(wrong)).0, 409);
    let needed = begin();
    let field = |key: &str| needed[key].as_str().expect("a text").to_owned();
    let mut url = reqwest::Url::parse(&format!("{}/ap/oa", hub.simulator().gateway())).expect("a URL");
    url.query_pairs_mut()
        .append_pair("client_id", &client_id)
        .append_pair("scope", &field("scope"))
        .append_pair("scope_data", &field("scope_data"))
        .append_pair("response_type", "code")
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("state", "the app's own")
        .append_pair("code_challenge", &field("code_challenge"))
        .append_pair("code_challenge_method", &field("code_challenge_method"));
    let back = hub.simulator().allow(url.as_str()).expect("allowed");
    let back = reqwest::Url::parse(&back).expect("a URL");
    let code = back.query_pairs().find(|(key, _)| key == "code").expect("a code").1.into_owned();
    let body = json!({ "code": code, "client_id": client_id, "redirect_uri": redirect_uri });
    hub.api("POST", "/api/speakers/kitchen/link/code", body);
    state(&hub, "connected");
    let out = hub.antiphon(&["logout", "kitchen"]).output().expect("it runs");
    assert!(out.status.success());
    state(&hub, "needs_login");
}

/// Two seconds of a tone, as PCM.
fn tone() -> Vec<u8> {
    let sample = |n: u32| ((f64::from(n) * 0.17).sin() * 8_000.0) as i16;
    (0..32_000).flat_map(|n| sample(n).to_le_bytes()).collect()
}

fn speak(hub: &Hub, query: &str, kind: &str, body: Vec<u8>) -> Response {
    let url = format!("{}/api/speakers/kitchen/listen{query}", hub.http());
    let request = reqwest::Client::new().post(url).header(CONTENT_TYPE, kind).body(body);
    hub.wait(async { request.send().await.expect("the hub answers") })
}

#[test]
fn somebody_speaks_to_a_speaker() {
    let hub = Setup::new(&["kitchen"]).start();
    let heard = speak(&hub, "?initiator=hold", "audio/l16;rate=16000", tone());
    assert_eq!(heard.status(), StatusCode::NO_CONTENT);
    let simulator = hub.simulator();
    let hearing =
        hub.wait(simulator.wait_hearing("kitchen", 0, |h| h.ended.is_some(), PATIENCE)).expect("heard");
    assert!(hearing.whole, "properly ended");
    assert_eq!(hearing.profile, "CLOSE_TALK");
    // Decoders and coders round to whole frames of 10 ms.
    assert!((62_000..=66_000).contains(&hearing.bytes), "{} bytes", hearing.bytes);

    for (query, kind, status) in [
        ("", "text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("", "audio/l16;rate=44100", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("?initiator=shout", "audio/wav", StatusCode::BAD_REQUEST),
        ("?initiator=wakeword&start=5", "audio/wav", StatusCode::BAD_REQUEST),
        ("?nonsense=1", "audio/wav", StatusCode::BAD_REQUEST),
    ] {
        let answer = speak(&hub, query, kind, Vec::new());
        assert_eq!(answer.status(), status, "{query} {kind}");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json", "{query} {kind}");
    }
    hub.assert_no_violations();
}

#[test]
fn a_file_that_is_longer_than_alexa_listens_is_no_error() {
    let hub = Setup::new(&["kitchen"]).start();
    let file = hub.folder().join("long.raw");
    let long: Vec<u8> = tone().into_iter().cycle().take(60 * 32_000).collect();
    std::fs::write(&file, long).expect("written");
    let begun = Instant::now();
    let out = hub.antiphon(&["listen", "kitchen", &file.to_string_lossy()]).output().expect("it runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // A minute of sound, and Alexa stops after one second (Stop::Usual).
    assert!(begun.elapsed() < PATIENCE, "it ended when Alexa had heard enough");
    let hearing = hub.wait(hub.simulator().wait_hearing("kitchen", 0, |h| h.ended.is_some(), PATIENCE));
    let hearing = hearing.expect("heard");
    assert!(hearing.whole && hearing.stop_sent.is_some());
    assert!(hearing.sound() < Duration::from_secs(15), "{:?}", hearing.sound());
    let said = hub.antiphon(&["listen", "kitchen", "/nowhere"]).output().expect("it runs").stderr;
    assert!(String::from_utf8_lossy(&said).contains("/nowhere cannot be opened"));
    hub.assert_no_violations();
}

#[test]
fn nobody_hears_where_there_is_no_account() {
    let hub = unlinked();
    state(&hub, "needs_login");
    let answer = speak(&hub, "", "application/octet-stream", tone());
    assert_eq!(answer.status(), StatusCode::CONFLICT);
}

#[test]
fn alarms_keys_and_tone_are_at_hand() {
    let hub = Setup::new(&["kitchen"]).start();
    let run = |arguments: &[&str]| {
        let out = hub.antiphon(arguments).output().expect("it runs");
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    let mark = hub.simulator().mark("kitchen");
    assert!(run(&["equalizer", "kitchen", "bass", "+3", "mode", "night"]).0);
    hub.event("kitchen", mark, "EqualizerController", "EqualizerChanged");
    hub.wait_picture("the tone", |p| p["speakers"][0]["device"]["equalizer"]["levels"] == json!([3, 0, 0]));
    assert!(run(&["equalizer", "kitchen"]).1.contains("bass +3, mode night"));
    assert!(run(&["speakers"]).1.contains("equalizer bass +3, mode night"));
    let (fine, said) = run(&["equalizer", "kitchen", "treble", "7"]);
    assert!(!fine && said.contains("-6 to 6 dB"), "{said}");

    assert!(run(&["press", "kitchen", "next"]).0);
    hub.event("kitchen", mark, "PlaybackController", "NextCommandIssued");
    assert!(run(&["press", "kitchen", "thumbs-up"]).0);
    hub.event("kitchen", mark, "PlaybackController", "ToggleCommandIssued");
    assert_eq!(hub.ask("POST", "/api/speakers/kitchen/buttons/bang", None).0, 404);

    hub.say("kitchen", "timer 10 minutes");
    hub.event("kitchen", mark, "Alerts", "SetAlertSucceeded");
    let (fine, said) = run(&["alarms"]);
    assert!(fine && said.contains("  timer in "), "{said}");
    assert!(run(&["alarms", "kitchen", "volume", "25"]).0);
    hub.event("kitchen", mark, "Alerts", "VolumeChanged");
    hub.wait_picture("the alert volume", |p| p["speakers"][0]["device"]["alert_volume"] == 25);

    let (fine, said) = run(&["input", "kitchen", "LINE 1"]);
    assert!(!fine && said.contains("[[inputs]]"), "{said}");
    let (fine, said) = run(&["locale", "kitchen", "xx-XX"]);
    assert!(!fine && said.contains("en-US"), "{said}");
    assert!(run(&["locale", "kitchen", "de-DE"]).0);
    hub.event("kitchen", mark, "System", "LocalesChanged");
    assert!(run(&["time-zone", "kitchen", "Europe/Berlin"]).0);
    hub.event("kitchen", mark, "System", "TimeZoneChanged");
}

#[test]
fn a_foreign_page_reaches_nothing() {
    let hub = unlinked();
    for path in ["/link/kitchen/code", "/link/kitchen/logout", "/api/speakers/kitchen/listen"] {
        let request = reqwest::Client::new().post(format!("{}{path}", hub.http()));
        let answer = hub
            .wait(async { request.header(ORIGIN, "https://evil.example").send().await.expect("an answer") });
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
}
