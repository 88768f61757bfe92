//! The command log: commands that took long (SLOWLOG and COMMANDLOG show them), and commands whose request or reply was large
//! (COMMANDLOG). Three lists of a bounded length, each with the newest first.

use crate::command::secret::{REDACTED, is_secret};
use crate::command::spec::{CommandSpec, Flag};
use crate::config::Config;
use crate::resp::request::Args;
use crate::session::Session;
use std::collections::VecDeque;

/// What a command is noted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remarkable {
    /// It took long. The figure is in microseconds.
    Slow,
    /// Its request was large. The figure is in bytes.
    LargeRequest,
    /// Its reply was large. The figure is in bytes.
    LargeReply,
}

impl Remarkable {
    /// All of them, with the names that COMMANDLOG knows them by.
    pub const NAMES: [(Remarkable, &'static str); 3] =
        [(Remarkable::Slow, "slow"), (Remarkable::LargeRequest, "large-request"), (Remarkable::LargeReply, "large-reply")];

    /// From which figure on a command is noted (`None` never), and how many entries are kept.
    fn limits(self, config: &Config) -> (Option<u64>, usize) {
        let (from, max) = match self {
            Remarkable::Slow => (config.slowlog_log_slower_than, config.slowlog_max_len),
            Remarkable::LargeRequest => (config.commandlog_request_larger_than, config.commandlog_large_request_max_len),
            Remarkable::LargeReply => (config.commandlog_reply_larger_than, config.commandlog_large_reply_max_len),
        };
        (u64::try_from(from).ok(), max.max(0) as usize)
    }
}

/// The lists.
#[derive(Default)]
pub struct CommandLog {
    lists: [List; 3],
    /// The least number of bytes for which anything would be noted: a test that spares the others.
    bytes_min: usize,
}

/// Entries of one kind.
#[derive(Default)]
struct List {
    entries: VecDeque<Entry>,
    next_id: u64,
}

/// One command.
pub struct Entry {
    pub id: u64,
    pub unix_seconds: i64,
    pub figure: u64,
    /// The arguments, cut to what is shown.
    pub args: Vec<Box<[u8]>>,
    pub peer: Box<str>,
    pub name: Box<[u8]>,
}

/// Arguments shown of a command, and bytes of each.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

impl CommandLog {
    /// The entries of one kind, newest first.
    pub fn entries(&self, kind: Remarkable) -> &VecDeque<Entry> {
        &self.lists[kind as usize].entries
    }

    /// Forgets the entries of one kind.
    pub fn forget(&mut self, kind: Remarkable) {
        self.lists[kind as usize].entries.clear();
    }

    /// Takes over the limits.
    pub fn adopt_config(&mut self, config: &Config) {
        let from = |kind: Remarkable| kind.limits(config).0.map_or(usize::MAX, |from| from as usize);
        self.bytes_min = from(Remarkable::LargeRequest).min(from(Remarkable::LargeReply));
    }

    /// True if a request or a reply of up to so many bytes may have to be noted.
    #[inline]
    pub fn may_note(&self, bytes: usize) -> bool {
        bytes >= self.bytes_min
    }

    /// Notes a command, if the figure is high enough for it.
    pub fn note(
        &mut self,
        kind: Remarkable,
        figure: u64,
        (config, now_micros): (&Config, i64),
        session: &Session,
        spec: &CommandSpec,
        args: Args<'_>,
    ) {
        let (from, max) = kind.limits(config);
        if from.is_none_or(|from| figure < from) || spec.has(Flag::SkipSlowlog) {
            return;
        }
        let list = &mut self.lists[kind as usize];
        if max > 0 {
            list.entries.push_front(Entry {
                id: list.next_id,
                unix_seconds: now_micros / 1_000_000,
                figure,
                args: shown(spec, args),
                peer: session.peer.clone(),
                name: session.name.clone(),
            });
            list.next_id += 1;
        }
        list.entries.truncate(max);
    }
}

/// The arguments as they are shown: not too many, not too long, and no secrets.
fn shown(spec: &CommandSpec, args: Args<'_>) -> Vec<Box<[u8]>> {
    let count = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let visible = |i: usize| if is_secret(spec, args, i) { REDACTED } else { args.get(i) };
    let mut kept: Vec<Box<[u8]>> = (0..count).map(visible).map(cut).collect();
    if args.len() > count {
        kept.push(format!("... ({} more arguments)", args.len() - count).into_bytes().into());
    }
    kept
}

fn cut(arg: &[u8]) -> Box<[u8]> {
    if arg.len() <= ARG_BYTES_MAX {
        return arg.into();
    }
    let mut text = arg[..ARG_BYTES_MAX].to_vec();
    text.extend_from_slice(format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX).as_bytes());
    text.into()
}
