//! What a connection does about the hub's session: takes what it is given, tells what happened, ends it.

use antiphon_domain::HubTime;
use antiphon_endpoint::{EndpointEvent, LostReason};
use bytes::Bytes;

use super::{Connection, End};
use crate::driver::inbox::{Item, Session};
use crate::hub::Command;
use crate::roles::Roles;
use crate::wire::Activity;

impl Connection {
    /// A session that was handed to this connection while it ended.
    pub(super) fn latecomer(&mut self) -> Option<Session> {
        self.commands.close();
        let mut late = None;
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Open(session) = command {
                late = Some(session);
            }
        }
        late
    }

    /// Ends the hub's session, if there is one.
    pub(super) fn lose(&mut self, why: LostReason) {
        let Some(session) = self.session.take() else { return };
        (self.begun, self.ready) = (false, false);
        if let Some((speaker, _)) = &self.place {
            self.hub.metrics.lost.with_label_values(&[speaker.as_str()]).inc();
        }
        drop(session.counted);
        (session.events)(EndpointEvent::Lost(why));
    }

    /// Lets the session begin, once the client has said that it can be had; the roles say when it is ready.
    pub(super) fn begin(&mut self, now: HubTime) {
        if self.deadline.is_some() || self.begun {
            return;
        }
        if let (Some(roles), Some(session)) = (&mut self.roles, &self.session) {
            // What was given meanwhile and is past was never to be heard here.
            session.inbox.begin(now);
            roles.begin(session.pace, session.caps.lead);
            self.begun = true;
        }
    }

    /// Says that it can be had now, where nobody has it: whoever was refused before need not wait to ask again.
    pub(super) fn free(&mut self) {
        if let (Some((speaker, _)), Some(_), None) = (&self.place, &self.roles, &self.session) {
            self.hub.free(speaker);
            self.freed = true;
        }
    }

    /// Takes what the hub has put into the inbox. Before the session has begun it stays there: the level, what plays and
    /// the sound that is still to come are for whoever is ready for them.
    pub(super) fn take(&mut self, now: HubTime) -> Result<(), End> {
        let Some(session) = &self.session else { return Ok(()) };
        if !self.begun {
            return if session.inbox.is_over() { self.end_session() } else { Ok(()) };
        }
        if session.inbox.worth_taking_at().is_none_or(|at| at > now) {
            return Ok(());
        }
        let taken = session.inbox.take();
        if let Some(roles) = &mut self.roles {
            for control in taken.controls {
                roles.control(control);
            }
            for item in taken.items {
                match item {
                    Item::Block(block) => roles.play(block),
                    Item::Flush(from) => roles.flush(from, now),
                }
            }
        }
        if taken.over { self.end_session() } else { Ok(()) }
    }

    /// The hub is done with the session.
    fn end_session(&mut self) -> Result<(), End> {
        self.session = None;
        (self.begun, self.ready) = (false, false);
        if self.place.is_none() {
            // Nobody has answered yet, and nobody is waited for any more.
            return Err(End::Ours);
        }
        if let Some(roles) = &mut self.roles {
            roles.end();
        }
        Ok(())
    }

    /// Tells the hub what happened, and how well the clocks agree.
    pub(super) fn report(&mut self, now: HubTime) {
        if self.socket.is_clear()
            && let Some(mark) = self.keeper.ping(now)
        {
            // A socket that fails is noticed when it is read.
            let _ = self.socket.ping(Bytes::copy_from_slice(&mark));
            let _ = self.socket.flush();
        }
        let mut lost = None;
        while let Some(event) = self.roles.as_mut().and_then(Roles::event) {
            match (&self.session, event) {
                (Some(_), EndpointEvent::Lost(why)) => lost = Some(why),
                (Some(session), event) => {
                    self.ready |= event == EndpointEvent::Ready;
                    (session.events)(event);
                }
                (None, _) => {}
            }
        }
        if let Some(why) = lost {
            self.lose(why);
            if let Some(roles) = &mut self.roles {
                roles.end();
            }
        }
        if let Some(session) = &self.session
            && self.ready
            && self.activity == Activity::Playback
            && let Some(report) = self.keeper.report(now)
        {
            (session.events)(EndpointEvent::Sync(report));
        }
    }
}
