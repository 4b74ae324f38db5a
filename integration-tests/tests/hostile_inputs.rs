//! Bad input through a real NATS: what is refused stands in `ledger.dead_letter` byte for byte with
//! its code, what is odd and allowed stands in the ledger byte for byte, and the stream goes on.

mod attributes;
mod cases;
mod encodings;
mod identity;
mod odd_runs;
mod payloads;
mod raw_nats;
mod second_chances;
mod shown_inert;
mod sizes;
mod subjects;
mod times;
