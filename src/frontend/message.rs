//! Messages of the client, decoded with every length checked.
//!
//! pgwire encodes what we answer; its decoders trust the counts inside a message and panic on a
//! short one, so what a stranger sends is decoded here and a bad message is 08P01. Nothing is
//! decided here about what a message means.

use bytes::Bytes;

use super::Failure;

/// PostgreSQL's bound on anything sent before authentication.
pub const STARTUP_BYTES_MAX: usize = 10_000;
/// Bound on one message of a session. PostgreSQL allows 1 GB; a catalog needs far less.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;

const SSL_REQUEST: i32 = 80_877_103;
const GSSENC_REQUEST: i32 = 80_877_104;
const CANCEL_REQUEST: i32 = 80_877_102;

/// What may come first on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    Ssl,
    GssEnc,
    Cancel { pid: i32, secret: Bytes },
    Startup(Startup),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Startup {
    pub major: u16,
    pub minor: u16,
    /// In the client's order; later ones win.
    pub parameters: Vec<(String, String)>,
}

impl Startup {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub portal: String,
    pub statement: String,
    pub parameter_formats: Vec<i16>,
    /// `None` is NULL.
    pub parameters: Vec<Option<Bytes>>,
    pub result_formats: Vec<i16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage {
    Query {
        sql: String,
    },
    Parse {
        name: String,
        sql: String,
        parameter_types: Vec<u32>,
    },
    Bind(Bind),
    Describe {
        target: Target,
        name: String,
    },
    Execute {
        portal: String,
        rows_max: i32,
    },
    Close {
        target: Target,
        name: String,
    },
    Flush,
    Sync,
    Terminate,
    /// CopyData, CopyDone, CopyFail: ignored outside COPY FROM, as PostgreSQL does.
    Copy,
    FunctionCall,
}

/// The body of a first message (after its length word).
pub fn decode_opening(body: Bytes) -> Result<Opening, Failure> {
    let mut fields = Fields { rest: body };
    let code = fields.i32().map_err(|_| bad_startup())?;
    match code {
        SSL_REQUEST => Ok(Opening::Ssl),
        GSSENC_REQUEST => Ok(Opening::GssEnc),
        CANCEL_REQUEST => {
            let pid = fields.i32().map_err(|_| bad_startup())?;
            Ok(Opening::Cancel { pid, secret: fields.rest })
        }
        version => {
            let version = version.cast_unsigned();
            let (major, minor) = ((version >> 16) as u16, (version & 0xFFFF) as u16);
            let mut startup = Startup { major, minor, parameters: Vec::new() };
            if major == 3 {
                startup.parameters = startup_parameters(&mut fields)?;
            }
            Ok(Opening::Startup(startup))
        }
    }
}

fn startup_parameters(fields: &mut Fields) -> Result<Vec<(String, String)>, Failure> {
    let mut parameters = Vec::new();
    loop {
        let name = fields.text().map_err(|_| bad_startup())?;
        if name.is_empty() {
            break;
        }
        let value = fields.text().map_err(|_| bad_startup())?;
        parameters.push((name, value));
    }
    if fields.rest.is_empty() { Ok(parameters) } else { Err(bad_startup()) }
}

fn bad_startup() -> Failure {
    Failure::protocol("invalid startup packet layout: expected terminator as last byte")
        .into_fatal()
}

/// Whether a type byte is known; an unknown one means that the stream is lost.
#[must_use]
pub fn is_client_type(kind: u8) -> bool {
    matches!(
        kind,
        b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'd' | b'c' | b'f' | b'F'
    )
}

/// One message after the startup; `kind` has passed `is_client_type`.
pub fn decode(kind: u8, body: Bytes) -> Result<ClientMessage, Failure> {
    let mut fields = Fields { rest: body };
    let message = match kind {
        b'Q' => ClientMessage::Query { sql: fields.text()? },
        b'P' => ClientMessage::Parse {
            name: fields.text()?,
            sql: fields.text()?,
            parameter_types: fields.list(Fields::oid)?,
        },
        b'B' => ClientMessage::Bind(Bind {
            portal: fields.text()?,
            statement: fields.text()?,
            parameter_formats: fields.list(Fields::i16)?,
            parameters: fields.list(Fields::value)?,
            result_formats: fields.list(Fields::i16)?,
        }),
        b'D' => ClientMessage::Describe { target: fields.target()?, name: fields.text()? },
        b'E' => ClientMessage::Execute { portal: fields.text()?, rows_max: fields.i32()? },
        b'C' => ClientMessage::Close { target: fields.target()?, name: fields.text()? },
        b'H' => ClientMessage::Flush,
        b'S' => ClientMessage::Sync,
        b'X' => return Ok(ClientMessage::Terminate),
        b'F' => return Ok(ClientMessage::FunctionCall),
        _ => return Ok(ClientMessage::Copy),
    };
    if fields.rest.is_empty() { Ok(message) } else { Err(bad_format()) }
}

fn bad_format() -> Failure {
    Failure::protocol("invalid message format")
}

struct Fields {
    rest: Bytes,
}

impl Fields {
    fn take(&mut self, bytes: usize) -> Result<Bytes, Failure> {
        if bytes > self.rest.len() {
            return Err(Failure::protocol("insufficient data left in message"));
        }
        Ok(self.rest.split_to(bytes))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let bytes = self.take(N)?;
        <[u8; N]>::try_from(bytes.as_ref()).map_err(|_| bad_format())
    }

    fn i16(&mut self) -> Result<i16, Failure> {
        self.array().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> Result<i32, Failure> {
        self.array().map(i32::from_be_bytes)
    }

    fn oid(&mut self) -> Result<u32, Failure> {
        self.array().map(u32::from_be_bytes)
    }

    fn text(&mut self) -> Result<String, Failure> {
        let end = self.rest.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| Failure::protocol("invalid string in message"))?;
        let bytes = self.take(end)?;
        self.take(1)?;
        utf8(&bytes)
    }

    fn value(&mut self) -> Result<Option<Bytes>, Failure> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| bad_format())?;
        self.take(length).map(Some)
    }

    fn target(&mut self) -> Result<Target, Failure> {
        match self.array()? {
            [b'S'] => Ok(Target::Statement),
            [b'P'] => Ok(Target::Portal),
            [other] => {
                Err(Failure::protocol(format!("invalid DESCRIBE or CLOSE message subtype {other}")))
            }
        }
    }

    /// A counted list. The count is not trusted for room: every element is at least two bytes.
    fn list<T>(
        &mut self,
        element: impl Fn(&mut Fields) -> Result<T, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let count = usize::from(u16::from_be_bytes(self.array()?));
        let mut list = Vec::with_capacity(count.min(self.rest.len() / 2));
        for _ in 0..count {
            list.push(element(self)?);
        }
        Ok(list)
    }
}

/// Text of the client, which speaks UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<String, Failure> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => {
            let first = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
            let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{first:02x}");
            Err(Failure::error(super::SqlState::CharacterNotInRepertoire, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(parts: &[&[u8]]) -> Bytes {
        Bytes::from(parts.concat())
    }

    #[test]
    fn startup_and_the_three_requests() {
        let startup = decode_opening(body(&[
            &[0, 3, 0, 0],
            b"user\0gpadmin\0database\0postgres\0database\0template1\0\0",
        ]));
        let Ok(Opening::Startup(startup)) = startup else { panic!("{startup:?}") };
        assert_eq!((startup.major, startup.minor), (3, 0));
        assert_eq!(startup.get("database"), Some("template1"));
        assert_eq!(startup.get("options"), None);

        assert_eq!(decode_opening(body(&[&SSL_REQUEST.to_be_bytes()])), Ok(Opening::Ssl));
        assert_eq!(decode_opening(body(&[&GSSENC_REQUEST.to_be_bytes()])), Ok(Opening::GssEnc));
        let cancel = body(&[&CANCEL_REQUEST.to_be_bytes(), &7i32.to_be_bytes(), &[1, 2, 3, 4]]);
        let secret = Bytes::from_static(&[1, 2, 3, 4]);
        assert_eq!(decode_opening(cancel), Ok(Opening::Cancel { pid: 7, secret }));
    }

    #[test]
    fn a_startup_without_its_end_is_refused() {
        for bytes in [&b"user\0a\0"[..], b"user\0", b"user", b"", b"user\0a\0\0x"] {
            let refused = decode_opening(body(&[&[0, 3, 0, 0], bytes]));
            assert!(refused.is_err_and(|failure| failure.is_fatal()), "{bytes:?}");
        }
    }

    #[test]
    fn bind_with_null_and_binary() {
        let message = decode(
            b'B',
            body(&[
                b"\0s1\0",
                &[0, 1, 0, 1],
                &[0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2, 9, 8],
                &[0, 1, 0, 1],
            ]),
        );
        assert_eq!(
            message,
            Ok(ClientMessage::Bind(Bind {
                portal: String::new(),
                statement: "s1".to_owned(),
                parameter_formats: vec![1],
                parameters: vec![None, Some(Bytes::from_static(&[9, 8]))],
                result_formats: vec![1],
            }))
        );
    }

    /// Every prefix of a good message, and a good message with a byte more, is a clean refusal.
    #[test]
    fn cut_and_overlong_messages_are_refused() {
        let whole = [&b"p\0s\0"[..], &[0, 1, 0, 0], &[0, 1, 0, 0, 0, 1, b'x'], &[0, 0]].concat();
        assert!(decode(b'B', Bytes::from(whole.clone())).is_ok());
        for length in 0..whole.len() {
            let cut = Bytes::from(whole[..length].to_vec());
            let refused = decode(b'B', cut);
            assert!(refused.is_err_and(|failure| failure.state.code() == "08P01"), "{length}");
        }
        let longer = [&whole[..], &[0]].concat();
        assert!(decode(b'B', Bytes::from(longer)).is_err());
    }

    #[test]
    fn bad_utf8_names_the_byte() {
        let refused = decode(b'Q', body(&[b"select '\xFF'\0"])).unwrap_err();
        assert_eq!(refused.state.code(), "22021");
        assert!(refused.message.ends_with("0xff"), "{}", refused.message);
    }
}
