//! What a demo cluster tells its user, and `env.sh`.

use std::path::Path;

use super::layout::{HOST, Layout};
use super::record::Record;

fn hosts_and_ports(record: &Record) -> (String, String) {
    let hosts: Vec<&str> = record.masters().map(|_| HOST).collect();
    let ports: Vec<String> = record.masters().map(|node| node.pg_port.to_string()).collect();
    (hosts.join(","), ports.join(","))
}

/// A word for the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

pub fn env_sh(layout: &Layout, record: &Record, programs: &Path) -> String {
    let (hosts, ports) = hosts_and_ports(record);
    let gphome = quoted(&layout.home("master1"));
    let data_dir = quoted(&layout.data_dir("master1"));
    format!(
        "# Source this file: hawq and psql then find the demo cluster.\n\
         unset HAWQSITE_CONF PGHOSTADDR PGSERVICE\n\
         export PATH={}:\"$PATH\"\n\
         export GPHOME={gphome}\n\
         export MASTER_DATA_DIRECTORY={data_dir}\n\
         export PGHOST={hosts}\n\
         export PGPORT={ports}\n\
         export PGUSER=gpadmin\n\
         export PGDATABASE=postgres\n\
         export PGTARGETSESSIONATTRS=primary\n",
        quoted(programs)
    )
}

/// Who takes over when the primary is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    ByItself,
    ByHand,
}

pub fn welcome(layout: &Layout, record: &Record, takeover: Takeover) -> String {
    let (hosts, ports) = hosts_and_ports(record);
    let addresses: Vec<String> =
        record.masters().map(|node| format!("{HOST}:{}", node.pg_port)).collect();
    let root = quoted(layout.root());
    let standbys = record.masters().count().saturating_sub(1);
    let segments = record.segments().count();
    let mut text = format!(
        "\nCluster {} is up: {standbys} standby(s) synchronized, {segments} segment(s) up.\n\n\
         psql:  psql \"host={hosts} port={ports} user=gpadmin dbname=postgres \
         target_session_attrs=primary\"\n\
         JDBC:  jdbc:postgresql://{}/postgres?user=gpadmin&targetServerType=primary\n",
        record.cluster_id,
        addresses.join(",")
    );
    text.push_str(&format!(
        "\nIn another terminal:\n  \
         source {}\n  \
         psql -c 'select * from gp_segment_configuration order by registration_order'\n  \
         hawq state\n",
        quoted(&layout.env_file())
    ));
    if standbys > 0 {
        let next = match takeover {
            Takeover::ByItself => "hawq state                   # the standby has taken over",
            Takeover::ByHand => {
                "hawq state                   # says why nobody serves\n  \
                 hawq activate standby -a     # the standby takes over"
            }
        };
        text.push_str(&format!(
            "Lose the primary, and nothing else:\n  \
             hawq demo kill primary --dir {root}    # kill -9, its supervisor first\n  \
             {next}\n  \
             psql -c 'select * from gp_segment_configuration order by registration_order'\n  \
             hawq demo restart master1 --dir {root}    # comes back as the standby\n"
        ));
    }
    text.push_str(&format!("Stop it with:  hawq demo stop --dir {root}\n"));
    text
}
