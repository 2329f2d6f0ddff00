//! Random walks: whatever the network and the service do in whatever order, the rules hold.

use std::collections::HashSet;
use std::time::Duration;

use antiphon_avs::message::{CaptureId, Event, Retry, StreamId};
use antiphon_avs::session::{ConnId, DeclareFailed, Input, Output, Secret, Session, Stack, State};
use antiphon_domain::HubTime;
use proptest::prelude::*;
use serde_json::json;

use crate::bench::{config, event};

/// What the peer knows.
#[derive(Default)]
struct World {
    open: Vec<ConnId>,
    streams: Vec<(ConnId, StreamId, String)>,
    synchronised: HashSet<ConnId>,
    unanswered: HashSet<ConnId>,
    posted: usize,
    settled: usize,
    declaring: bool,
    wants_state: bool,
    state: Option<State>,
}

fn drain(session: &mut Session, now: HubTime, world: &mut World) -> Option<HubTime> {
    for _ in 0..10_000 {
        match session.poll_output() {
            Output::Wait(at) => {
                assert!(at.is_none_or(|at| at > now), "a passed deadline would spin");
                return at;
            }
            Output::Connect(conn, _) => world.open.push(conn),
            Output::Close(conn) => {
                world.open.retain(|c| *c != conn);
                world.streams.retain(|(c, _, _)| *c != conn);
            }
            Output::Cancel(stream) => {
                if let Some(at) = world.streams.iter().position(|(_, s, _)| *s == stream) {
                    let (conn, _, name) = world.streams.remove(at);
                    // Given up, it holds up no other.
                    if name == "sync" || name == "event" {
                        world.unanswered.remove(&conn);
                    }
                }
            }
            Output::Request(conn, stream, request) => {
                assert!(world.open.contains(&conn), "a request on a closed connection");
                let open = world.streams.iter().filter(|(c, _, _)| *c == conn).count();
                assert!(open < 10, "too many streams");
                let name = match &request.body {
                    None => request.path.to_owned(),
                    Some((_, body)) => {
                        assert!(world.unanswered.insert(conn), "two events without an answer");
                        let text = String::from_utf8_lossy(body).into_owned();
                        let ordinary = text.contains("\"namespace\":\"Test\"");
                        assert!(
                            !ordinary || world.synchronised.contains(&conn),
                            "an event before synchronisation"
                        );
                        if text.contains("SynchronizeState") { "sync".into() } else { "event".into() }
                    }
                };
                world.streams.push((conn, stream, name));
            }
            Output::Outcome { .. } => world.settled += 1,
            Output::Declare(_) => world.declaring = true,
            Output::WantSynchronizeState => world.wants_state = true,
            Output::State(state) => world.state = Some(state),
            _ => {}
        }
    }
    panic!("endless output");
}

fn walk(stack: Stack, steps: &[(u8, u8, u16)]) {
    let mut now = HubTime::EPOCH;
    let mut session = Session::new(config(stack), None, None, 7);
    let mut world = World::default();
    for (what, which, time) in steps {
        now = now + Duration::from_millis(u64::from(*time));
        let conn = world.open.get(usize::from(*which) % world.open.len().max(1)).copied();
        let at = usize::from(*which) % world.streams.len().max(1);
        let stream = world.streams.get(at).cloned();
        let input = match (what % 18, conn, stream) {
            (0, ..) => Input::Token(Secret::new("t")),
            (1, ..) if which % 8 == 0 => Input::NoToken,
            (2 | 3, Some(conn), _) => Input::Connected(conn),
            (4, Some(conn), _) if which % 4 == 0 => {
                world.open.retain(|c| *c != conn);
                world.streams.retain(|(c, _, _)| *c != conn);
                world.unanswered.remove(&conn);
                Input::Closed(conn)
            }
            (5, Some(conn), _) if which % 4 == 0 => Input::GoAway(conn),
            (6, Some(conn), _) => Input::Pong(conn),
            (7..=9, _, Some((conn, stream, name))) => {
                let status = [200, 200, 204, 204, 202, 400, 403, 429, 500][usize::from(*time) % 9];
                if name.starts_with("sync") && matches!(status, 200 | 202 | 204) {
                    world.synchronised.insert(conn);
                }
                if name == "sync" || name == "event" {
                    world.unanswered.remove(&conn);
                }
                world.streams[at].2 = format!("{name} answered");
                Input::Headers { stream, status, content_type: Some("multipart/mixed; boundary=BB".into()) }
            }
            (10, _, Some((conn, stream, name))) => {
                world.streams.remove(at);
                if name == "sync" || name == "event" {
                    world.unanswered.remove(&conn);
                }
                if which % 2 == 0 {
                    Input::End(stream)
                } else {
                    Input::Reset { stream, unprocessed: which % 3 == 0 }
                }
            }
            (11, _, Some((_, stream, _))) => {
                let bytes = b"--BB\r\nContent-Type: application/json\r\n\r\n{}\r\n--BB\r\n".to_vec().into();
                Input::Data { stream, bytes }
            }
            (12, ..) => {
                world.posted += 1;
                let retry =
                    [Retry::Never, Retry::BeforeHeaders, Retry::UntilAccepted][usize::from(*which) % 3];
                let mut event = event("E", retry);
                if which % 5 == 0 {
                    event.audio = Some(CaptureId(world.posted as u64));
                }
                Input::Post(event)
            }
            (16, _, Some((_, stream, _))) => Input::Sent(stream),
            (17, _, Some((_, stream, _))) => Input::Uploaded(stream),
            (13, ..) if world.wants_state => {
                world.wants_state = false;
                Input::Synchronize(Event::new("System", "SynchronizeState", json!({})))
            }
            (14, ..) if world.declaring => {
                world.declaring = false;
                Input::Declared(if which % 3 == 0 { Err(DeclareFailed::Retry) } else { Ok(()) })
            }
            _ => Input::Wake,
        };
        session.handle_input(input, now);
        drain_checked(&mut session, now, &mut world);
        assert!(world.settled <= world.posted, "an outcome without an event");
    }
    session.handle_input(Input::Shutdown, now);
    drain(&mut session, now, &mut world);
    assert_eq!(world.settled, world.posted, "each event has exactly one outcome");
    assert!(world.open.is_empty());
}

fn drain_checked(session: &mut Session, now: HubTime, world: &mut World) {
    drain(session, now, world);
    // A cancelled or closed stream no longer counts as unanswered.
    let alive: HashSet<ConnId> =
        world.streams.iter().filter(|(_, _, n)| n == "sync" || n == "event").map(|(c, _, _)| *c).collect();
    world.unanswered.retain(|conn| alive.contains(conn));
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4000, ..ProptestConfig::default() })]

    #[test]
    fn rules_hold_on_any_road(
        modern in any::<bool>(),
        steps in proptest::collection::vec((any::<u8>(), any::<u8>(), 0u16..3000), 1..400),
    ) {
        walk(if modern { Stack::Modern } else { Stack::Legacy }, &steps);
    }
}
