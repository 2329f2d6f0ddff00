//! What a connection does about hellos, trust and pairing.

use antiphon_domain::HubTime;
use antiphon_endpoint::{LostReason, Pace};
use tracing::{error, info, warn};

use super::{Awaited, Connection, End, PAIRING, PARTING, REKEY, STATE};
use crate::driver::dial::HOST;
use crate::hub::Command;
use crate::roles::{Client, Roles, lead};
use crate::wire::key::Category;
use crate::wire::pairing::Method;
use crate::wire::{Activity, ClientHello, Credential, News, PeerId, Psk};

impl Connection {
    pub(super) fn news(&mut self, news: News, now: HubTime) -> Result<(), End> {
        match news {
            News::Hello(hello) => self.greeted(*hello, now)?,
            News::State(payload) => self.state(&payload, now),
            News::Command(payload) => {
                let taken = self.roles.as_mut().is_none_or(|roles| roles.command(&payload).is_ok());
                if !taken {
                    self.hub.metrics.ignored("command");
                }
            }
            News::Leave => {
                if let Some(roles) = &mut self.roles {
                    roles.leave();
                }
            }
            News::Time(micros) => self.keeper.time(micros, now),
            News::Goodbye(reason) => {
                if reason == crate::wire::Goodbye::Unpaired {
                    self.forgotten();
                }
                return Err(End::Lost(Self::left(reason)));
            }
            News::Ignored(what) => self.hub.metrics.ignored(what),
            News::CodeWanted => self.want_code(true),
            News::PairPending(words) => {
                info!(client = ?self.link.client(), words, "the device waits for somebody to do something at it");
                self.want_code(true);
            }
            News::WrongCode => {
                warn!(client = ?self.link.client(), "that was not the device's code");
                self.hub.metrics.pairing("wrong");
            }
            News::PairOver(why) => {
                warn!(client = ?self.link.client(), why, "the pairing came to nothing");
                self.hub.metrics.pairing("over");
                self.after_pairing(now)?;
            }
            News::Paired(psk) => self.paired(psk, now)?,
            News::Rekeyed => self.rekeyed(now)?,
        }
        Ok(())
    }

    fn greeted(&mut self, hello: ClientHello, now: HubTime) -> Result<(), End> {
        let Some(id) = self.link.client() else { return Ok(()) };
        self.deadline = None;
        // A person who configured this address meant whoever answers there.
        let configured = self.dialled.as_ref().is_some_and(|d| d.properties.contains_key(HOST));
        if configured && self.hub.trust().standing(&id) == crate::trust::Standing::default() {
            self.keep(|trust| trust.approve(id));
        }
        let place = self.hub.greeted(
            id,
            &hello,
            self.dialled.as_ref().map(|dialled| &dialled.id),
            self.sender.clone(),
        );
        let mismatch = self.link.mismatch();
        self.hub.update(&place.0, place.1, |client| client.set_mismatch(mismatch));
        self.wants = lead(&self.hub.told(&place.0), Pace::Steady).0;
        self.sent = Some(self.hub.metrics.bytes.with_label_values(&[place.0.as_str()]));
        self.place = Some(place);
        self.hello = Some(hello);
        if mismatch {
            warn!(client = %id, "the device has forgotten this hub: it must be paired anew");
        }
        self.activate(now)?;
        match self.errand.take() {
            Some(errand) => self.command(errand),
            None => Ok(()),
        }
    }

    /// Whether the client may play for us on this connection as it is.
    fn is_trusted(&self) -> bool {
        let (Some(id), Some(hello)) = (self.link.client(), &self.hello) else { return false };
        match self.link.credential().category {
            Category::LongTerm => self.hub.trust().standing(&id).paired,
            // While a pairing is on file that the client does not know, nothing may be played.
            Category::Sentinel | Category::Pairing => {
                hello.unpaired_access
                    && !self.hub.trust().standing(&id).paired
                    && self.hub.allows_unpaired(&id)
            }
        }
    }

    /// Declares what we are here for, with roles where we are trusted, and tells the session.
    fn activate(&mut self, now: HubTime) -> Result<(), End> {
        let Some(hello) = &self.hello else { return Ok(()) };
        self.activity = Activity::Idle;
        (self.begun, self.ready) = (false, false);
        self.roles = None;
        if !self.is_trusted() {
            self.link.activate(Activity::Idle, &[])?;
            self.lose_untrusted();
            return Ok(());
        }
        let id = self.link.client().map(|id| id.to_string()).unwrap_or_default();
        let client = Client { id: &id, name: &hello.name, roles: &hello.roles, supports: &hello.supports };
        let mut roles = match Roles::new(client, &self.hub.roles) {
            Ok(roles) => roles,
            Err(why) => {
                self.link.activate(Activity::Idle, &[])?;
                self.lose(LostReason::Format(why));
                return Ok(());
            }
        };
        // Whoever plays for another server refuses one that comes for nothing in particular; so none is stolen.
        let first = if self.hub.options.take_over && self.session.is_some() {
            Activity::Playback
        } else {
            Activity::Idle
        };
        self.activity = first;
        self.link.activate(first, &roles.wanted())?;
        roles.activated();
        self.roles = Some(roles);
        self.deadline = Some((now + STATE, Awaited::State));
        Ok(())
    }

    /// Tells the session what a person must do before there can be one.
    fn lose_untrusted(&mut self) {
        let why = if self.link.mismatch() {
            "it has forgotten this hub and must be paired anew"
        } else if self.hello.as_ref().is_some_and(|hello| hello.unpaired_access) {
            "somebody must approve of it first"
        } else {
            "it must be paired first"
        };
        self.lose(LostReason::Unpaired(why.into()));
    }

    fn state(&mut self, payload: &serde_json::Map<String, serde_json::Value>, now: HubTime) {
        let Some(roles) = &mut self.roles else { return };
        let was_taken = roles.told().available == Some(false);
        if let Err(why) = roles.state(payload, now) {
            warn!(client = ?self.link.client(), why, "a state was not understood");
            self.hub.metrics.ignored("state");
            return;
        }
        let told = roles.told();
        if let Some((speaker, number)) = &self.place {
            self.hub.update(speaker, *number, |client| client.told = told);
        }
        // What was promised for the session was promised before this was known; the next is promised what it needs.
        if let Some(session) = &self.session
            && !self.ready
            && lead(&told, session.pace).0 > session.caps.lead.0
        {
            self.lose(LostReason::Disconnected("it needs sound earlier than was thought".into()));
        }
        let wants = lead(&told, Pace::Steady).0;
        let more = wants > self.wants;
        self.wants = self.wants.max(wants);
        // A player that has just connected is not available until it knows our time.
        if told.available == Some(true) && self.deadline.is_some_and(|(_, what)| what == Awaited::State) {
            self.deadline = None;
            self.begin(now);
        } else if told.available == Some(true) && was_taken {
            self.free();
        }
        if more {
            // Its group must know, too.
            self.free();
        }
    }

    /// The client has not said that it can be had.
    pub(super) fn not_available(&mut self) -> Result<(), End> {
        match self.roles.as_ref().and_then(|roles| roles.told().available) {
            Some(_) => {
                self.lose(LostReason::Unavailable("something else plays on it".into()));
                Ok(())
            }
            None => {
                self.hub.metrics.fault("silent");
                Err(End::Lost(LostReason::Protocol("it does not say how it is".into())))
            }
        }
    }

    pub(super) fn command(&mut self, command: Command) -> Result<(), End> {
        let now = self.clock.now();
        match command {
            Command::Open(session) => {
                // The older session is the hub's own, and over.
                self.session = Some(session);
                (self.begun, self.ready, self.freed) = (false, false, false);
                if let Some(roles) = &mut self.roles {
                    roles.end();
                    self.begin(now);
                    return Ok(());
                }
                if self.link.pairing().is_some() {
                    self.lose(LostReason::Unpaired("it is being paired".into()));
                    return Ok(());
                }
                if !self.link.is_open() {
                    // The keys are just changing; what follows looks for the session.
                    return Ok(());
                }
                if !self.is_trusted() {
                    self.lose_untrusted();
                    return Ok(());
                }
                self.activate(now)
            }
            Command::Weigh => {
                if self.link.is_open() && self.is_trusted() != self.roles.is_some() {
                    self.quiesce(now)?;
                    self.activate(now)?;
                    self.free();
                }
                Ok(())
            }
            Command::Pair(method) => self.pair(method, now),
            Command::Token(psk) => {
                if !self.link.is_open() {
                    return Ok(());
                }
                self.quiesce(now)?;
                self.lose(LostReason::Unpaired("it is being paired".into()));
                self.rekey(Credential::pairing(psk), now)
            }
            Command::Code(method, code) => {
                if self.link.pairing().is_none() {
                    self.pair(method, now)?;
                }
                if self.link.pairing() == Some(method) {
                    self.want_code(false);
                    self.link.code(&code, rand::random())?;
                }
                Ok(())
            }
            Command::Unpair => {
                self.quiesce(now)?;
                self.forgotten();
                if !self.link.is_open() {
                    // Nothing may be said while keys change; anew, it is met as whoever it is then.
                    self.lose(LostReason::Unpaired("it is not paired any more".into()));
                    return Err(End::Ours);
                }
                if self.link.credential().category == Category::LongTerm {
                    self.link.unpair()?;
                    self.deadline = Some((now + PARTING, Awaited::Gone));
                    self.lose(LostReason::Unpaired("it is not paired any more".into()));
                    return Ok(());
                }
                self.link.cancel_pairing()?;
                self.activate(now)
            }
            Command::Replaced => Err(End::Lost(LostReason::Disconnected("it has connected anew".into()))),
        }
    }

    /// Ends streams and takes the roles back.
    fn quiesce(&mut self, now: HubTime) -> Result<(), End> {
        if let Some(roles) = &mut self.roles {
            roles.end();
            self.activity = Activity::Idle;
            self.speak_last(now)?;
        }
        self.roles = None;
        Ok(())
    }

    /// Sends what the roles have left to say, their sound excepted.
    fn speak_last(&mut self, now: HubTime) -> Result<(), End> {
        while let Some(out) = self.roles.as_mut().and_then(|roles| roles.poll(now)) {
            if let crate::roles::Out::Json { kind, payload } = out {
                self.link.json(kind, &serde_json::Value::Object(payload))?;
            }
        }
        Ok(())
    }

    fn pair(&mut self, method: Method, now: HubTime) -> Result<(), End> {
        if !self.link.is_open() {
            return Ok(());
        }
        self.quiesce(now)?;
        self.lose(LostReason::Unpaired("it is being paired".into()));
        self.link.pair(method, rand::random())?;
        self.deadline = Some((now + PAIRING, Awaited::Paired));
        Ok(())
    }

    fn rekey(&mut self, credential: Credential, now: HubTime) -> Result<(), End> {
        self.deadline = Some((now + REKEY, Awaited::Rekeyed));
        Ok(self.link.rekey(credential)?)
    }

    fn rekeyed(&mut self, now: HubTime) -> Result<(), End> {
        self.deadline = None;
        if self.link.credential().category == Category::Pairing {
            return self.pair(Method::Token, now);
        }
        if let Some((speaker, number)) = &self.place {
            self.hub.update(speaker, *number, |client| client.set_mismatch(false));
        }
        self.activate(now)?;
        self.free();
        Ok(())
    }

    fn paired(&mut self, psk: Psk, now: HubTime) -> Result<(), End> {
        let Some(id) = self.link.client() else { return Ok(()) };
        self.want_code(false);
        if !self.keep(|trust| trust.pair(id, psk.clone())) {
            // Nothing is kept, so the client shall not keep it either: an activation in place of the end says so.
            self.hub.metrics.pairing("over");
            return self.after_pairing(now);
        }
        info!(client = %id, "paired");
        self.hub.metrics.pairing("paired");
        self.deadline = Some((now + REKEY, Awaited::Rekeyed));
        Ok(self.link.kept(psk)?)
    }

    /// A pairing ended without a new key.
    fn after_pairing(&mut self, now: HubTime) -> Result<(), End> {
        self.deadline = None;
        self.want_code(false);
        self.activate(now)?;
        self.free();
        Ok(())
    }

    pub(super) fn stop_pairing(&mut self, now: HubTime) -> Result<(), End> {
        self.link.cancel_pairing()?;
        self.hub.metrics.pairing("over");
        self.after_pairing(now)
    }

    fn want_code(&mut self, wanted: bool) {
        if let Some((speaker, number)) = &self.place {
            self.hub.update(speaker, *number, |client| client.set_code_wanted(wanted));
        }
    }

    fn forgotten(&mut self) {
        if let Some(id) = self.link.client() {
            self.keep(|trust| trust.forget(id));
        }
    }

    /// Changes the file; false, aloud, where that failed.
    fn keep(&self, change: impl FnOnce(&crate::trust::Trust) -> std::io::Result<()>) -> bool {
        match change(self.hub.trust()) {
            Ok(()) => true,
            Err(why) => {
                let client: Option<PeerId> = self.link.client();
                error!(?client, %why, "what was agreed with a Sendspin device cannot be kept");
                false
            }
        }
    }
}
