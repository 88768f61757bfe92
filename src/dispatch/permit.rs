//! The guard for clients that are not logged in or whose user may not do everything. Others never come here: one flag of
//! their session says so.

use crate::acl::log::{Note, Reason};
use crate::acl::{Denial, Place};
use crate::command::context::Rights;
use crate::command::error::{self, CommandError};
use crate::command::permission;
use crate::command::spec::{Begin, CommandSpec, Flag};
use crate::commands;
use crate::resp::request::Args;
use crate::session::Session;
use crate::world::World;

/// Refuses what a client may not run.
pub fn admit(
    world: &mut World,
    session: &mut Session,
    at: u16,
    spec: &'static CommandSpec,
    args: Args<'_>,
) -> Result<(), CommandError> {
    if world.must_log_in(session) && !spec.has(Flag::NoAuth) {
        return Err(error::NOAUTH);
    }
    if session.transaction.is_some() && spec.has(Flag::NoMulti) {
        return Err(error::NOT_IN_MULTI);
    }
    check(world, session, at, spec, args, Note::place_of(session)).map_err(|denial| {
        let text = match &session.user {
            Some(user) => permission::denial_text(denial, user, spec, args, false),
            None => Vec::new(),
        };
        CommandError::bytes([b"NOPERM ", text.as_slice()].concat())
    })
}

/// Judges a request by the rules of the client's user, and notes a refusal.
///
/// # Errors
/// What is missing.
pub fn check(
    world: &mut World,
    session: &Session,
    at: u16,
    spec: &'static CommandSpec,
    args: Args<'_>,
    place: Place,
) -> Result<(), Denial> {
    let Some(user) = &session.user else { return Ok(()) };
    let denied = permission::may_run(user, at, spec, args);
    if let Err(denial) = denied {
        let command = spec.name.to_ascii_lowercase();
        let (reason, object) = match denial {
            Denial::Command => (Reason::Command, command.as_bytes()),
            Denial::Key(at) => (Reason::Key, args.get(at)),
            Denial::Channel(at) => (Reason::Channel, args.get(at)),
        };
        let line = commands::session::description(world, session, args);
        let note = Note { reason, place, object, user: &user.name };
        world.note_refusal(note, || line);
    }
    denied
}

/// The rights of a client's user that handlers themselves ask for.
pub fn rights(session: &Session, at: u16, spec: &CommandSpec, args: Args<'_>) -> Rights {
    let Some(user) = &session.user else { return Rights::ALL };
    // No other command asks for the keys that no rule finds.
    let asks = spec.keys.iter().any(|rule| rule.begin == Begin::Unknown);
    let reads_every_key = asks && permission::reads_every_key(user, at, spec, args);
    Rights { reads_every_key, trusted_payloads: user.skip_sanitize }
}

/// What a command of a transaction is answered with that may not run any more when EXEC comes.
pub fn changed_since_queued(denial: Denial) -> CommandError {
    let reason = match denial {
        Denial::Command => "no permission to execute the command or subcommand",
        Denial::Key(_) => "no permission to touch the specified keys",
        Denial::Channel(_) => "no permission to access one of the channels used as arguments",
    };
    CommandError::text(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no \
         longer allowed for the following reason: {reason}"
    ))
}
