//! A free port of this machine.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use super::ServersError;

/// Below the range from which systems take the local ports of outgoing
/// connections: such a connection must not take the port of a server that a
/// test has stopped for a while.
const RANGE: Range<u16> = 20_000..32_000;
const ATTEMPTS_MAX: usize = 100;

pub(super) fn free() -> Result<u16, ServersError> {
    (0..ATTEMPTS_MAX)
        .map(|_| rand::random_range(RANGE))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or(ServersError::NoFreePort(RANGE))
}
