//! Server-sent events: the data of each event of a stream of bytes.

use super::transport::Unreachable;
use bytes::Bytes;
use std::collections::VecDeque;

/// The most bytes of an event: a promise with the largest parameter and the largest value, and room to spare.
const LONGEST: usize = 8 << 20;
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Reads events out of bytes that come in parts of any length.
#[derive(Default)]
pub(super) struct Events {
    /// The beginning of a line.
    line: Vec<u8>,
    /// The data of the event so far, each line of it with a line break.
    data: Vec<u8>,
    /// Whether the last byte was a carriage return: a line feed after it belongs to it.
    returned: bool,
    /// Whether a line has ended, so that no byte-order mark may follow.
    begun: bool,
    ready: VecDeque<Bytes>,
}

impl Events {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// An event is too long.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), Unreachable> {
        // An empty part does not tell what the next byte is.
        let Some(first) = bytes.first() else { return Ok(()) };
        if std::mem::take(&mut self.returned) && *first == b'\n' {
            bytes = &bytes[1..];
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend(&bytes[..end])?;
            self.end_line();
            let returned = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            match bytes.first() {
                Some(b'\n') if returned => bytes = &bytes[1..],
                None => self.returned = returned,
                Some(_) => {}
            }
        }
        self.extend(bytes)
    }

    /// The data of the next event.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), Unreachable> {
        if self.line.len() + self.data.len() + bytes.len() > LONGEST {
            return Err(Unreachable::TooLong { limit: LONGEST });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = if self.begun { &*line } else { line.strip_prefix(MARK).unwrap_or(&line) };
        self.begun = true;
        if line.is_empty() {
            // An event without data is none.
            if self.data.pop().is_some() {
                self.ready.push_back(std::mem::take(&mut self.data).into());
            }
            return;
        }
        let name = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        // Comments have no name; the other fields mean nothing here.
        if &line[..name] == b"data" {
            let value = line.get(name + 1..).unwrap_or_default();
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            self.data.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(parts: &[&[u8]]) -> Vec<String> {
        let mut events = Events::default();
        parts.iter().for_each(|part| events.take(part).unwrap());
        std::iter::from_fn(|| events.next()).map(|event| String::from_utf8(event.to_vec()).unwrap()).collect()
    }

    #[test]
    fn the_data_of_events_is_read() {
        for (text, events) in [
            ("data: {\"a\":1}\n\n", vec!["{\"a\":1}"]),
            ("data:x\r\n\r\ndata: y\r\rdata:  z\n\n", vec!["x", "y", " z"]),
            ("\u{feff}data: x\n\n", vec!["x"]),
            (": a comment\nid: 7\nevent: e\ndata: a\ndata\ndata: b\nretry: 1\n\n:\n\n", vec!["a\n\nb"]),
            ("data: the end is missing\n", vec![]),
            ("event: none\n\ndatas: none\n\n data: none\n\n", vec![]),
        ] {
            assert_eq!(read(&[text.as_bytes()]), events, "{text:?}");
        }
    }

    #[test]
    fn a_line_break_may_come_in_parts() {
        assert_eq!(read(&[b"data: x\r", b"", b"\ndata: y\r", b"\r", b"\n"]), ["x\ny"]);
    }

    #[test]
    fn an_event_is_not_too_long() {
        let mut events = Events::default();
        let part = vec![b'x'; LONGEST / 2];
        events.take(b"data:").unwrap();
        events.take(&part).unwrap();
        events.take(b"\ndata:").unwrap();
        assert_eq!(events.take(&part), Err(Unreachable::TooLong { limit: LONGEST }));
    }

    proptest! {
        #[test]
        fn any_bytes_can_come(parts in proptest::collection::vec("[data: \r\n\u{feff}]{0,12}", 0..8), bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            let mut events = Events::default();
            for part in parts.iter().map(String::as_bytes).chain([&*bytes, b"\n\ndata: x\n\n"]) {
                events.take(part).unwrap();
            }
            let read: Vec<Bytes> = std::iter::from_fn(|| events.next()).collect();
            prop_assert_eq!(read.last().map(|event| &event[..]), Some(&b"x"[..]));
        }

        #[test]
        fn the_bounds_of_the_parts_do_not_matter(lines in proptest::collection::vec("(data: ?)?[a:é ]{0,4}(\n|\r|\r\n)", 0..8), cuts in proptest::collection::vec(0_usize..64, 0..8)) {
            let text = lines.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(read(&parts), read(&[&text]));
        }
    }
}
