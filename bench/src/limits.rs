//! What PostgreSQL and NATS can do when nothing of ours is in the way, and what a first attempt would do.

pub mod copy;
pub mod naive;
pub mod read;
pub mod rebuild;
