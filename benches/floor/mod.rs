//! The least work that gives the same answer, written by hand: what a path is measured against.

#![allow(dead_code, reason = "each bench measures against a part of it")]

pub mod session;
pub mod token;
