//! Libraries of functions (FUNCTION LOAD, FCALL): what they hold, and how their source registers it.

use super::flags::Flags;
use super::interpreter::{Interpreter, Run};
use super::{api, convert, sandbox};
use crate::sys::lua::{Kept, LuaError, Outcome, State, Type};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What `redis.register_function` was told.
pub struct Registered {
    pub name: Box<[u8]>,
    pub description: Option<Box<[u8]>>,
    pub flags: Flags,
    pub callback: Kept,
}

/// A library.
pub struct Library {
    pub code: Arc<[u8]>,
    pub functions: Vec<Registered>,
}

/// All libraries, by name.
#[derive(Default)]
pub struct Libraries {
    libraries: BTreeMap<Box<[u8]>, Library>,
    /// The library that has a function, by its name in lower case.
    owners: BTreeMap<Box<[u8]>, Box<[u8]>>,
    /// Their code once more, for those who write it to files.
    sources: Sources,
}

/// Source texts of libraries, by their names.
pub type Sources = Rc<RefCell<BTreeMap<Box<[u8]>, Arc<[u8]>>>>;

/// Time that a library's source may take.
pub const LOAD_LIMIT: Duration = Duration::from_millis(500);

impl Libraries {
    /// A function, by name.
    pub fn function(&self, name: &[u8]) -> Option<&Registered> {
        let library = self.libraries.get(self.owners.get(&*name.to_ascii_lowercase())?)?;
        library.functions.iter().find(|function| function.name.eq_ignore_ascii_case(name))
    }

    /// The source texts of the libraries, whatever becomes of them.
    pub fn sources(&self) -> Sources {
        self.sources.clone()
    }

    /// All libraries in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &Library)> {
        self.libraries.iter().map(|(name, library)| (&**name, library))
    }

    /// Number of functions.
    pub fn function_count(&self) -> usize {
        self.owners.len()
    }

    /// True if there is a library of this name.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.libraries.contains_key(name)
    }

    /// Bytes of memory held, the interpreter's aside.
    pub fn memory_bytes(&self) -> usize {
        let function =
            |f: &Registered| size_of::<Registered>() + 2 * f.name.len() + f.description.as_ref().map_or(0, |d| d.len());
        let library = |(name, library): (&[u8], &Library)| {
            size_of::<Library>() + name.len() + library.code.len() + library.functions.iter().map(function).sum::<usize>()
        };
        self.iter().map(library).sum()
    }

    /// Takes a library out.
    pub fn remove(&mut self, name: &[u8]) -> Option<Library> {
        let library = self.libraries.remove(name)?;
        self.sources.borrow_mut().remove(name);
        for function in &library.functions {
            self.owners.remove(&*function.name.to_ascii_lowercase());
        }
        Some(library)
    }

    /// The first function of `library` that another library has already.
    fn conflict<'a>(&self, library: &'a Library) -> Option<&'a [u8]> {
        let taken = |f: &&Registered| self.owners.contains_key(&*f.name.to_ascii_lowercase());
        library.functions.iter().find(taken).map(|f| &*f.name)
    }

    /// Adds a library.
    pub fn insert(&mut self, name: Box<[u8]>, library: Library) {
        for function in &library.functions {
            self.owners.insert(function.name.to_ascii_lowercase().into(), name.clone());
        }
        self.sources.borrow_mut().insert(name.clone(), library.code.clone());
        self.libraries.insert(name, library);
    }

    /// Takes over all libraries of `others`; with `replace`, in the stead of those of the same names. On a conflict nothing
    /// changes and `others` come back.
    ///
    /// # Errors
    /// The text for the client, with `others`.
    pub fn join(&mut self, others: Libraries, replace: bool) -> Result<Vec<Library>, (Vec<u8>, Libraries)> {
        let mut replaced: Vec<(Box<[u8]>, Library)> = Vec::new();
        let mut refusal = None;
        for name in others.libraries.keys() {
            if self.contains(name) && !replace {
                refusal = Some([b"ERR Library ", &**name, b" already exists"].concat());
                break;
            }
            if let Some(old) = self.remove(name) {
                replaced.push((name.clone(), old));
            }
        }
        if refusal.is_none() {
            let conflict = others.libraries.values().find_map(|library| self.conflict(library));
            refusal = conflict.map(|name| [b"ERR Function ", name, b" already exists"].concat());
        }
        if let Some(refusal) = refusal {
            replaced.into_iter().for_each(|(name, old)| self.insert(name, old));
            return Err((refusal, others));
        }
        for (name, library) in others.libraries {
            self.insert(name, library);
        }
        Ok(replaced.into_iter().map(|(_, old)| old).collect())
    }

    /// Takes all libraries out.
    pub fn take_all(&mut self) -> Vec<Library> {
        self.owners.clear();
        self.sources.borrow_mut().clear();
        std::mem::take(&mut self.libraries).into_values().collect()
    }
}

/// A library's name.
type Name = Box<[u8]>;

/// The text that a client is told.
type Refusal = Vec<u8>;

/// The name and the source that a library's code holds: its first line is `#!lua name=…`.
///
/// # Errors
/// The text for the client.
pub fn parse(code: &[u8]) -> Result<(Name, &[u8]), Refusal> {
    let fail = |text: &str| Err(format!("ERR {text}").into_bytes());
    if !code.starts_with(b"#!") {
        return fail("Missing library metadata");
    }
    let Some(end) = memchr::memchr(b'\n', code) else { return fail("Invalid library metadata") };
    let (line, source) = code.split_at(end);
    let Some(words) = crate::config::split_words(line) else { return fail("Invalid library metadata") };
    let mut words = words.iter().map(|word| &**word);
    let engine = words.next().unwrap_or_default().get(2..).unwrap_or_default().to_vec();
    let mut name: Option<&[u8]> = None;
    for word in words {
        let (key, value) = word.split_at(word.len().min(5));
        if !key.eq_ignore_ascii_case(b"name=") {
            return Err([b"ERR Invalid metadata value given: ", word].concat());
        }
        if name.replace(value).is_some() {
            return fail("Invalid metadata value, name argument was given multiple times");
        }
    }
    let Some(name) = name else { return fail("Library name was not given") };
    if !is_name(name) {
        return fail(BAD_NAME);
    }
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"ERR Engine '", &engine[..], b"' not found"].concat());
    }
    Ok((name.into(), source))
}

/// Said of functions as well.
const BAD_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Runs a library's code and returns what it is, not yet among the others.
///
/// # Errors
/// The text for the client.
pub fn load(interpreter: Interpreter, code: &[u8], limit: Option<Duration>) -> (Interpreter, Result<(Name, Library), Refusal>) {
    let (name, source) = match parse(code) {
        Ok(parsed) => parsed,
        Err(refusal) => return (interpreter, Err(refusal)),
    };
    let (interpreter, registered) = interpreter.load_library(source, limit);
    let library = match registered {
        Ok(functions) if functions.is_empty() => Err(b"ERR No functions registered".to_vec()),
        Ok(functions) => Ok((name, Library { code: code.into(), functions })),
        Err(refusal) => Err(refusal),
    };
    (interpreter, library)
}

/// What functions see as globals: while their library is loaded, and when they are called.
pub struct Scopes {
    /// The metatable of the globals of functions, whose `__index` is switched.
    switch: Kept,
    loading: Kept,
    calling: Kept,
}

impl Scopes {
    /// Puts a table before the sandbox's globals that can show something else.
    pub(super) fn open(state: &mut State, run: &Run) -> Outcome<Self> {
        state.set_top(0)?;
        state.push_globals()?;
        let calling = state.keep()?;
        // What is in scope while a library is loaded: the table `redis`, and nothing else.
        state.push_table(0, 2)?; // 1
        api::open_for_loading(state)?;
        state.push_function(sandbox::no_such_global)?;
        sandbox::set_index(state, 2)?;
        sandbox::protect(state, run, 2)?;
        state.push_copy(-1)?;
        state.raw_set_field(1, "redis")?;
        state.raw_set_field(1, "server")?;
        state.push_function(sandbox::no_such_global)?;
        sandbox::set_index(state, 1)?;
        sandbox::protect(state, run, 1)?;
        let loading = state.keep()?;
        state.set_top(0)?;
        state.push_kept(&calling)?;
        sandbox::protect(state, run, 1)?;
        state.push_metatable(-1)?;
        let switch = state.keep()?;
        state.set_globals()?;
        state.set_top(0)?;
        Ok(Scopes { switch, loading, calling })
    }

    pub(super) fn enter_loading(&self, state: &mut State) -> Outcome {
        self.show(state, &self.loading)
    }

    pub(super) fn leave_loading(&self, state: &mut State) -> Outcome {
        self.show(state, &self.calling)
    }

    fn show(&self, state: &mut State, scope: &Kept) -> Outcome {
        state.push_kept(&self.switch)?;
        state.push_kept(scope)?;
        state.raw_set_field(-2, "__index")?;
        state.pop(1);
        Ok(())
    }
}

/// redis.register_function(name, callback) or redis.register_function{function_name=…, callback=…, …}
pub(super) fn register_function(state: &mut State) -> Result<usize, LuaError> {
    let run = Run::of(state);
    if run.loading.borrow().is_none() {
        return raise(state, "redis.register_function can only be called on FUNCTION LOAD command");
    }
    let registered = match state.top() {
        1 => by_name(state),
        2 => by_position(state),
        _ => Err("wrong number of arguments to redis.register_function"),
    };
    let registered = match registered {
        Ok(registered) => registered,
        Err(text) => return raise(state, text),
    };
    let name = &registered.name;
    let refusal = if !is_name(name) {
        Some(BAD_NAME)
    } else if run.loading.borrow().iter().flatten().any(|other| other.name == *name) {
        Some("Function already exists in the library")
    } else {
        None
    };
    if let Some(text) = refusal {
        state.release(registered.callback);
        return raise(state, text);
    }
    if let Some(list) = &mut *run.loading.borrow_mut() {
        list.push(registered);
    }
    Ok(0)
}

fn raise(state: &mut State, text: &str) -> Result<usize, LuaError> {
    convert::push_error(state, format!("ERR {text}").as_bytes(), false)?;
    Err(LuaError::Value)
}

fn by_position(state: &mut State) -> Result<Registered, &'static str> {
    let name = state.text(1).map(Box::from).ok_or("first argument to redis.register_function must be a string")?;
    if state.type_of(2) != Type::Function {
        return Err("second argument to redis.register_function must be a function");
    }
    let callback = state.keep().map_err(|_| "not enough memory")?;
    Ok(Registered { name, description: None, flags: Flags::default(), callback })
}

fn by_name(state: &mut State) -> Result<Registered, &'static str> {
    if state.type_of(1) != Type::Table {
        return Err(
            "calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).",
        );
    }
    let (mut name, mut description, mut flags, mut callback) = (None, None, Flags::default(), None);
    let read = read_named(state, &mut name, &mut description, &mut flags, &mut callback);
    let missing = match (&name, &callback) {
        (None, _) => Some("redis.register_function must get a function name argument"),
        (_, None) => Some("redis.register_function must get a callback argument"),
        _ => None,
    };
    match (read.err().or(missing), name, callback) {
        (None, Some(name), Some(callback)) => Ok(Registered { name, description, flags, callback }),
        (refusal, _, callback) => {
            callback.into_iter().for_each(|callback| state.release(callback));
            Err(refusal.unwrap_or_default())
        }
    }
}

fn read_named(
    state: &mut State,
    name: &mut Option<Box<[u8]>>,
    description: &mut Option<Box<[u8]>>,
    flags: &mut Flags,
    callback: &mut Option<Kept>,
) -> Result<(), &'static str> {
    const MEMORY: &str = "not enough memory";
    state.push_nil().map_err(|_| MEMORY)?;
    while state.next(1).map_err(|_| MEMORY)? {
        let key = match state.type_of(-2) {
            Type::String => state.bytes(-2).unwrap_or_default().to_ascii_lowercase(),
            // Numbers read as strings, but none is known.
            Type::Number => Vec::new(),
            _ => return Err("named argument key given to redis.register_function is not a string"),
        };
        match &key[..] {
            b"function_name" => {
                let text = state.text(-1).map(Box::from);
                *name = Some(text.ok_or("function_name argument given to redis.register_function must be a string")?);
            }
            b"description" => {
                let text = state.text(-1).map(Box::from);
                *description = Some(text.ok_or("description argument given to redis.register_function must be a string")?);
            }
            b"callback" => {
                if state.type_of(-1) != Type::Function {
                    return Err("callback argument given to redis.register_function must be a function");
                }
                *callback = Some(state.keep().map_err(|_| MEMORY)?);
                continue;
            }
            b"flags" => {
                if state.type_of(-1) != Type::Table {
                    return Err("flags argument to redis.register_function must be a table representing function flags");
                }
                read_flags(state, flags)?;
            }
            _ => return Err("unknown argument given to redis.register_function"),
        }
        state.pop(1);
    }
    Ok(())
}

fn read_flags(state: &mut State, flags: &mut Flags) -> Result<(), &'static str> {
    const UNKNOWN: &str = "unknown flag given";
    for n in 1.. {
        state.raw_get_item(-1, n).map_err(|_| UNKNOWN)?;
        let name = state.bytes(-1).map(<[u8]>::to_ascii_lowercase);
        let end = state.type_of(-1) == Type::Nil;
        state.pop(1);
        match name {
            _ if end => return Ok(()),
            Some(name) if flags.add(&name) => {}
            _ => return Err(UNKNOWN),
        }
    }
    Ok(())
}
