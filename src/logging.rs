//! Log lines as the original writes them: `pid:role dd Mon yyyy HH:MM:SS.mmm level text`. Tools wait for some of these lines
//! on stdout, so the format is an interface.

use crate::config::{Config, LogLevel};
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload;

/// The way to change what is logged while the server runs.
#[derive(Clone)]
pub struct LogControl(Option<reload::Handle<LevelFilter, tracing_subscriber::Registry>>);

impl LogControl {
    /// Applies `loglevel`.
    pub fn set_level(&self, level: LogLevel) {
        if let Some(handle) = &self.0 {
            let _ = handle.modify(|filter| *filter = filter_of(level));
        }
    }
}

/// Starts logging for this process, once; a second call (several servers in one process) changes nothing.
///
/// # Errors
/// The log file cannot be opened.
pub fn start(config: &Config) -> io::Result<LogControl> {
    use tracing_subscriber::layer::SubscriberExt;
    let target = if config.logfile.is_empty() {
        Target(None)
    } else {
        Target(Some(Arc::new(Mutex::new(File::options().create(true).append(true).open(config.path(&config.logfile))?))))
    };
    let (filter, handle) = reload::Layer::new(filter_of(config.loglevel));
    let role = if config.sentinel_mode { 'X' } else { 'M' };
    let layer = tracing_subscriber::fmt::layer().with_writer(target).event_format(Line { role });
    let subscriber = tracing_subscriber::registry().with(filter).with(layer);
    match tracing::subscriber::set_global_default(subscriber) {
        Ok(()) => Ok(LogControl(Some(handle))),
        Err(_) => Ok(LogControl(None)),
    }
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::TRACE,
        LogLevel::Verbose => LevelFilter::DEBUG,
        LogLevel::Notice => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Nothing => LevelFilter::OFF,
    }
}

/// Standard output, or the log file.
#[derive(Clone)]
struct Target(Option<Arc<Mutex<File>>>);

impl<'a> MakeWriter<'a> for Target {
    type Writer = Target;

    fn make_writer(&'a self) -> Target {
        self.clone()
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(file) => match file.lock() {
                Ok(mut file) => file.write(bytes),
                Err(_) => Ok(bytes.len()),
            },
            None => io::stdout().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.0 {
            Some(_) => Ok(()),
            None => io::stdout().flush(),
        }
    }
}

/// One event as one line.
struct Line {
    /// What the process is.
    role: char,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N> for Line {
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mark = match *event.metadata().level() {
            Level::TRACE => '.',
            Level::DEBUG => '-',
            Level::INFO => '*',
            _ => '#',
        };
        let stamp = crate::sys::time::local_stamp();
        write!(writer, "{}:{} {stamp} {mark} ", std::process::id(), self.role)?;
        let mut text = Text(&mut writer, Ok(()));
        event.record(&mut text);
        text.1?;
        writeln!(writer)
    }
}

/// Writes an event's message.
struct Text<'a, 'b>(&'a mut Writer<'b>, fmt::Result);

impl Visit for Text<'_, '_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" && self.1.is_ok() {
            self.1 = write!(self.0, "{value:?}");
        }
    }
}
