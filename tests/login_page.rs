//! The hub's own page of accounts in a real browser: seen on a desk and on a telephone, used by the keyboard alone, and
//! gone through to the end, by code and by log-in on the hub itself. Where `ANTIPHON_PICTURES` names a folder, what the
//! page looked like is left there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod support;

use support::chromium::Chromium;
use support::hub::{Hub, Setup};
use support::login::QUICK;
use support::or_skip;

/// A house in all states: linked, not linked, without a product, with markup for a name.
fn house() -> Hub {
    let hub = Setup::new(&["attic", "kitchen", "sofa"])
        .speaker("kitchen", "# unlinked\nname = \"Kitchen <b>&\"\n")
        .speaker("sofa", "# unlinked\nname = \"Wohnzimmer-Lautsprecher am großen Fenster\"\n")
        .with(&format!("client_secret = \"hush\"\n{QUICK}"))
        .start_unlinked();
    hub.wait_link("attic", "connected");
    hub.wait_link("kitchen", "needs_login");
    hub.wait_link("sofa", "needs_login");
    hub
}

fn picture(browser: &mut Chromium, name: &str) {
    let Some(folder) = std::env::var_os("ANTIPHON_PICTURES") else { return };
    browser.picture(&std::path::Path::new(&folder).join(format!("{name}.png")));
}

/// Nothing came from elsewhere, and nothing was wrong.
fn alone(browser: &Chromium, hub: &Hub) {
    let here = hub.http();
    let amazon = hub.simulator().gateway();
    for asked in browser.asked.iter().filter(|asked| !asked.starts_with("about:")) {
        let known = asked.starts_with(&here) || asked.starts_with(&format!("{amazon}/ap/oa"));
        // The simulator's page has no icon, as Amazon's has.
        assert!(known || asked.ends_with("/favicon.ico"), "{asked}");
    }
    let real: Vec<_> = browser.complaints.iter().filter(|c| !c.contains("404")).collect();
    assert!(real.is_empty(), "{real:#?}");
}

#[test]
fn the_page_fits_a_desk_and_a_telephone() {
    let Some(mut browser) = or_skip(Chromium::start()) else { return };
    let hub = house();
    hub.api("POST", "/api/speakers/sofa/link", serde_json::json!({}));
    let code = hub.shown_code("sofa");
    for (name, width, height, mobile) in [("desk", 1280, 900, false), ("telephone", 360, 740, true)] {
        browser.resize(width, height, mobile);
        browser.open(&format!("{}/link", hub.http()));
        browser.wait("the code", &format!("document.body.innerText.includes('{code}')"));
        picture(&mut browser, name);
        // Nothing is cut off at the side, and fingers find what they press (WCAG 2.5.8: 24 px; ours 44).
        assert_eq!(browser.evaluate("document.documentElement.scrollWidth <= innerWidth"), true, "{name}");
        let small = "[...document.querySelectorAll('button, .button, summary')].filter(b => { const r = b.getBoundingClientRect(); \
                     return r.width && r.height < 43 }).map(b => b.textContent)";
        assert_eq!(browser.evaluate(small), serde_json::json!([]), "{name}");
    }
    // A name is text, whatever is in it.
    assert_eq!(browser.evaluate("document.querySelectorAll('h2 b').length"), 0);
    assert_eq!(
        browser.evaluate("[...document.querySelectorAll('h2')].some(h => h.textContent === 'Kitchen <b>&')"),
        true
    );
    alone(&browser, &hub);
    // The policy holds: no script and no picture but its own.
    let tried = "new Promise(done => { const s = document.createElement('script'); s.textContent = 'window.foreign = 1'; \
                 document.body.append(s); const i = new Image(); i.onerror = () => done(window.foreign ?? 'refused'); \
                 i.src = 'data:image/png;base64,AA'; })";
    assert!(browser.complaints.iter().all(|c| c.contains("404")), "{:?}", browser.complaints);
    assert_eq!(browser.evaluate(tried), "refused");
    assert!(
        browser.complaints.iter().any(|c| c.contains("Content Security Policy")),
        "{:?}",
        browser.complaints
    );
    hub.assert_no_violations();
}

#[test]
fn a_speaker_is_linked_on_the_page_by_the_keyboard_alone() {
    let Some(mut browser) = or_skip(Chromium::start()) else { return };
    let hub = house();
    browser.resize(1280, 900, false);
    browser.open(&format!("{}/link", hub.http()));
    // Every way is reached, and each says for whom it is.
    for words in [
        "Log out attic",
        "Log in here for Kitchen <b>&",
        "Show a code for Kitchen <b>&",
        "companion site for Kitchen",
    ] {
        browser.tab_to(words);
    }
    let ring = "getComputedStyle(document.activeElement).outlineStyle !== 'none'";
    assert_eq!(browser.evaluate(ring), true, "where the keyboard is can be seen");
    // To Amazon, a yes, and home again.
    browser.open(&format!("{}/link", hub.http()));
    browser.tab_to("Log in here for Kitchen");
    browser.press("Enter");
    browser.wait("Amazon asks", "location.pathname === '/ap/oa' && document.querySelector('button')");
    browser.tab_to("Allow");
    browser.press("Enter");
    browser.wait(
        "home again",
        "location.pathname === '/link' && document.querySelectorAll('.good').length === 2",
    );
    hub.wait_link("kitchen", "connected");
    picture(&mut browser, "linked");
    // A code for another; the page shows by itself that it was entered.
    browser.tab_to("Show a code for Wohnzimmer");
    browser.press("Enter");
    browser.wait("a code", "document.querySelector('.code')");
    let shown = browser.evaluate("document.querySelector('.code [aria-hidden]').textContent");
    let code = hub.shown_code("sofa");
    assert_eq!(shown, code.as_str());
    let spoken = browser.evaluate("document.querySelector('.code .spoken').textContent");
    assert_eq!(spoken.as_str().unwrap().replace(' ', ""), code);
    hub.simulator().approve(&code).unwrap();
    browser.wait("all are linked", "document.querySelectorAll('.good').length === 3");
    // And given up again: a step between, so that nobody does it unaware.
    browser.open(&format!("{}/link", hub.http()));
    browser.tab_to("Log out Kitchen");
    browser.press("Enter");
    browser.tab_to("Log out Kitchen");
    picture(&mut browser, "farewell");
    browser.press("Enter");
    browser.wait("it is logged out", "document.querySelectorAll('.good').length === 2");
    hub.wait_link("kitchen", "needs_login");
    alone(&browser, &hub);
    hub.assert_no_violations();
}

#[test]
fn a_person_who_says_no_is_told_so() {
    let Some(mut browser) = or_skip(Chromium::start()) else { return };
    let hub = house();
    browser.resize(360, 740, true);
    browser.open(&format!("{}/link/kitchen/local", hub.http()));
    browser.wait("Amazon asks", "location.pathname === '/ap/oa' && document.querySelector('button')");
    browser.evaluate("document.querySelector('button[value=deny]').click()");
    browser.wait("it is told", "document.body.innerText.includes('the person said no')");
    picture(&mut browser, "refused");
    browser.tab_to("Back to the speakers");
    browser.press("Enter");
    browser
        .wait("the page", "location.pathname === '/link' && document.querySelectorAll('.good').length === 1");
    hub.assert_no_violations();
}
