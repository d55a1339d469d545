//! Messages: one byte for what is asked, then numbers of eight bytes and texts with their length before.

use std::io::{Error, ErrorKind, Read, Result};

/// Returns the time of the server, the version of a value (0: there is none) and the value.
pub(super) const GET: u8 = 1;
/// Replaces a value of this version, if it still has it. A time to live of 0 removes it.
pub(super) const SWAP: u8 = 2;
/// Removes all values whose key begins with a text.
pub(super) const REMOVE: u8 = 3;

/// The longest text that is read, so that a peer that speaks otherwise cannot use up the memory.
const MAX_LENGTH: u64 = 16 << 20;

pub(super) fn write_number(message: &mut Vec<u8>, number: u64) {
    message.extend(number.to_be_bytes());
}

pub(super) fn write_bytes(message: &mut Vec<u8>, bytes: &[u8]) {
    write_number(message, bytes.len() as u64);
    message.extend(bytes);
}

pub(super) fn read_byte(from: &mut impl Read) -> Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0])
}

pub(super) fn read_number(from: &mut impl Read) -> Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn read_bytes(from: &mut impl Read) -> Result<Vec<u8>> {
    let length = read_number(from)?;
    if length > MAX_LENGTH {
        return Err(Error::new(ErrorKind::InvalidData, "a text is too long"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}
