//! Client-side caching: the keys that a command of a tracking client reads are noted when it has run.

use crate::command::getkeys;
use crate::command::spec::{CommandSpec, Flag, Group};
use crate::resp::request::Args;
use crate::session::Session;
use crate::world::World;

/// Notes what a command read; CLIENT CACHING, if it was said, has served then.
#[cold]
pub fn after_command(world: &mut World, session: &mut Session, spec: &CommandSpec, args: Args<'_>) {
    note_keys(world, session, spec, args);
    // It is for the next command, and for all commands of a transaction. What a client asks about itself is in between.
    if session.transaction.is_none()
        && !spec.name.starts_with("CLIENT|")
        && let Some(tracker) = world.tracking.of_mut(session.id)
    {
        tracker.caching = false;
    }
}

/// Notes the keys that a command read. Scripts note what their commands read, not what they declare; shard channels are no
/// keys.
#[cold]
pub fn note_keys(world: &mut World, session: &Session, spec: &CommandSpec, args: Args<'_>) {
    let reads = spec.has(Flag::ReadOnly) && !spec.has(Flag::PubSub) && spec.group != Group::Scripting;
    if !reads || !world.tracking.wants_keys(session.id) {
        return;
    }
    let tracking = &mut world.tracking;
    // A request whose keys cannot be told was answered with an error.
    let _ = getkeys::keys_of(spec, args, |at, _| tracking.remember(session.id, args.get(at)));
    world.limit_tracking(Some(session.id));
}
