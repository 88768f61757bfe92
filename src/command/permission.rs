//! May a user run a request? The user's rules (`acl/`) are asked with what a command's row tells of it: its position, keys
//! and channels. For the dispatcher, for ACL DRYRUN, and for scripts, which run under the rules of their caller.

use super::args::Args;
use super::getkeys;
use super::spec::{Category, CommandSpec, Flag, KeyFlags};
use super::table::CommandTable;
use crate::acl::{Access, Catalog, Denial, Request, User, Visitor};
use std::ops::Range;

/// Whether a user may run a request of the command at this position of the table.
///
/// # Errors
/// What is missing.
pub fn may_run(user: &User, command: u16, spec: &CommandSpec, args: Args<'_>) -> Result<(), Denial> {
    with_request(command, spec, args, |request| user.check(request))
}

/// Whether a user may run a request and read every key besides: for commands that find keys by the names that others hold.
pub fn reads_every_key(user: &User, command: u16, spec: &CommandSpec, args: Args<'_>) -> bool {
    with_request(command, spec, args, |request| user.reads_every_key(request))
}

fn with_request<R>(command: u16, spec: &CommandSpec, args: Args<'_>, judge: impl FnOnce(&Request<'_>) -> R) -> R {
    let keys = |visit: Visitor<'_, Access>| {
        // Arguments that contradict the row's rules make the command itself fail, whoever runs it.
        getkeys::exact_keys_of(spec, args, |at, flags| {
            if flags & KeyFlags::NOT_KEY == 0 {
                visit(at, access(flags));
            }
        })
        .is_ok()
    };
    let channels = |visit: Visitor<'_, bool>| {
        if let Some((positions, are_patterns)) = getkeys::channels_of(spec, args) {
            positions.for_each(|at| visit(at, are_patterns));
        }
    };
    judge(&Request {
        command,
        open: spec.has(Flag::NoAuth),
        is_subcommand: spec.name.contains('|'),
        args,
        keys: &keys,
        channels: &channels,
    })
}

/// What a rule about keys has to allow for the flags of a key spec. Looking at a key's type or size needs neither.
fn access(flags: u16) -> Access {
    const WRITES: u16 = KeyFlags::INSERT | KeyFlags::DELETE | KeyFlags::UPDATE;
    let read = if flags & KeyFlags::ACCESS != 0 { Access::READ } else { Access::NONE };
    let write = if flags & WRITES != 0 { Access::WRITE } else { Access::NONE };
    read.and(write)
}

/// The reason for a refusal in words. `verbose` names the key or the channel, which is for administrators only.
pub fn denial_text(denial: Denial, user: &User, spec: &CommandSpec, args: Args<'_>, verbose: bool) -> Vec<u8> {
    let access_to = |at: usize, what: &str| match verbose {
        true => [b"User ", &*user.name, b" has no permissions to access the '", args.get(at), b"' ", what.as_bytes()].concat(),
        false => format!("No permissions to access a {what}").into_bytes(),
    };
    match denial {
        Denial::Command => {
            let command = spec.name.to_ascii_lowercase();
            [b"User ", &*user.name, b" has no permissions to run the '", command.as_bytes(), b"' command"].concat()
        }
        Denial::Key(at) => access_to(at, "key"),
        Denial::Channel(at) => access_to(at, "channel"),
    }
}

impl Catalog for CommandTable {
    fn size(&self) -> usize {
        self.len()
    }

    fn position(&self, name: &[u8]) -> Option<u16> {
        self.declared(name)
    }

    fn is_subcommand(&self, command: u16) -> bool {
        self.get(command).spec.name.contains('|')
    }

    fn subcommands(&self, command: u16) -> Range<usize> {
        self.get(command).subcommands.clone()
    }

    fn categories(&self, command: u16) -> u32 {
        self.get(command).spec.all_categories()
    }

    fn category(&self, name: &[u8]) -> Option<u32> {
        let found = Category::ALL.iter().find(|category| category.name().as_bytes().eq_ignore_ascii_case(name));
        found.map(|category| category.bit())
    }
}
