//! The wire: requests in, replies out.
