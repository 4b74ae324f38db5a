//! Headers as the NATS protocol carries them, for messages that are fetched raw because the client
//! library cannot deliver them.

/// The names and values of a header block (`NATS/1.0\r\nname: value\r\n…\r\n\r\n`), without the
/// white space around values. A line without a colon is a name without a value.
pub fn header_block(block: &[u8]) -> Vec<(&[u8], &[u8])> {
    block
        .split(|byte| *byte == b'\n')
        .skip(1)
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .map(|line| match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], line[colon + 1..].trim_ascii()),
            None => (line, &[][..]),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_block_is_taken_apart_whatever_its_bytes() {
        let block = b"NATS/1.0\r\nce-id: 1\r\nce-a:\xFF b \r\nodd\r\nu:r:n\r\n\r\n";
        let headers: Vec<(&[u8], &[u8])> = vec![(b"ce-id", b"1"), (b"ce-a", b"\xFF b"), (b"odd", b""), (b"u", b"r:n")];
        assert_eq!(header_block(block), headers);
        assert_eq!(header_block(b""), []);
    }
}
