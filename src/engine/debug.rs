//! A script that is stopped in the debugger: its client's requests are the debugger's commands, and everybody else's wait until
//! the script has ended, but for those that are allowed while a script takes long. A client that goes takes the script with it.

use super::Engine;
use crate::dispatch::{self, Paused, Step};
use crate::resp::request::{Args, OwnedRequest};
use crate::session::Session;
use crate::types::ClientId;

/// A request whose script is stopped.
pub(super) struct Debugged {
    client: ClientId,
    slot: usize,
    request: OwnedRequest,
    paused: Box<Paused>,
}

impl Engine {
    /// Runs a request while some script is stopped: a command for the debugger if that is the client's.
    #[cold]
    pub(super) fn run_beside_debugger(&mut self, session: &mut Session, args: Args<'_>, command: Option<u16>) -> Step {
        match self.debugged.take_if(|debugged| debugged.client == session.id) {
            None => dispatch::execute(&mut self.world, session, args, command),
            Some(Debugged { request, paused, .. }) => {
                session.commands += 1;
                let step = dispatch::debug(&mut self.world, session, request.args(), args, paused);
                self.keep_debugged(session, request, step)
            }
        }
    }

    /// Keeps a request whose script was stopped just now.
    pub(super) fn stop_debugged(&mut self, session: &Session, args: Args<'_>, paused: Box<Paused>) {
        self.keep_debugged(session, OwnedRequest::copy(args), Step::Pause(paused));
    }

    fn keep_debugged(&mut self, session: &Session, request: OwnedRequest, step: Step) -> Step {
        let Step::Pause(paused) = step else { return step };
        self.debugged = Some(Debugged { client: session.id, slot: session.slot, request, paused });
        Step::Next
    }

    /// Ends the script that is stopped, and with it the session of its client.
    pub(super) fn end_debugging(&mut self) {
        let Some(Debugged { client, slot, request, paused }) = self.debugged.take() else { return };
        let Some(mut session) = self.world.sessions.take(client, slot) else { return };
        tracing::info!("The script that was debugged is ended: SCRIPT KILL was called, or its client has gone.");
        self.world.sessions.lend_output(&mut session);
        dispatch::end_debugging(&mut self.world, &mut session, request.args(), paused);
        self.world.sessions.put_back(session);
        // Those go on when the end of the session is carried out (`Order::Resume`).
        if self.world.blocked.has_ready() {
            self.serve_blocked();
        }
    }

    /// As `end_debugging`, if that client's script is stopped.
    pub(super) fn end_debugging_of(&mut self, client: ClientId) {
        if self.debugged.as_ref().is_some_and(|debugged| debugged.client == client) {
            self.end_debugging();
        }
    }
}
