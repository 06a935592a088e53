//! Messages of the SFTP protocol, version 3 (draft-ietf-secsh-filexfer-02).

use std::io::{self, Read};

/// The version that is spoken.
pub(super) const VERSION: u32 = 3;

/// The longest message that is read, in bytes: what OpenSSH sends at most.
const MESSAGE_BYTES_MAX: u32 = 256 << 10;

/// Types of requests.
pub(super) mod request {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const EXTENDED: u8 = 200;
}

/// Flags of OPEN.
pub(super) mod open {
    pub(crate) const READ: u32 = 1;
    pub(crate) const WRITE: u32 = 2;
    pub(crate) const CREATE: u32 = 8;
}

/// Codes of a status.
pub(super) mod code {
    pub(crate) const OK: u32 = 0;
    pub(crate) const EOF: u32 = 1;
    pub(crate) const NO_SUCH_FILE: u32 = 2;
    pub(crate) const PERMISSION_DENIED: u32 = 3;
}

/// Which attributes are present.
const HAS_SIZE: u32 = 1;
const HAS_OWNER: u32 = 2;
const HAS_MODE: u32 = 4;
const HAS_TIMES: u32 = 8;
const HAS_EXTENDED: u32 = 0x8000_0000;

/// A request that is being written.
pub(super) struct Request(Vec<u8>);

impl Request {
    pub(super) fn new(kind: u8, id: u32) -> Request {
        Request(vec![0, 0, 0, 0, kind]).number(id)
    }

    pub(super) fn number(mut self, number: u32) -> Request {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn offset(mut self, offset: u64) -> Request {
        self.0.extend(offset.to_be_bytes());
        self
    }

    pub(super) fn text(self, bytes: &[u8]) -> Request {
        let mut request = self.number(bytes.len() as u32);
        request.0.extend(bytes);
        request
    }

    /// Attributes with nothing but a size, or with nothing.
    pub(super) fn attributes(self, size: Option<u64>) -> Request {
        match size {
            Some(size) => self.number(HAS_SIZE).offset(size),
            None => self.number(0),
        }
    }

    /// The message with its length.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) mode: Option<u32>,
}

impl Attributes {
    pub(super) fn is_directory(&self) -> bool {
        self.mode.is_some_and(|mode| mode & 0o170_000 == 0o040_000)
    }

    pub(super) fn is_file(&self) -> bool {
        self.mode.is_none_or(|mode| mode & 0o170_000 == 0o100_000)
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The names of the server's extensions.
    Version(Vec<String>),
    Status {
        code: u32,
        message: String,
    },
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<(Vec<u8>, Attributes)>),
    Attributes(Attributes),
}

/// Reads a message: its request's number, which is 0 for the version, and the answer. `None` at the end of the stream.
pub(super) fn read(stream: &mut impl Read) -> io::Result<Option<(u32, Answer)>> {
    let mut length = [0; 4];
    let mut filled = 0;
    while filled < 4 {
        match stream.read(&mut length[filled..])? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    let length = u32::from_be_bytes(length);
    if length == 0 || length > MESSAGE_BYTES_MAX {
        return Err(io::Error::other("the server does not speak SFTP: its login must not print anything"));
    }
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message)?;
    let parsed = parse(&message).ok_or_else(|| io::Error::other("the server sent a damaged message"));
    parsed.map(Some)
}

fn parse(message: &[u8]) -> Option<(u32, Answer)> {
    let (kind, rest) = message.split_first()?;
    let mut fields = Fields(rest);
    let id = fields.number()?;
    let answer = match kind {
        2 => {
            let mut names = Vec::new();
            while let Some(name) = fields.text() {
                names.push(String::from_utf8_lossy(name).into_owned());
                fields.text()?;
            }
            return Some((0, Answer::Version(names)));
        }
        101 => {
            let code = fields.number()?;
            let message =
                fields.text().map_or_else(String::new, |text| String::from_utf8_lossy(text).into_owned());
            Answer::Status { code, message }
        }
        102 => Answer::Handle(fields.text()?.to_vec()),
        103 => Answer::Data(fields.text()?.to_vec()),
        104 => {
            let count = fields.number()?;
            let mut names = Vec::new();
            for _ in 0..count {
                let name = fields.text()?.to_vec();
                fields.text()?;
                names.push((name, fields.attributes()?));
            }
            Answer::Names(names)
        }
        105 => Answer::Attributes(fields.attributes()?),
        _ => return None,
    };
    Some((id, answer))
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn attributes(&mut self) -> Option<Attributes> {
        let flags = self.number()?;
        let mut attributes = Attributes::default();
        if flags & HAS_SIZE != 0 {
            attributes.size = Some(u64::from_be_bytes(self.take(8)?.try_into().ok()?));
        }
        if flags & HAS_OWNER != 0 {
            self.take(8)?;
        }
        if flags & HAS_MODE != 0 {
            attributes.mode = Some(self.number()?);
        }
        if flags & HAS_TIMES != 0 {
            self.take(8)?;
        }
        if flags & HAS_EXTENDED != 0 {
            for _ in 0..self.number()? {
                self.text()?;
                self.text()?;
            }
        }
        Some(attributes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_read_with_the_number_of_its_request() {
        let status = Request::new(101, 7).number(code::NO_SUCH_FILE).text(b"gone").text(b"en").finish();
        let answer = Answer::Status { code: code::NO_SUCH_FILE, message: "gone".to_owned() };
        assert_eq!(read(&mut &status[..]).unwrap(), Some((7, answer)));
        let names = Request::new(104, 8).number(1).text(b"a\xff").text(b"long").attributes(Some(5)).finish();
        let attributes = Attributes { size: Some(5), mode: None };
        assert_eq!(
            read(&mut &names[..]).unwrap(),
            Some((8, Answer::Names(vec![(b"a\xff".to_vec(), attributes)])))
        );
        assert_eq!(read(&mut &b""[..]).unwrap(), None);
        assert!(read(&mut &b"Welcome to this host!"[..]).unwrap_err().to_string().contains("login"));
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_an_error_and_no_panic(kind in 0_u8..110, message in prop::collection::vec(any::<u8>(), 0..64)) {
            let framed = [&(message.len() as u32 + 1).to_be_bytes()[..], &[kind], &message].concat();
            let _ = read(&mut &framed[..]);
            let _ = read(&mut &message[..]);
        }
    }
}
