//! The tokens under a clock by hand.

use super::*;

struct Bench {
    tokens: Tokens,
    now: HubTime,
    wake: Option<HubTime>,
}

impl Bench {
    fn new(refresh: Option<&str>) -> (Self, Vec<String>) {
        let tokens = Tokens::new(TokenTimers::default(), refresh.map(Secret::new), HubTime::EPOCH);
        let mut bench = Self { tokens, now: HubTime::EPOCH, wake: None };
        let words = bench.give(In::Wake);
        (bench, words)
    }

    fn give(&mut self, input: In) -> Vec<String> {
        self.tokens.handle(input, self.now);
        let mut words = Vec::new();
        loop {
            words.push(match self.tokens.poll() {
                Out::Wait(at) => {
                    self.wake = at;
                    return words;
                }
                Out::AskCodePair => "ask pair".into(),
                Out::Poll(_) => "poll".into(),
                Out::Refresh(token) => format!("refresh {}", token.expose()),
                Out::Persist(token) => format!("persist {}", token.expose()),
                Out::ShowCode(pair, _) => format!("show {}", pair.user_code),
                Out::LoggedIn => "logged in".into(),
                Out::Usable(token) => format!("usable {}", token.expose()),
                Out::Unusable => "unusable".into(),
                Out::NeedsLogin(why) => format!("needs login {why:?}"),
            });
        }
    }

    /// Goes to the next moment asked for: how long that took, and what was said.
    fn wait(&mut self) -> (Duration, Vec<String>) {
        let at = self.wake.expect("a moment");
        let took = at.since(self.now);
        self.now = at;
        (took, self.give(In::Wake))
    }
}

fn grant(access: &str, refresh: &str, seconds: u64) -> Grant {
    Grant {
        access_token: Secret::new(access),
        refresh_token: Secret::new(refresh),
        expires_in: Duration::from_secs(seconds),
    }
}

fn refused(code: &str) -> LwaError {
    LwaError::Refused { code: code.into(), status: 400 }
}

fn pair() -> CodePair {
    CodePair {
        user_code: "CODE".into(),
        device_code: Secret::new("device"),
        verification_uri: "https://amazon.com/us/code".into(),
        expires_in: Duration::from_secs(600),
        interval: Duration::from_secs(30),
    }
}

#[test]
fn a_token_is_refreshed_ten_minutes_before_it_expires() {
    let (mut bench, words) = Bench::new(Some("r"));
    assert_eq!(words, ["refresh r"]);
    assert_eq!(bench.give(In::Refreshed(Ok(grant("a", "r", 3600)))), ["usable a"]);
    let (took, words) = bench.wait();
    assert!((2940..=3000).contains(&took.as_secs()), "{took:?}");
    assert_eq!(words, ["refresh r"]);
    // LWA does not answer: the token is used to its end, and asking goes on behind it.
    let mut total = Duration::ZERO;
    let mut said = Vec::new();
    while total < Duration::from_secs(700) {
        said.extend(bench.give(In::Refreshed(Err(LwaError::Unreachable))));
        let (took, words) = bench.wait();
        total += took;
        said.extend(words);
    }
    assert_eq!(said.iter().filter(|w| *w == "unusable").count(), 1);
    assert!(said.iter().filter(|w| *w == "refresh r").count() < 30, "LWA is stormed");
    assert_eq!(bench.give(In::Refreshed(Ok(grant("b", "r", 3600)))), ["usable b"]);
}

#[test]
fn a_rotated_token_is_stored_before_it_is_used() {
    let (mut bench, _) = Bench::new(Some("r"));
    assert_eq!(bench.give(In::Refreshed(Ok(grant("a", "r2", 3600)))), ["persist r2"]);
    assert_eq!(bench.give(In::Persisted(false)), [""; 0]);
    let (took, words) = bench.wait();
    assert!(took >= Duration::from_secs(1));
    assert_eq!(words, ["persist r2"]);
    assert_eq!(bench.give(In::Persisted(true)), ["usable a"]);
    assert_eq!(bench.wait().1, ["refresh r2"]);
}

#[test]
fn a_refused_token_is_refreshed_at_once_unless_it_was_replaced() {
    let (mut bench, _) = Bench::new(Some("r"));
    bench.give(In::Refreshed(Ok(grant("a", "r", 3600))));
    assert_eq!(bench.give(In::Refused(Secret::new("older"))), [""; 0]);
    assert_eq!(bench.give(In::Refused(Secret::new("a"))), ["refresh r"]);
    assert_eq!(bench.give(In::Refused(Secret::new("a"))), [""; 0]);
}

#[test]
fn the_table_of_errors_while_refreshing() {
    for (code, class) in [
        ("authorization_pending", Class::Retry),
        ("slow_down", Class::Retry),
        ("servererror", Class::Retry),
        ("invalid_code_pair", Class::GiveUp),
        ("invalid_client", Class::GiveUp),
        ("InvalidValue", Class::GiveUp),
        ("invalid_request", Class::GiveUp),
        ("unauthorized_client", Class::GiveUp),
        ("unsupported_grant_type", Class::GiveUp),
        ("invalid_grant", Class::Authorise),
    ] {
        let (mut bench, _) = Bench::new(Some("r"));
        let words = bench.give(In::Refreshed(Err(refused(code))));
        match class {
            // The first repeat comes at once.
            Class::Retry => assert_eq!(words, ["refresh r"], "{code}"),
            Class::Authorise => assert_eq!(words, ["needs login Revoked"]),
            Class::GiveUp => assert_eq!(words, [format!("needs login Refused(\"{code}\")")]),
        }
    }
}

#[test]
fn linking_by_code() {
    let (mut bench, words) = Bench::new(None);
    assert_eq!(words, ["needs login NoToken"]);
    assert_eq!(bench.give(In::Login), ["ask pair"]);
    assert_eq!(bench.give(In::CodePair(Ok(pair()))), ["show CODE"]);
    let (took, words) = bench.wait();
    assert_eq!((took.as_secs(), words), (30, vec!["poll".to_owned()]));
    bench.give(In::Polled(Err(refused("authorization_pending"))));
    assert_eq!(bench.wait().0.as_secs(), 30);
    bench.give(In::Polled(Err(refused("slow_down"))));
    assert_eq!(bench.wait().0.as_secs(), 60);
    bench.give(In::Polled(Err(refused("slow_down"))));
    assert_eq!(bench.wait().0.as_secs(), 60);
    bench.give(In::Polled(Err(LwaError::Status(503))));
    assert_eq!(bench.wait().0.as_secs(), 60);
    // The first access token is only traded in: the refresh proves the refresh token.
    assert_eq!(bench.give(In::Polled(Ok(grant("first", "r", 3600)))), ["refresh r"]);
    assert_eq!(bench.give(In::Refreshed(Ok(grant("a", "r", 3600)))), ["persist r"]);
    assert_eq!(bench.give(In::Persisted(true)), ["usable a", "logged in"]);
}

#[test]
fn codes_die_and_refusals_are_final() {
    let (mut bench, _) = Bench::new(None);
    bench.give(In::Login);
    let mut said = Vec::new();
    for _ in 0..100 {
        if bench.wake.is_none() {
            said.extend(bench.give(In::CodePair(Ok(pair()))));
        }
        said.extend(bench.wait().1);
        if said.iter().any(|w| w.starts_with("needs")) {
            break;
        }
        said.extend(bench.give(In::Polled(Err(refused("authorization_pending")))));
    }
    assert_eq!(said.iter().filter(|w| *w == "show CODE").count(), 3);
    assert_eq!(said.last().map(String::as_str), Some("needs login CodeUnused"));
    for code in ["invalid_code_pair", "invalid_grant", "invalid_client"] {
        bench.give(In::Login);
        bench.give(In::CodePair(Ok(pair())));
        bench.wait();
        let words = bench.give(In::Polled(Err(refused(code))));
        assert_eq!(words, [format!("needs login Refused(\"{code}\")")]);
    }
}

#[test]
fn secrets_have_no_debug_form() {
    let (bench, _) = Bench::new(Some("Atzr|secret"));
    assert!(!format!("{:?}", bench.tokens).contains("secret"));
    assert!(!format!("{:?}", grant("Atza|secret", "Atzr|secret", 1)).contains("secret"));
    assert!(!format!("{:?}", pair()).contains("device\""));
}
