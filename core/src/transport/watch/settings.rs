//! Reads one setting out of the SETTINGS frames that come in, wherever they are cut.

/// The largest header list that the peer takes (RFC 9113, section 6.5.2).
const MAX_HEADER_LIST_SIZE: u16 = 0x6;

/// The length of an entry: its name (2) and its value (4).
const ENTRY: usize = 6;

/// Takes the payloads of SETTINGS frames, piece by piece.
#[derive(Debug, Default)]
pub(super) struct SettingsReader {
    /// An entry that was cut off.
    partial: [u8; ENTRY],
    partial_len: u8,
}

impl SettingsReader {
    /// Takes a piece; `last` if it ends the frame. The largest header list, if the piece says it: of several, the last.
    pub(super) fn read(&mut self, bytes: &[u8], last: bool) -> Option<u32> {
        let mut found = None;
        for byte in bytes {
            self.partial[usize::from(self.partial_len)] = *byte;
            self.partial_len += 1;
            if usize::from(self.partial_len) == ENTRY {
                self.partial_len = 0;
                let [n0, n1, v0, v1, v2, v3] = self.partial;
                if u16::from_be_bytes([n0, n1]) == MAX_HEADER_LIST_SIZE {
                    found = Some(u32::from_be_bytes([v0, v1, v2, v3]));
                }
            }
        }
        if last {
            // A frame that ends inside an entry ends the connection, above.
            self.partial_len = 0;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(entries: &[(u16, u32)]) -> Vec<u8> {
        let bytes = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
        entries.iter().flat_map(bytes).collect()
    }

    #[test]
    fn the_last_entry_counts_wherever_the_frame_is_cut() {
        let payload = entries(&[(6, 1), (4, 65_535), (6, 0x0102_0304), (5, 6)]);
        for cut in 0..=payload.len() {
            let mut reader = SettingsReader::default();
            let first = reader.read(&payload[..cut], false);
            let rest = reader.read(&payload[cut..], true);
            assert_eq!(rest.or(first), Some(0x0102_0304), "cut at {cut}");
        }
    }

    #[test]
    fn other_settings_are_not_it() {
        assert_eq!(SettingsReader::default().read(&entries(&[(0x600, 6), (5, 6)]), true), None);
        assert_eq!(SettingsReader::default().read(&[], true), None);
    }

    #[test]
    fn a_cut_off_entry_does_not_reach_into_the_next_frame() {
        let mut reader = SettingsReader::default();
        assert_eq!(reader.read(&[0, 6, 0], true), None);
        assert_eq!(reader.read(&entries(&[(6, 7)]), true), Some(7));
    }
}
