//! Who may call: every request between our processes carries the cluster's id and its secret.
//!
//! `Attach` puts both into a client's requests, `Check` refuses requests without them before any
//! service sees them. What they authorise is never decided here: whoever has the secret is one of
//! us.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::types::ClusterId;

const CLUSTER_KEY: &str = "hawq-cluster-id";
const SECRET_KEY: &str = "hawq-secret";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the cluster's secret is empty")]
    EmptySecret,
    #[error("the cluster's secret has characters other than visible ASCII")]
    UnprintableSecret,
}

/// The cluster's identity and the secret that `hawq init` made.
#[derive(Clone)]
pub struct Credentials {
    cluster: ClusterId,
    cluster_text: MetadataValue<Ascii>,
    secret: MetadataValue<Ascii>,
}

/// The secret never gets into a log.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Credentials {
    /// White space around the secret is not part of it: it comes from a file.
    pub fn new(cluster: ClusterId, secret: &str) -> Result<Credentials, Error> {
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(Error::EmptySecret);
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::UnprintableSecret);
        }
        let mut secret: MetadataValue<Ascii> =
            secret.parse().map_err(|_| Error::UnprintableSecret)?;
        secret.set_sensitive(true);
        let cluster_text = cluster.to_string().parse().map_err(|_| Error::UnprintableSecret)?;
        Ok(Credentials { cluster, cluster_text, secret })
    }

    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// For clients.
    #[must_use]
    pub fn attach(&self) -> Attach {
        Attach { credentials: self.clone() }
    }

    /// For services that only processes of this cluster call: id and secret have to be there.
    #[must_use]
    pub fn check(&self) -> Check {
        Check { credentials: self.clone(), id_may_be_absent: false }
    }

    /// For services that people call too (grpcurl): the secret alone will do, but an id that is
    /// there has to be the right one.
    #[must_use]
    pub fn check_secret(&self) -> Check {
        Check { credentials: self.clone(), id_may_be_absent: true }
    }
}

#[derive(Debug, Clone)]
pub struct Attach {
    credentials: Credentials,
}

impl Interceptor for Attach {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert(CLUSTER_KEY, self.credentials.cluster_text.clone());
        metadata.insert(SECRET_KEY, self.credentials.secret.clone());
        Ok(request)
    }
}

#[derive(Debug, Clone)]
pub struct Check {
    credentials: Credentials,
    id_may_be_absent: bool,
}

impl Interceptor for Check {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata();
        // First the id: a process of another cluster has another secret too, and "wrong secret"
        // would send its operator the wrong way.
        match metadata.get(CLUSTER_KEY) {
            Some(found) => self.check_cluster(found.as_bytes())?,
            None if self.id_may_be_absent => {}
            None => {
                return Err(Status::unauthenticated(format!("no {CLUSTER_KEY} in the request")));
            }
        }
        let Some(secret) = metadata.get(SECRET_KEY) else {
            return Err(Status::unauthenticated(format!("no {SECRET_KEY} in the request")));
        };
        if !is_equal(secret.as_bytes(), self.credentials.secret.as_bytes()) {
            return Err(Status::unauthenticated("wrong cluster secret"));
        }
        Ok(request)
    }
}

impl Check {
    fn check_cluster(&self, found: &[u8]) -> Result<(), Status> {
        let found = String::from_utf8_lossy(found);
        if found.parse() == Ok(self.credentials.cluster) {
            return Ok(());
        }
        let expected = self.credentials.cluster;
        let text = format!("request for cluster {found}, this node is of cluster {expected}");
        Err(Status::failed_precondition(text))
    }
}

/// Takes as long for a secret that is wrong in the first byte as in the last.
fn is_equal(found: &[u8], expected: &[u8]) -> bool {
    let mut difference = u8::from(found.len() != expected.len());
    for (index, byte) in expected.iter().enumerate() {
        difference |= byte ^ found.get(index).copied().unwrap_or(0);
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn credentials(cluster: u128, secret: &str) -> Credentials {
        Credentials::new(ClusterId(cluster), secret).unwrap()
    }

    fn ask(client: &Credentials, mut check: Check) -> Result<(), Status> {
        let request = client.attach().call(Request::new(())).unwrap();
        check.call(request).map(|_| ())
    }

    #[test]
    fn only_the_same_cluster_and_secret_are_let_in() {
        let ours = credentials(7, "s3cret\n");
        ask(&credentials(7, "s3cret"), ours.check()).unwrap();
        for wrong in ["s3creT", "s3cre", "s3cret0", "x"] {
            let refused = ask(&credentials(7, wrong), ours.check()).unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{wrong}");
            assert!(!refused.message().contains("s3cret"));
        }
        let foreign = ask(&credentials(8, "s3cret"), ours.check_secret()).unwrap_err();
        assert_eq!(foreign.code(), Code::FailedPrecondition);
        for id in [ClusterId(7), ClusterId(8)] {
            assert!(foreign.message().contains(&id.to_string()), "{foreign}");
        }
    }

    #[test]
    fn people_need_the_secret_alone() {
        let ours = credentials(7, "s3cret");
        let mut request = Request::new(());
        assert_eq!(ours.check().call(Request::new(())).unwrap_err().code(), Code::Unauthenticated);
        assert_eq!(
            ours.check_secret().call(Request::new(())).unwrap_err().code(),
            Code::Unauthenticated
        );
        request.metadata_mut().insert(SECRET_KEY, "s3cret".parse().unwrap());
        assert!(ours.check_secret().call(request).is_ok());
    }

    #[test]
    fn unusable_secrets_are_refused_and_none_is_printed() {
        assert_eq!(Credentials::new(ClusterId(1), " \n").unwrap_err(), Error::EmptySecret);
        assert_eq!(Credentials::new(ClusterId(1), "a b").unwrap_err(), Error::UnprintableSecret);
        assert_eq!(Credentials::new(ClusterId(1), "ä").unwrap_err(), Error::UnprintableSecret);
        assert!(!format!("{:?}", credentials(7, "s3cret").check()).contains("s3cret"));
    }
}
