//! The one test binary, a module per area. `support` spawns servers, talks to them and makes commands up.

mod errors;
mod model;
mod support;
mod tidy;
