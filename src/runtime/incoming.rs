//! Connections that a gRPC server takes, set up so that an answer leaves at once.
//!
//! Without `TCP_NODELAY` the last frame of an answer waits until the one who asked has acknowledged
//! the frames before it, which his system puts off for 40 ms. The server's own `tcp_nodelay` does
//! not reach connections of a listener that it was given.

use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;

#[must_use]
pub fn incoming(listener: TcpListener) -> TcpIncoming {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;
    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn answers_do_not_wait_for_acknowledgements() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections = incoming(listener);
        let (_client, accepted) = tokio::join!(TcpStream::connect(address), connections.next());
        assert!(accepted.unwrap().unwrap().nodelay().unwrap());
    }
}
