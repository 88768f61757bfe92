//! Which arguments are secrets: MONITOR and SLOWLOG show something else in their place.

use super::args::Args;
use super::spec::CommandSpec;
use crate::config::set::is_sensitive;

/// What is shown instead of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// True for arguments that are a password, the name that goes with it, or anything else that tells of users.
pub fn is_secret(spec: &CommandSpec, args: Args<'_>, i: usize) -> bool {
    match spec.name {
        "AUTH" => i > 0,
        "HELLO" => (2..i).any(|at| args.is(at, "AUTH") && i <= at + 2),
        "MIGRATE" => (6..i).any(|at| (args.is(at, "AUTH") && i == at + 1) || (args.is(at, "AUTH2") && i <= at + 2)),
        "ACL|SETUSER" | "ACL|DELUSER" | "ACL|GETUSER" => i >= 2,
        "CONFIG|SET" => i >= 3 && !i.is_multiple_of(2) && is_sensitive(args.get(i - 1)),
        _ => false,
    }
}
