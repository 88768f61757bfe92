//! MONITOR: every command that runs, shown to those who asked, one line each. Commands for administrators are not shown, nor
//! are passwords.

use crate::clock::Clock;
use crate::command::secret::{REDACTED, is_secret};
use crate::command::spec::{CommandSpec, Flag};
use crate::resp::reply::ReplyWriter;
use crate::resp::request::Args;
use crate::session::{Message, Origin, Session};
use crate::types::DbIndex;
use crate::world::World;
use std::io::Write as _;

/// Shows a request to the monitors.
#[inline]
pub fn show(world: &mut World, session: &Session, spec: &CommandSpec, args: Args<'_>) {
    if !world.monitors.is_empty() && !spec.has(Flag::SkipMonitor) && !spec.has(Flag::Admin) {
        show_to_all(world, session, spec, args);
    }
}

/// Shows a request that runs a script: before what the script does, and also if it cannot begin because it is not known, say.
pub fn show_script(world: &mut World, session: &Session, spec: &CommandSpec, args: Args<'_>) {
    if !world.monitors.is_empty() {
        show_to_all(world, session, spec, args);
    }
}

#[cold]
fn show_to_all(world: &mut World, session: &Session, spec: &CommandSpec, args: Args<'_>) {
    // What a file's scripts did is no news.
    if world.persistence.is_loading() {
        return;
    }
    let text = line(Clock::Real.micros(), session.db, source(world, session), spec, args);
    let write = |reply: &mut ReplyWriter<'_>| reply.raw(&text);
    let mut message = Message::new(&write);
    for &(client, slot) in &world.monitors {
        world.sessions.deliver(client, slot, &mut message);
    }
}

/// Where a request came from.
fn source(world: &World, session: &Session) -> String {
    match session.origin {
        Origin::Unix => format!("unix:{}", world.config.unixsocket),
        _ => session.peer.to_string(),
    }
}

fn line(micros: i64, db: DbIndex, source: String, spec: &CommandSpec, args: Args<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(64);
    let _ = write!(text, "+{}.{:06} [{} {source}]", micros / 1_000_000, micros % 1_000_000, db.0);
    for (i, arg) in args.from(0).enumerate() {
        text.push(b' ');
        quote(&mut text, if is_secret(spec, args, i) { REDACTED } else { arg });
    }
    text.extend_from_slice(b"\r\n");
    text
}

fn quote(text: &mut Vec<u8>, arg: &[u8]) {
    text.push(b'"');
    for &byte in arg {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            7 => text.extend_from_slice(b"\\a"),
            8 => text.extend_from_slice(b"\\b"),
            b' '..=b'~' => text.push(byte),
            _ => {
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::request::OwnedRequest;

    #[test]
    fn a_line_hides_passwords_and_quotes_the_rest() {
        let shown = |name: &'static str, args: &[&[u8]]| {
            let spec = CommandSpec { name, ..CommandSpec::BASE };
            let request = OwnedRequest::build(args.iter().copied());
            String::from_utf8(line(1_500_000_000_000_042, DbIndex(9), "1.2.3.4:5".into(), &spec, request.args())).unwrap()
        };
        let head = "+1500000000.000042 [9 1.2.3.4:5]";
        assert_eq!(shown("SET", &[b"set", b"a\"\n", b"\x01\xff"]), format!("{head} \"set\" \"a\\\"\\n\" \"\\x01\\xff\"\r\n"));
        assert_eq!(shown("AUTH", &[b"auth", b"me", b"x"]), format!("{head} \"auth\" \"(redacted)\" \"(redacted)\"\r\n"));
        let hello = shown("HELLO", &[b"hello", b"3", b"auth", b"me", b"x", b"setname", b"n"]);
        assert_eq!(hello, format!("{head} \"hello\" \"3\" \"auth\" \"(redacted)\" \"(redacted)\" \"setname\" \"n\"\r\n"));
    }
}
