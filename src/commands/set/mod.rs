//! The set commands.

mod algebra;
mod chance;
mod members;
mod scan;

use crate::command::CommandSpec;
use crate::ds::parts::element::Element;
use crate::resp::reply::ReplyWriter;

/// The topics of this family.
pub const TOPICS: &[&[CommandSpec]] = &[members::COMMANDS, chance::COMMANDS, algebra::COMMANDS, scan::COMMANDS];

/// Answers a member as a bulk string.
#[inline]
fn bulk(reply: &mut ReplyWriter<'_>, member: Element<'_>) {
    match member {
        Element::Int(value) => reply.bulk_integer(value),
        Element::Str(text) => reply.bulk(text),
    }
}
