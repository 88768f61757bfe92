//! Every bug leaves a test here that tells its story in its first line.
