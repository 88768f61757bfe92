//! What a function tells Lua instead of results.

use std::borrow::Cow;

/// Why a function ends without results. The error reaches the script when the function has returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LuaError {
    /// A message; Lua puts the place of the call before it (`user_script:1: …`), as `luaL_error` does.
    Text(Cow<'static, [u8]>),
    /// A message that is raised as it is.
    Bare(Cow<'static, [u8]>),
    /// Argument `at` is wrong: `bad argument #1 to 'name' (reason)`, where Lua finds out the name.
    Argument { at: usize, reason: Cow<'static, [u8]> },
    /// The error is the value on top of the stack.
    Value,
    /// Memory is used up.
    Memory,
    /// The stack is used up.
    StackOverflow,
}

impl LuaError {
    /// A message with the place of the call before it.
    pub fn text(text: impl Into<String>) -> Self {
        LuaError::Text(Cow::Owned(text.into().into_bytes()))
    }

    /// Argument `at` (from 1) is wrong.
    pub fn argument(at: usize, reason: impl Into<String>) -> Self {
        LuaError::Argument { at, reason: Cow::Owned(reason.into().into_bytes()) }
    }
}
