//! Checks that a PostgreSQL answers: connect, and the first reply to a startup message.
//!
//! Any well-formed reply of the protocol counts, an error too (a server that asks for a password,
//! or has no such database, is there), but not one that says that it cannot be used now (57P).
//! HAWQ tries five times with half a second in between, and waits up to a minute each time; here
//! the whole of it is bounded.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const TRIES_MAX: u32 = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// Bound of one try.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);
/// Bound of all tries; a master waits longer than this for the answer to its probe.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(4);
/// Longest reply that is read.
const REPLY_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    pub host: String,
    pub port: u16,
}

/// Why it is not reachable, or `None`.
pub(super) async fn check(address: &PostgresAddress) -> Option<String> {
    let PostgresAddress { host, port } = address;
    match timeout(TOTAL_TIMEOUT, check_repeatedly(address)).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{host}:{port}: {error}")),
        Err(_) => Some(format!("{host}:{port}: no answer within {TOTAL_TIMEOUT:?}")),
    }
}

async fn check_repeatedly(address: &PostgresAddress) -> io::Result<()> {
    let mut result = Ok(());
    for number in 1..=TRIES_MAX {
        result = match timeout(TRY_TIMEOUT, check_once(address)).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")),
        };
        if result.is_ok() {
            return result;
        }
        if number < TRIES_MAX {
            sleep(PAUSE).await;
        }
    }
    result
}

async fn check_once(address: &PostgresAddress) -> io::Result<()> {
    let mut stream = TcpStream::connect((address.host.as_str(), address.port)).await?;
    stream.write_all(&startup_message()).await?;
    let mut head = [0u8; 5];
    stream.read_exact(&mut head).await?;
    let [kind, length @ ..] = head;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if !matches!(kind, b'R' | b'E' | b'v') || !(4..=REPLY_BYTES_MAX).contains(&length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a PostgreSQL server"));
    }
    if kind != b'E' {
        return Ok(());
    }
    let mut body = vec![0u8; length - 4];
    stream.read_exact(&mut body).await?;
    match error_field(&body, b'C') {
        Some(code) if code.starts_with("57P") => {
            let message = error_field(&body, b'M').unwrap_or_default();
            Err(io::Error::other(format!("{code}: {message}")))
        }
        _ => Ok(()),
    }
}

/// HAWQ's check: database template1 as a utility session, which no client's settings disturb.
fn startup_message() -> Vec<u8> {
    const PROTOCOL_3_0: u32 = 196_608;
    let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
    for text in
        ["user", "gpadmin", "database", "template1", "options", "-c gp_session_role=utility"]
    {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.append(&mut body);
    message
}

fn error_field(body: &[u8], wanted: u8) -> Option<String> {
    body.split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&wanted))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers each connection with these bytes.
    async fn server(reply: &'static [u8]) -> PostgresAddress {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for _ in 0..TRIES_MAX {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let mut length = [0u8; 4];
                stream.read_exact(&mut length).await.unwrap();
                let mut body = vec![0u8; u32::from_be_bytes(length) as usize - 4];
                stream.read_exact(&mut body).await.unwrap();
                assert!(body.ends_with(b"gp_session_role=utility\0\0"));
                stream.write_all(reply).await.unwrap();
            }
        });
        PostgresAddress { host: "127.0.0.1".to_owned(), port }
    }

    #[tokio::test]
    async fn an_authentication_request_or_an_ordinary_error_is_a_sign_of_life() {
        for reply in [b"R\0\0\0\x08\0\0\0\0".as_slice(), b"E\0\0\0\x0cC28P01\0\0"] {
            let checked = check_repeatedly(&server(reply).await).await;
            assert!(checked.is_ok(), "{checked:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_shutting_down_or_none_at_all_is_not_alive() {
        let stopping = server(b"E\0\0\0\x11C57P03\0Mbye\0\0").await;
        assert_eq!(check_once(&stopping).await.unwrap_err().to_string(), "57P03: bye");
        assert!(check(&stopping).await.is_some(), "however often it is asked");
        let strange = server(b"HTTP/1.1 400 Bad Request\r\n").await;
        let failure = check_once(&strange).await.unwrap_err().to_string();
        assert!(failure.contains("not a PostgreSQL"), "{failure}");
    }

    #[tokio::test]
    async fn a_refused_connection_fails_within_the_bound() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let address = PostgresAddress { host: "127.0.0.1".to_owned(), port };
        let failure = timeout(TOTAL_TIMEOUT * 15, check(&address)).await.expect("bounded");
        assert!(failure.is_some());
    }
}
