//! stub
use super::request::{Args, Span};
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits { pub max_args: usize, pub max_bulk: usize, pub max_inline: usize, pub authenticated: bool }
impl Limits { pub fn authenticated(max_bulk: usize)->Self{Limits{max_args:1<<20,max_bulk,max_inline:65536,authenticated:true}} pub fn unauthenticated()->Self{Limits{max_args:10,max_bulk:16384,max_inline:65536,authenticated:false}} }
#[derive(Default)] pub struct Decoder;
