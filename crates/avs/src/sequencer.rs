//! The order in which directives are carried out: by dialog and by the mediums they use (connection notes 4.3, 4.4).
//!
//! Pure bookkeeping, driven by the device machine: it knows which dialog is current, which directives wait and which
//! blocking ones hold a medium. A blocking directive holds its mediums until it is completed; later ones that need a
//! held medium wait, later ones on free mediums overtake, and the order inside a medium is kept.

use std::collections::VecDeque;

use crate::message::Directive;

/// More directives than this never wait at once; a peer that sends more is refused.
const WAITING_LIMIT: usize = 64;

/// What a directive occupies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// It is heard.
    pub audio: bool,
    /// It is seen.
    pub visual: bool,
    /// It holds its mediums until its handler reports completion.
    pub blocking: bool,
}

impl Policy {
    /// Uses no medium: never waits.
    pub const FREE: Policy = Policy { audio: false, visual: false, blocking: false };
    /// Heard, and done as soon as handled.
    pub const AUDIO: Policy = Policy { audio: true, visual: false, blocking: false };
    /// Heard, and whatever is to be heard next waits for its end.
    pub const AUDIO_BLOCKING: Policy = Policy { audio: true, visual: false, blocking: true };
    /// Seen, and done as soon as handled.
    pub const VISUAL: Policy = Policy { audio: false, visual: true, blocking: false };

    fn needs(self, held: Held) -> bool {
        (self.audio && held.audio) || (self.visual && held.visual)
    }
}

#[derive(Clone, Copy, Default)]
struct Held {
    audio: bool,
    visual: bool,
}

impl Held {
    fn by(&mut self, policy: Policy) {
        self.audio |= policy.audio;
        self.visual |= policy.visual;
    }
}

#[derive(Debug)]
struct Running {
    directive: Directive,
    policy: Policy,
}

/// There is no room for another waiting directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The directives of one device that wait or run.
#[derive(Debug, Default)]
pub struct Sequencer {
    current: Option<String>,
    waiting: VecDeque<(Directive, Policy)>,
    running: Vec<Running>,
}

impl Sequencer {
    /// Makes a dialog the current one; hands back what waited or ran for another one and is to be cancelled.
    pub fn begin_dialog(&mut self, id: String) -> Vec<Directive> {
        if self.current.as_deref() == Some(&id) {
            return Vec::new();
        }
        match self.current.replace(id) {
            Some(old) => self.remove(&old),
            None => Vec::new(),
        }
    }

    /// Whether a directive belongs to a dialog that is not the current one; such a one is dropped without a word.
    pub fn is_stale(&self, directive: &Directive) -> bool {
        match dialog_of(directive) {
            Some(id) => self.current.as_deref() != Some(id),
            None => false,
        }
    }

    /// Puts a directive at the end of the line.
    pub fn admit(&mut self, directive: Directive, policy: Policy) -> Result<(), Full> {
        if self.waiting.len() >= WAITING_LIMIT {
            return Err(Full);
        }
        self.waiting.push_back((directive, policy));
        Ok(())
    }

    /// The next directive whose turn it is. A blocking one runs until [`completed`](Self::completed) or
    /// [`failed`](Self::failed) is told.
    pub fn next_turn(&mut self) -> Option<Directive> {
        let mut held = Held::default();
        for running in &self.running {
            held.by(running.policy);
        }
        let mut found = None;
        for (index, (_, policy)) in self.waiting.iter().enumerate() {
            if !policy.needs(held) {
                found = Some(index);
                break;
            }
            // Whoever comes later must not pass it on the mediums it waits for.
            held.by(*policy);
        }
        let (directive, policy) = self.waiting.remove(found?)?;
        if policy.blocking {
            self.running.push(Running { directive: directive.clone(), policy });
        }
        Some(directive)
    }

    /// A directive is done with.
    pub fn completed(&mut self, message_id: &str) {
        self.running.retain(|running| running.directive.header.message_id != message_id);
    }

    /// A directive failed; hands back the rest of its dialog, which is to be cancelled.
    pub fn failed(&mut self, directive: &Directive) -> Vec<Directive> {
        self.completed(&directive.header.message_id);
        match dialog_of(directive) {
            Some(id) => self.remove(id),
            None => Vec::new(),
        }
    }

    /// Whether nothing waits and nothing runs.
    pub fn is_quiet(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Empties the line and ends the dialog; hands back what waited or ran and is to be cancelled.
    pub fn clear(&mut self) -> Vec<Directive> {
        self.current = None;
        let running = self.running.drain(..).map(|running| running.directive);
        running.chain(self.waiting.drain(..).map(|(directive, _)| directive)).collect()
    }

    fn remove(&mut self, dialog: &str) -> Vec<Directive> {
        let mut removed = Vec::new();
        let mut kept = Vec::new();
        for running in self.running.drain(..) {
            if dialog_of(&running.directive) == Some(dialog) {
                removed.push(running.directive);
            } else {
                kept.push(running);
            }
        }
        self.running = kept;
        let mut waiting = VecDeque::new();
        for (directive, policy) in self.waiting.drain(..) {
            if dialog_of(&directive) == Some(dialog) {
                removed.push(directive);
            } else {
                waiting.push_back((directive, policy));
            }
        }
        self.waiting = waiting;
        removed
    }
}

/// The dialog a directive belongs to; an empty id is none.
fn dialog_of(directive: &Directive) -> Option<&str> {
    directive.header.dialog_request_id.as_deref().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Header, StreamId};
    use serde_json::value::RawValue;

    fn directive(name: &str, dialog: Option<&str>) -> Directive {
        let mut header = Header::new("Test", name);
        header.message_id = name.into();
        header.dialog_request_id = dialog.map(Into::into);
        let payload = RawValue::from_string("{}".into()).unwrap();
        Directive { header, payload, raw: String::new(), stream: StreamId(0) }
    }

    fn next(sequencer: &mut Sequencer) -> Option<String> {
        sequencer.next_turn().map(|d| d.header.name)
    }

    fn names(directives: &[Directive]) -> Vec<&str> {
        directives.iter().map(|d| d.header.name.as_str()).collect()
    }

    #[test]
    fn what_needs_a_held_medium_waits_and_the_rest_overtakes() {
        let mut s = Sequencer::default();
        for (name, policy) in [
            ("Speak", Policy::AUDIO_BLOCKING),
            ("Play", Policy::AUDIO),
            ("Render", Policy::VISUAL),
            ("SetVolume", Policy::FREE),
            ("Speak2", Policy::AUDIO_BLOCKING),
            ("Play2", Policy::AUDIO),
        ] {
            s.admit(directive(name, None), policy).unwrap();
        }
        assert_eq!(next(&mut s).as_deref(), Some("Speak"));
        assert_eq!(next(&mut s).as_deref(), Some("Render"));
        assert_eq!(next(&mut s).as_deref(), Some("SetVolume"));
        assert_eq!(next(&mut s), None);
        s.completed("Speak");
        assert_eq!(next(&mut s).as_deref(), Some("Play"));
        assert_eq!(next(&mut s).as_deref(), Some("Speak2"));
        assert_eq!(next(&mut s), None);
        s.completed("Speak2");
        assert_eq!(next(&mut s).as_deref(), Some("Play2"));
    }

    #[test]
    fn a_waiting_directive_on_two_mediums_keeps_its_place_on_both() {
        let mut s = Sequencer::default();
        let both = Policy { audio: true, visual: true, blocking: false };
        s.admit(directive("Speak", None), Policy::AUDIO_BLOCKING).unwrap();
        s.admit(directive("Show", None), both).unwrap();
        s.admit(directive("Render", None), Policy::VISUAL).unwrap();
        assert_eq!(next(&mut s).as_deref(), Some("Speak"));
        assert_eq!(next(&mut s), None);
        s.completed("Speak");
        assert_eq!(next(&mut s).as_deref(), Some("Show"));
        assert_eq!(next(&mut s).as_deref(), Some("Render"));
    }

    #[test]
    fn only_the_current_dialog_is_heard() {
        let mut s = Sequencer::default();
        assert!(!s.is_stale(&directive("a", None)));
        assert!(!s.is_stale(&directive("a", Some(""))));
        assert!(s.is_stale(&directive("a", Some("one"))));
        s.begin_dialog("one".into());
        assert!(!s.is_stale(&directive("a", Some("one"))));
        assert!(s.is_stale(&directive("a", Some("two"))));
    }

    #[test]
    fn a_new_dialog_cancels_the_old_one_and_nothing_else() {
        let mut s = Sequencer::default();
        s.begin_dialog("one".into());
        s.admit(directive("Speak", Some("one")), Policy::AUDIO_BLOCKING).unwrap();
        s.admit(directive("Play", Some("one")), Policy::AUDIO).unwrap();
        s.admit(directive("Untagged", None), Policy::AUDIO).unwrap();
        next(&mut s);
        assert_eq!(names(&s.begin_dialog("one".into())), [""; 0]);
        assert_eq!(names(&s.begin_dialog("two".into())), ["Speak", "Play"]);
        assert_eq!(next(&mut s).as_deref(), Some("Untagged"));
    }

    #[test]
    fn a_failure_cancels_the_rest_of_its_dialog() {
        let mut s = Sequencer::default();
        s.begin_dialog("one".into());
        let speak = directive("Speak", Some("one"));
        s.admit(speak.clone(), Policy::AUDIO_BLOCKING).unwrap();
        s.admit(directive("Play", Some("one")), Policy::AUDIO).unwrap();
        next(&mut s);
        assert_eq!(names(&s.failed(&speak)), ["Play"]);
        assert_eq!(next(&mut s), None);
    }

    #[test]
    fn the_line_is_bounded() {
        let mut s = Sequencer::default();
        for i in 0..WAITING_LIMIT {
            s.admit(directive(&i.to_string(), None), Policy::AUDIO).unwrap();
        }
        assert_eq!(s.admit(directive("more", None), Policy::AUDIO), Err(Full));
    }
}
