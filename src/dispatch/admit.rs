//! The guards before a command, in the order in which the original applies them: clients see the first that refuses.

use crate::command::error::{self, CommandError};
use crate::command::spec::{CommandSpec, Flag, Handler};
use crate::resp::request::Args;
use crate::session::Session;
use crate::world::World;

/// Refuses what may not run now.
#[inline]
pub fn admit(world: &World, session: &Session, spec: &'static CommandSpec, args: Args<'_>) -> Result<(), CommandError> {
    if matches!(spec.run, Handler::Container) && args.len() > 1 {
        return Err(bad_subcommand(spec, args));
    }
    if !spec.arity.allows(args.len()) {
        return Err(error::wrong_arity(spec.name));
    }
    if !session.authenticated && !spec.has(Flag::NoAuth) {
        return Err(error::NOAUTH);
    }
    if world.memory_short && spec.has(Flag::DenyOom) {
        return Err(error::OOM);
    }
    Ok(())
}

/// The refusal for a container whose subcommand is unknown.
pub fn bad_subcommand(spec: &CommandSpec, args: Args<'_>) -> CommandError {
    if args.len() < 2 {
        return error::wrong_arity(spec.name);
    }
    error::unknown_subcommand(spec.name, args.get(1))
}

/// The refusal for an unknown command, with the beginning of its arguments.
#[cold]
pub fn unknown(_world: &World, _session: &Session, args: Args<'_>) -> CommandError {
    const SHOWN_MAX: usize = 128;
    let name = args.get(0);
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(&name[..name.len().min(SHOWN_MAX)]);
    text.extend_from_slice(b"', with args beginning with: ");
    let mut shown = 0;
    for arg in args.from(1) {
        if shown >= SHOWN_MAX {
            break;
        }
        let cut = &arg[..arg.len().min(SHOWN_MAX - shown)];
        text.push(b'\'');
        text.extend_from_slice(cut);
        text.extend_from_slice(b"' ");
        shown += cut.len() + 3;
    }
    CommandError::bytes(text)
}
