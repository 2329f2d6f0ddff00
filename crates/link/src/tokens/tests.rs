//! The tokens under a clock by hand.

use super::*;

struct Bench {
    tokens: Tokens,
    now: HubTime,
    wake: Option<HubTime>,
    /// The ticket of the last question.
    ticket: u32,
    questions: Vec<Question>,
}

fn own() -> Client {
    Client { id: "hub".into(), secret: None }
}

impl Bench {
    fn new(refresh: Option<&str>) -> (Self, Vec<String>) {
        let tokens = Tokens::new(TokenTimers::default(), own(), refresh.map(Secret::new), HubTime::EPOCH);
        let mut bench = Self { tokens, now: HubTime::EPOCH, wake: None, ticket: 0, questions: Vec::new() };
        let words = bench.give(In::Wake);
        (bench, words)
    }

    fn give(&mut self, input: In) -> Vec<String> {
        self.tokens.handle(input, self.now);
        self.drain()
    }

    fn drain(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            words.push(match self.tokens.poll() {
                Out::Wait(at) => {
                    self.wake = at;
                    return words;
                }
                Out::Ask(ticket, question) => {
                    self.ticket = ticket;
                    let word = match &question {
                        Question::CodePair => "ask pair".into(),
                        Question::Poll(_) => "poll".into(),
                        Question::Exchange(code) => format!("exchange {}", code.code.expose()),
                        Question::Refresh(credentials) => format!("refresh {}", credentials.token.expose()),
                    };
                    self.questions.push(question);
                    word
                }
                Out::NewAccount => "new account".into(),
                Out::AccountGone => "logged out".into(),
                Out::Settled(method, Ok(())) => format!("{} ok", method.word()),
                Out::Settled(method, Err((_, error))) => format!("{} failed: {error:?}", method.word()),
                Out::Persist(token) => format!("persist {}", token.expose()),
                Out::ShowCode(pair, _) => format!("show {}", pair.user_code),
                Out::Usable(token) => format!("usable {}", token.expose()),
                Out::Unusable => "unusable".into(),
                Out::NeedsLogin(why) => format!("needs login {why:?}"),
            });
        }
    }

    /// Answers the last question with tokens.
    fn grant(&mut self, answer: Result<Granted, LwaError>) -> Vec<String> {
        self.give(In::Granted(self.ticket, answer))
    }

    fn pair(&mut self, answer: Result<CodePair, LwaError>) -> Vec<String> {
        self.give(In::Pair(self.ticket, answer))
    }

    /// Goes to the next moment asked for: how long that took, and what was said.
    fn wait(&mut self) -> (Duration, Vec<String>) {
        let at = self.wake.expect("a moment");
        let took = at.since(self.now);
        self.now = at;
        (took, self.give(In::Wake))
    }
}

fn grant(access: &str, refresh: &str, seconds: u64) -> Granted {
    Granted {
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
    assert_eq!(bench.grant(Ok(grant("a", "r", 3600))), ["usable a"]);
    let (took, words) = bench.wait();
    assert!((2940..=3000).contains(&took.as_secs()), "{took:?}");
    assert_eq!(words, ["refresh r"]);
    // LWA does not answer: the token is used to its end, and asking goes on behind it.
    let mut total = Duration::ZERO;
    let mut said = Vec::new();
    while total < Duration::from_secs(700) {
        said.extend(bench.grant(Err(LwaError::Unreachable)));
        let (took, words) = bench.wait();
        total += took;
        said.extend(words);
    }
    assert_eq!(said.iter().filter(|w| *w == "unusable").count(), 1);
    assert!(said.iter().filter(|w| *w == "refresh r").count() < 30, "LWA is stormed");
    assert_eq!(bench.grant(Ok(grant("b", "r", 3600))), ["usable b"]);
}

#[test]
fn a_rotated_token_is_stored_before_it_is_used() {
    let (mut bench, _) = Bench::new(Some("r"));
    assert_eq!(bench.grant(Ok(grant("a", "r2", 3600))), ["persist r2"]);
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
    bench.grant(Ok(grant("a", "r", 3600)));
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
        let words = bench.grant(Err(refused(code)));
        match class {
            // The first repeat comes at once.
            Class::Retry => assert_eq!(words, ["refresh r"], "{code}"),
            Class::Authorise => assert_eq!(words, ["needs login Revoked", "logged out", "persist "]),
            // The stored token stays: a wrong client id is no log-out.
            Class::GiveUp => assert_eq!(words, [format!("needs login Refused(\"{code}\")")]),
        }
    }
}

#[test]
fn the_table_of_errors_while_polling() {
    for (code, words) in [
        ("authorization_pending", vec![]),
        ("slow_down", vec![]),
        ("servererror", vec![]),
        ("invalid_code_pair", vec!["ask pair".to_owned()]),
        ("invalid_grant", failed("invalid_grant")),
        ("invalid_client", failed("invalid_client")),
        ("InvalidValue", failed("InvalidValue")),
        ("invalid_request", failed("invalid_request")),
        ("unauthorized_client", failed("unauthorized_client")),
        ("unsupported_grant_type", failed("unsupported_grant_type")),
    ] {
        let (mut bench, _) = Bench::new(None);
        bench.give(In::Login);
        bench.pair(Ok(pair()));
        assert_eq!(bench.wait().1, ["poll"]);
        assert_eq!(bench.grant(Err(refused(code))), words, "{code}");
        let again = words.is_empty() || words == ["ask pair"];
        assert_eq!(bench.tokens.is_linking(), again, "{code}");
    }
}

fn failed(code: &str) -> Vec<String> {
    vec![format!("needs login Refused(\"{code}\")"), format!("code failed: Refused {{ code: \"{code}\" }}")]
}

#[test]
fn linking_by_code() {
    let (mut bench, words) = Bench::new(None);
    assert_eq!(words, ["needs login NoToken"]);
    assert_eq!(bench.give(In::Login), ["ask pair"]);
    assert_eq!(bench.pair(Ok(pair())), ["show CODE"]);
    let (took, words) = bench.wait();
    assert_eq!((took.as_secs(), words), (30, vec!["poll".to_owned()]));
    bench.grant(Err(refused("authorization_pending")));
    assert_eq!(bench.wait().0.as_secs(), 30);
    bench.grant(Err(refused("slow_down")));
    assert_eq!(bench.wait().0.as_secs(), 60);
    bench.grant(Err(refused("slow_down")));
    assert_eq!(bench.wait().0.as_secs(), 60);
    bench.grant(Err(LwaError::Status(503)));
    assert_eq!(bench.wait().0.as_secs(), 60);
    bench.grant(Err(LwaError::Unusable));
    assert_eq!(bench.wait().0.as_secs(), 60);
    // The first access token is only traded in: the refresh proves the refresh token.
    assert_eq!(bench.grant(Ok(grant("first", "r", 3600))), ["refresh r"]);
    assert_eq!(bench.grant(Ok(grant("a", "r", 3600))), ["persist r"]);
    assert_eq!(bench.give(In::Persisted(true)), ["new account", "usable a", "code ok"]);
}

#[test]
fn a_code_pair_is_asked_for_again_by_the_table() {
    let (mut bench, _) = Bench::new(None);
    bench.give(In::Login);
    let mut waits = Vec::new();
    // The first repeat comes at once.
    assert_eq!(bench.pair(Err(LwaError::Unreachable)), ["ask pair"]);
    for _ in 0..7 {
        assert_eq!(bench.pair(Err(LwaError::Unreachable)), [""; 0]);
        let (took, words) = bench.wait();
        assert_eq!(words, ["ask pair"]);
        waits.push(took.as_secs_f64());
    }
    for (wait, base) in waits.iter().zip([1.0, 2.0, 4.0, 10.0, 30.0, 60.0, 60.0]) {
        assert!((base * 0.49..base * 1.51).contains(wait), "{waits:?}");
    }
}

#[test]
fn codes_die_and_are_replaced_until_nobody_seems_there() {
    let (mut bench, _) = Bench::new(None);
    bench.give(In::Login);
    let mut said = Vec::new();
    for _ in 0..100 {
        if bench.wake.is_none() {
            said.extend(bench.pair(Ok(pair())));
        }
        said.extend(bench.wait().1);
        if said.iter().any(|w| w.starts_with("needs")) {
            break;
        }
        said.extend(bench.grant(Err(refused("authorization_pending"))));
    }
    assert_eq!(said.iter().filter(|w| *w == "show CODE").count(), 3);
    assert!(said.contains(&"needs login CodeUnused".to_owned()), "{said:?}");
}

#[test]
fn the_account_serves_until_another_is_proved() {
    let (mut bench, _) = Bench::new(Some("r"));
    bench.grant(Ok(grant("a", "r", 3600)));
    bench.give(In::Login);
    bench.pair(Ok(pair()));
    bench.wait();
    // Nothing is lost by a login that fails.
    let words = bench.grant(Err(refused("invalid_client")));
    assert_eq!(words, ["code failed: Refused { code: \"invalid_client\" }"]);
    assert_eq!(bench.tokens.access().map(Secret::expose), Some("a"));
    // Refreshing goes on beside a login, and a rotated token does not overtake the new account's.
    bench.give(In::Login);
    bench.pair(Ok(pair()));
    bench.wait();
    assert_eq!(bench.grant(Ok(grant("first", "new", 3600))), ["refresh new"]);
    assert_eq!(bench.grant(Ok(grant("b", "new", 3600))), ["persist new"]);
    assert_eq!(bench.give(In::Refused(Secret::new("a"))), ["refresh r"]);
    assert_eq!(bench.grant(Ok(grant("a2", "rotated", 3600))), [""; 0]);
    assert_eq!(bench.give(In::Persisted(true)), ["new account", "usable b", "code ok"]);
    assert_eq!(bench.wait().1, ["refresh new"]);
}

#[test]
fn logging_out_erases_whatever_was_being_written() {
    let (mut bench, _) = Bench::new(Some("r"));
    assert_eq!(bench.grant(Ok(grant("a", "r2", 3600))), ["persist r2"]);
    // Not before the other write is over: the last word must win.
    assert_eq!(bench.give(In::Logout), ["needs login LoggedOut", "logged out"]);
    assert_eq!(bench.give(In::Persisted(true)), ["persist "]);
    assert!(!bench.tokens.is_settled());
    assert_eq!(bench.give(In::Persisted(false)), [""; 0]);
    let (took, words) = bench.wait();
    assert!(took >= Duration::from_secs(1));
    assert_eq!(words, ["persist "]);
    assert_eq!(bench.give(In::Persisted(true)), [""; 0]);
    assert!(bench.tokens.is_settled() && bench.wake.is_none());
    // The empty text is what the next start finds.
    assert_eq!(Bench::new(Some("")).1, ["needs login LoggedOut"]);
}

#[test]
fn late_answers_to_earlier_questions_mean_nothing() {
    let (mut bench, _) = Bench::new(Some("r"));
    let late = bench.ticket;
    bench.give(In::Logout);
    bench.give(In::Login);
    assert_eq!(bench.give(In::Granted(late, Ok(grant("a", "r", 3600)))), [""; 0]);
    assert_eq!(bench.give(In::Pair(late, Ok(pair()))), [""; 0]);
    assert_eq!(bench.pair(Ok(pair())), ["show CODE"]);
}

#[test]
fn secrets_have_no_debug_form() {
    let (bench, _) = Bench::new(Some("Atzr|hush"));
    assert!(!format!("{:?}", bench.tokens).contains("hush"));
    assert!(!format!("{:?}", grant("Atza|hush", "Atzr|hush", 1)).contains("hush"));
    assert!(!format!("{:?}", pair()).contains("device\""));
}
