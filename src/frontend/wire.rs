//! One connection: whole messages in, encoded messages out.
//!
//! Writes are gathered and flushed when the protocol says so or when much has gathered, which is
//! also where a slow client holds its own session back. Reading and writing both end when the
//! session is told to end. Neither the meaning nor the order of messages is decided here.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use pgwire::messages::Message;
use pgwire::tokio::server::MaybeTls;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::sync::watch;

use super::message::{self, ClientMessage, MESSAGE_BYTES_MAX, Opening, STARTUP_BYTES_MAX};
use super::{Failure, SqlState};

/// Output gathered beyond this is written out.
const OUTPUT_BYTES: usize = 32 << 10;
/// A buffer that grew beyond this for one large message is given back.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// How often a running statement's client is looked for.
const GONE_CHECK: Duration = Duration::from_millis(250);

/// Why a session is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The client has gone, or said goodbye.
    Gone,
    /// Say this, then close.
    Say(Box<Failure>),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Say(Box::new(failure.into_fatal()))
    }
}

/// The order to end; holds the reason once it is given.
pub type Ending = watch::Receiver<Option<Failure>>;

pub struct Connection {
    stream: MaybeTls,
    input: BytesMut,
    pub output: BytesMut,
    ending: Ending,
    /// Keeps a connection that is not registered yet from looking ended.
    _unregistered: Option<watch::Sender<Option<Failure>>>,
}

impl Connection {
    #[must_use]
    pub fn new(stream: MaybeTls) -> Connection {
        let (sender, ending) = watch::channel(None);
        Connection {
            stream,
            input: BytesMut::with_capacity(4 << 10),
            output: BytesMut::with_capacity(4 << 10),
            ending,
            _unregistered: Some(sender),
        }
    }

    /// From now on the session's registration ends the connection.
    pub fn obey(&mut self, ending: Ending) {
        self.ending = ending;
        self._unregistered = None;
    }

    /// The next of the messages that come before a session.
    pub async fn opening(&mut self) -> Result<Opening, Stop> {
        self.fill(4).await?;
        let length = self.length_at(0);
        if !(8..=STARTUP_BYTES_MAX).contains(&length) {
            return Err(Failure::protocol("invalid length of startup packet").into());
        }
        self.fill(length).await?;
        let mut packet = self.input.split_to(length);
        packet.advance(4);
        Ok(message::decode_opening(packet.freeze())?)
    }

    /// The next message. The inner error is one that the session survives.
    pub async fn next(&mut self) -> Result<Result<ClientMessage, Failure>, Stop> {
        self.fill(5).await?;
        let kind = self.input.first().copied().unwrap_or_default();
        if !message::is_client_type(kind) {
            let message = format!("invalid frontend message type {kind}");
            return Err(Failure::protocol(message).into());
        }
        let length = self.length_at(1);
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(Failure::protocol("invalid message length").into());
        }
        self.fill(length + 1).await?;
        let mut frame = self.input.split_to(length + 1);
        frame.advance(5);
        if self.input.is_empty() && self.input.capacity() > KEPT_BYTES_MAX {
            self.input = BytesMut::new();
        }
        Ok(message::decode(kind, frame.freeze()))
    }

    /// Whether Sync has arrived as the next message.
    #[must_use]
    pub fn sync_is_next(&self) -> bool {
        self.input.first() == Some(&b'S')
    }

    fn length_at(&self, place: usize) -> usize {
        let word = self.input.get(place..place + 4).and_then(|word| word.try_into().ok());
        let length = word.map_or(0, i32::from_be_bytes);
        usize::try_from(length).unwrap_or(0)
    }

    /// Reads until `bytes` are there.
    async fn fill(&mut self, bytes: usize) -> Result<(), Stop> {
        while self.input.len() < bytes {
            self.input.reserve(bytes - self.input.len());
            let read = tokio::select! {
                biased;
                stop = ended(&mut self.ending) => return Err(stop),
                read = self.stream.read_buf(&mut self.input) => read,
            };
            if !matches!(read, Ok(1..)) {
                return Err(Stop::Gone);
            }
        }
        Ok(())
    }

    /// Waits until the client has closed its end. Nothing is read: what was sent stays for later.
    pub async fn gone(&self) {
        // Not looked for in the time that most statements take.
        loop {
            tokio::time::sleep(GONE_CHECK).await;
            let ready = match &self.stream {
                MaybeTls::Plain(socket) => socket.ready(Interest::READABLE).now_or_never(),
                MaybeTls::Unix(socket) => socket.ready(Interest::READABLE).now_or_never(),
                MaybeTls::Tls(socket) => {
                    socket.get_ref().0.ready(Interest::READABLE).now_or_never()
                }
                // A kind of stream that is not known here is not looked at.
                _ => None,
            };
            match ready {
                Some(Ok(ready)) if ready.is_read_closed() => return,
                Some(Err(_)) => return,
                _ => {}
            }
        }
    }

    /// Puts a message behind those that wait to be written.
    pub fn put(&mut self, message: &impl Message) -> Result<(), Stop> {
        put(&mut self.output, message)
    }

    /// A byte outside the message format: the answer to an encryption request.
    pub fn put_byte(&mut self, byte: u8) {
        self.output.extend_from_slice(&[byte]);
    }

    /// Writes out what has gathered if it is much.
    pub async fn flush_if_large(&mut self) -> Result<(), Stop> {
        if self.output.len() >= OUTPUT_BYTES { self.flush().await } else { Ok(()) }
    }

    pub async fn flush(&mut self) -> Result<(), Stop> {
        if self.output.is_empty() {
            return Ok(());
        }
        tokio::select! {
            biased;
            written = write_out(&mut self.stream, &mut self.output) => written?,
            stop = ended(&mut self.ending) => return Err(stop),
        }
        if self.output.capacity() > KEPT_BYTES_MAX {
            self.output = BytesMut::with_capacity(4 << 10);
        }
        Ok(())
    }

    /// The last words; what was already begun to be written goes first. The caller bounds it.
    pub async fn farewell(mut self, failure: &Failure) {
        let written = self.output.len();
        if put(&mut self.output, &failure.response()).is_err() {
            self.output.truncate(written);
        }
        if write_out(&mut self.stream, &mut self.output).await.is_ok() {
            // The client may have gone; nobody is left to be told.
            let _ = self.stream.shutdown().await;
        }
    }
}

/// Cancel-safe: `output` holds exactly what has not been written.
async fn write_out(stream: &mut MaybeTls, output: &mut BytesMut) -> Result<(), Stop> {
    while !output.is_empty() {
        match stream.write_buf(output).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Err(Stop::Gone),
        }
    }
    stream.flush().await.map_err(|_| Stop::Gone)
}

pub fn put(output: &mut BytesMut, message: &impl Message) -> Result<(), Stop> {
    let before = output.len();
    message.encode(output).map_err(|error| {
        output.truncate(before);
        Failure::error(SqlState::ProgramLimitExceeded, error.to_string()).into()
    })
}

/// Waits for the order to end. A sender that is gone is one too: nobody owns the session.
pub async fn ended(ending: &mut Ending) -> Stop {
    match ending.wait_for(Option::is_some).await {
        Ok(reason) => reason.clone().unwrap_or_else(Failure::terminated).into(),
        Err(_) => Failure::terminated().into(),
    }
}

/// The secret of a cancel request, of any length.
#[must_use]
pub fn secret_number(secret: &Bytes) -> Option<i32> {
    secret.as_ref().try_into().ok().map(i32::from_be_bytes)
}
