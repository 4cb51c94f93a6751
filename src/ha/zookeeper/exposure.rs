//! Whether others than `ha_zookeeper_acl` lets in may change what the cluster has in ZooKeeper: a
//! tree that was made before the setting keeps the ACL that it was made with.

use zookeeper_client::{Acl, Client, Error, Permission};

use super::paths::{Paths, letters};

/// With any of these the record could be changed or removed.
const HARMFUL: [Permission; 4] =
    [Permission::WRITE, Permission::CREATE, Permission::DELETE, Permission::ADMIN];

/// What is open to everybody although the settings say otherwise, and what to do; `None`: nothing,
/// or that could not be found out, which others tell of.
pub(super) async fn exposed(paths: &Paths, client: &Client) -> Option<String> {
    if paths.acl().iter().any(open_to_all) {
        return None;
    }
    for path in [paths.base().to_owned(), paths.state(), paths.nodes()] {
        let found = match client.get_acl(&path).await {
            Ok((found, _)) => found,
            Err(Error::NoNode) => continue,
            Err(_) => return None,
        };
        if let Some(open) = found.iter().find(|acl| open_to_all(acl)) {
            return Some(sentence(paths, &path, open));
        }
    }
    None
}

fn open_to_all(acl: &Acl) -> bool {
    let anyone = acl.scheme() == "world" && acl.id() == "anyone";
    anyone && HARMFUL.iter().any(|one| acl.permission().has(*one))
}

fn sentence(paths: &Paths, path: &str, open: &Acl) -> String {
    format!(
        "{path} in ZooKeeper was made with world:anyone:{}, so that anybody may change the cluster \
         state; ha_zookeeper_acl holds only for what is made from now on. Change what is there: \
         zkCli.sh -server HOST:PORT setAcl -R {} {}",
        letters(open.permission()),
        paths.base(),
        paths.acl_text()
    )
}

#[cfg(test)]
mod tests {
    use zookeeper_client::AuthId;

    use super::*;

    #[test]
    fn reading_by_everybody_is_no_exposure() {
        let open = |permission, who| open_to_all(&Acl::new(permission, who));
        assert!(!open(Permission::READ, AuthId::anyone()));
        assert!(!open(Permission::ALL, AuthId::new("digest", "bob:aGFzaA==")));
        for one in HARMFUL {
            assert!(open(Permission::READ | one, AuthId::anyone()));
        }
    }
}
