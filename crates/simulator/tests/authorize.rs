//! Authorization codes: the page, the redirect, PKCE and secrets, over the wire.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use antiphon_simulator::{Client, Options, Simulator};
use http::Request;
use support::*;

/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const SCOPE: &str = "scope=alexa%3Aall&scope_data=%7B%22alexa%3Aall%22%3A%7B%22productID%22%3A%22p%22%2C\
    %22productInstanceAttributes%22%3A%7B%22deviceSerialNumber%22%3A%22d1%22%7D%7D%7D&response_type=code";
const BACK: &str = "redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fback";

fn url(simulator: &Simulator, rest: &str) -> String {
    format!("{}/ap/oa?{SCOPE}&{BACK}&{rest}", simulator.gateway())
}

fn pkce(simulator: &Simulator) -> String {
    let challenge =
        format!("client_id=app&state=s%201&code_challenge={CHALLENGE}&code_challenge_method=S256");
    url(simulator, &challenge)
}

fn code(redirect: &str) -> &str {
    redirect.split("code=").nth(1).unwrap().split('&').next().unwrap()
}

fn clients(options: &mut Options) {
    let redirects = vec!["http://localhost:9/back".to_owned()];
    options.clients = vec![
        Client { id: "app".into(), secret: None, redirects: redirects.clone() },
        Client { id: "site".into(), secret: Some("whisper".into()), redirects },
    ];
}

#[tokio::test]
async fn an_app_proves_its_code_once() {
    let (simulator, _folder) = simulator(clients).await;
    let mut device = connect(&simulator).await;
    let mut exchange = async |code: &str, rest: &str| {
        let form = format!("grant_type=authorization_code&code={code}&{BACK}&{rest}");
        device.form("/auth/o2/token", &form).await
    };
    let good = format!("client_id=app&code_verifier={VERIFIER}");
    let back = simulator.allow(&pkce(&simulator)).unwrap();
    assert!(back.starts_with("http://localhost:9/back?code=") && back.ends_with("&state=s%201"), "{back}");
    let (status, tokens) = exchange(code(&back), &good).await;
    assert_eq!((status, tokens["token_type"].as_str()), (200, Some("bearer")));
    assert_eq!(exchange(code(&back), &good).await.1["error"], "invalid_grant", "a code is good once");
    for bad in [
        format!("client_id=app&code_verifier={}", VERIFIER.replace('d', "e")),
        "client_id=app&code_verifier=short".to_owned(),
        "client_id=app".to_owned(),
        format!("client_id=site&code_verifier={VERIFIER}"),
    ] {
        let back = simulator.allow(&pkce(&simulator)).unwrap();
        assert_eq!(exchange(code(&back), &bad).await.1["error"], "invalid_grant", "{bad}");
    }
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(device.refresh(refresh).await.0, 200, "without a secret");
    let profile =
        device.get(&format!("/user/profile?access_token={}", device.token.replace('|', "%7C"))).await;
    assert!(whole(profile.unwrap()).await.1.contains("user_id"));
    assert!(simulator.violations().is_empty(), "{:?}", simulator.violations());
    simulator.revoke("d1").unwrap();
    let answer = device.refresh(refresh).await;
    assert_eq!(answer.1["error"], "invalid_grant");
}

#[tokio::test]
async fn a_site_keeps_its_secret() {
    let (simulator, _folder) = simulator(clients).await;
    let mut device = connect(&simulator).await;
    let site = url(&simulator, "client_id=site&state=x");
    for (secret, good) in [("", false), ("&client_secret=shout", false), ("&client_secret=whisper", true)] {
        let back = simulator.allow(&site).unwrap();
        let form =
            format!("grant_type=authorization_code&code={}&{BACK}&client_id=site{secret}", code(&back));
        let (status, answer) = device.form("/auth/O2/token", &form).await;
        assert_eq!(status == 200, good, "{secret}: {answer}");
        if good {
            let refresh = answer["refresh_token"].as_str().unwrap().replace('|', "%7C");
            let form = format!("grant_type=refresh_token&client_id=site&refresh_token={refresh}");
            assert_eq!(device.form("/auth/O2/token", &form).await.1["error"], "invalid_client");
            assert_eq!(device.form("/auth/O2/token", &format!("{form}{secret}")).await.0, 200);
        }
    }
}

#[tokio::test]
async fn bad_requests_are_not_shown() {
    let (simulator, _folder) = simulator(clients).await;
    let challenge = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
    for (rest, told) in [
        ("client_id=nobody&state=x".to_owned(), "client_id is not known"),
        ("client_id=app&state=x".to_owned(), "code_challenge+is+missing"),
        ("client_id=site".to_owned(), "state+is+missing"),
        (format!("client_id=app&state=x{}", challenge.replace("S256", "plain")), "must+be+S256"),
        (format!("client_id=app&state=x{}", challenge.replace(CHALLENGE, "x")), "no+base64url"),
    ] {
        let answer = match simulator.allow(&url(&simulator, &rest)) {
            Ok(redirect) => redirect.replace("%20", "+"),
            Err(error) => error.to_string(),
        };
        assert!(answer.contains(told) && !answer.contains("?code="), "{answer}");
        assert_eq!(simulator.violations().len(), 1);
        simulator.forget_violations();
    }
    let elsewhere = pkce(&simulator).replace("localhost%3A9", "localhost%3A10");
    assert!(simulator.allow(&elsewhere).unwrap_err().to_string().contains("not one of the client's"));
}

#[tokio::test]
async fn a_person_sees_a_page_or_is_spared_it() {
    let (first, _folder) = simulator(|_| {}).await;
    let mut browser = connect(&first).await;
    let path = pkce(&first).split_once(&first.gateway()).unwrap().1.to_owned();
    let (status, page) = whole(browser.get(&path).await.unwrap()).await;
    assert!(status == 200 && page.contains("<b>d1</b>") && page.contains("value=\"allow\""), "{page}");
    let query = path.split_once('?').unwrap().1;
    for (decision, told) in [("allow", "code="), ("deny", "error=access_denied")] {
        let request = Request::post("https://127.0.0.1/ap/oa").body(()).unwrap();
        let form = format!("{query}&decision={decision}");
        let answer = browser.request(request, form.as_bytes()).await.unwrap();
        assert_eq!(answer.status(), 302);
        assert!(answer.headers()["location"].to_str().unwrap().contains(told));
    }
    let (second, _folder) = simulator(|options| {
        options.allow_all = true;
        options.grant_lifetime = Duration::ZERO;
    })
    .await;
    let mut browser = connect(&second).await;
    let answer = browser.get(&path).await.unwrap();
    assert_eq!(answer.status(), 302);
    let back = answer.headers()["location"].to_str().unwrap().to_owned();
    let form = format!(
        "grant_type=authorization_code&code={}&{BACK}&client_id=app&code_verifier={VERIFIER}",
        code(&back)
    );
    let (_, answer) = browser.form("/auth/O2/token", &form).await;
    assert!(answer["error_description"].as_str().unwrap().contains("expired"), "{answer}");
}
