//! Identity and secret of the cluster on every RPC: who may speak to whom at all.
//!
//! A client adds both to the metadata of each request, a server refuses a request without them or
//! with others; the refusal of a foreign cluster names both identities. Services that people call
//! too do with the secret alone. Epochs are not looked at here, that is for the receiver of each
//! request.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::types::ClusterId;

/// Metadata key of the cluster's identity.
pub const CLUSTER_ID_KEY: &str = "hawq-cluster-id";

/// Metadata key of the cluster's secret.
pub const SECRET_KEY: &str = "hawq-secret";

/// Longest secret that is read from a file.
const SECRET_BYTES_MAX: usize = 1024;

#[derive(Debug, thiserror::Error)]
pub enum RpcAuthError {
    #[error("read secret file {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "the cluster secret must be 1 to {SECRET_BYTES_MAX} visible ASCII characters{}",
        shown(.path)
    )]
    BadSecret { path: Option<PathBuf> },
}

fn shown(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!(" (file {})", path.display())).unwrap_or_default()
}

/// Cheap to clone. `Debug` shows no secret.
#[derive(Clone)]
pub struct RpcAuth {
    inner: Arc<Credentials>,
}

struct Credentials {
    cluster: ClusterId,
    cluster_value: MetadataValue<Ascii>,
    secret: MetadataValue<Ascii>,
}

impl fmt::Debug for RpcAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcAuth({})", self.inner.cluster)
    }
}

impl RpcAuth {
    pub fn new(cluster: ClusterId, secret: &str) -> Result<RpcAuth, RpcAuthError> {
        let visible = secret.bytes().all(|byte| byte.is_ascii_graphic());
        let bad = || RpcAuthError::BadSecret { path: None };
        if secret.is_empty() || secret.len() > SECRET_BYTES_MAX || !visible {
            return Err(bad());
        }
        let mut secret: MetadataValue<Ascii> = secret.parse().map_err(|_| bad())?;
        secret.set_sensitive(true);
        let cluster_value = cluster.to_string().parse().map_err(|_| bad())?;
        Ok(RpcAuth { inner: Arc::new(Credentials { cluster, cluster_value, secret }) })
    }

    /// The secret is the file's content without surrounding white space.
    pub fn from_file(cluster: ClusterId, path: &Path) -> Result<RpcAuth, RpcAuthError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RpcAuthError::Read { path: path.to_owned(), source })?;
        RpcAuth::new(cluster, text.trim())
            .map_err(|_| RpcAuthError::BadSecret { path: Some(path.to_owned()) })
    }

    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.inner.cluster
    }

    /// Adds identity and secret to a request that is about to be sent.
    pub fn sign(&self, metadata: &mut MetadataMap) {
        metadata.insert(CLUSTER_ID_KEY, self.inner.cluster_value.clone());
        metadata.insert(SECRET_KEY, self.inner.secret.clone());
    }

    /// For `XyzServer::with_interceptor`: identity and secret have to be there.
    #[must_use]
    pub fn server(&self) -> CheckRequests {
        CheckRequests { auth: self.clone(), id_may_be_absent: false }
    }

    /// For services that people call too (grpcurl): the secret alone will do, but an identity that
    /// is there has to be the right one.
    #[must_use]
    pub fn server_for_people(&self) -> CheckRequests {
        CheckRequests { auth: self.clone(), id_may_be_absent: true }
    }
}

/// As a client's interceptor it signs: `XyzClient::with_interceptor(channel, auth.clone())`.
impl Interceptor for RpcAuth {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        self.sign(request.metadata_mut());
        Ok(request)
    }
}

/// A server's interceptor.
#[derive(Debug, Clone)]
pub struct CheckRequests {
    auth: RpcAuth,
    id_may_be_absent: bool,
}

impl CheckRequests {
    fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        // First the identity: a process of another cluster has another secret too, and "wrong
        // secret" would send its operator the wrong way.
        let ours = &self.auth.inner;
        match metadata.get(CLUSTER_ID_KEY).map(|id| String::from_utf8_lossy(id.as_bytes())) {
            Some(theirs) if theirs.parse() == Ok(ours.cluster) => {}
            Some(theirs) => {
                let text = format!("cluster {theirs} is not this cluster, {}", ours.cluster);
                return Err(Status::permission_denied(text));
            }
            None if self.id_may_be_absent => {}
            None => return Err(Status::unauthenticated(format!("{CLUSTER_ID_KEY} is missing"))),
        }
        let secret = metadata.get(SECRET_KEY).map(MetadataValue::as_bytes).unwrap_or_default();
        if !equal_in_constant_time(secret, ours.secret.as_bytes()) {
            return Err(Status::unauthenticated(format!("{SECRET_KEY} is missing or wrong")));
        }
        Ok(())
    }
}

impl Interceptor for CheckRequests {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        self.check(request.metadata())?;
        Ok(request)
    }
}

/// Time depends on the lengths only.
fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    let difference = left.iter().zip(right).fold(0u8, |seen, (a, b)| seen | (a ^ b));
    left.len() == right.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(cluster: u128, secret: &str) -> RpcAuth {
        RpcAuth::new(ClusterId(cluster), secret).unwrap()
    }

    fn check(client: &RpcAuth, server: &RpcAuth) -> Result<(), Status> {
        let mut metadata = MetadataMap::new();
        client.sign(&mut metadata);
        server.server().check(&metadata)
    }

    #[test]
    fn the_same_cluster_and_secret_pass() {
        assert!(check(&auth(7, "s3cret"), &auth(7, "s3cret")).is_ok());
    }

    #[test]
    fn another_cluster_is_refused_with_both_names() {
        let status = check(&auth(7, "s"), &auth(8, "s")).unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        for cluster in [ClusterId(7), ClusterId(8)] {
            assert!(status.message().contains(&cluster.to_string()), "{}", status.message());
        }
    }

    #[test]
    fn a_wrong_or_missing_secret_is_refused_and_not_repeated() {
        for secret in ["wrong!", "s3cre", "s3cret!"] {
            let status = check(&auth(7, secret), &auth(7, "s3cret")).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated);
            assert!(!status.message().contains(secret));
        }
        let empty = auth(7, "s").server().check(&MetadataMap::new()).unwrap_err();
        assert_eq!(empty.code(), tonic::Code::Unauthenticated);
        assert!(!format!("{:?}", auth(7, "s3cret")).contains("s3cret"));
    }

    #[test]
    fn people_need_the_secret_alone() {
        let ours = auth(7, "s3cret").server_for_people();
        let nothing = ours.check(&MetadataMap::new()).unwrap_err();
        assert_eq!(nothing.code(), tonic::Code::Unauthenticated);
        let mut metadata = MetadataMap::new();
        metadata.insert(SECRET_KEY, "s3cret".parse().unwrap());
        assert!(ours.check(&metadata).is_ok());
        assert!(auth(7, "s3cret").server().check(&metadata).is_err());
        auth(8, "s3cret").sign(&mut metadata);
        assert_eq!(ours.check(&metadata).unwrap_err().code(), tonic::Code::PermissionDenied);
    }

    #[test]
    fn a_secret_file_is_trimmed_and_must_hold_one_word() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "abc\n").unwrap();
        let read = RpcAuth::from_file(ClusterId(7), &path).unwrap();
        assert!(check(&read, &auth(7, "abc")).is_ok());
        std::fs::write(&path, "a b").unwrap();
        let error = RpcAuth::from_file(ClusterId(7), &path).unwrap_err();
        assert!(error.to_string().contains("secret"), "{error}");
        assert!(RpcAuth::from_file(ClusterId(7), &directory.path().join("none")).is_err());
    }
}
