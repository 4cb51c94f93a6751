//! What pg_hba.conf may say, what is refused, and who gets in.

use super::*;

fn parse(text: &str) -> Hba {
    let interface = |address: &str, mask: &str| Interface {
        address: address.parse().unwrap(),
        mask: mask.parse().unwrap(),
    };
    let interfaces =
        vec![interface("127.0.0.1", "255.0.0.0"), interface("10.1.2.3", "255.255.255.0")];
    Hba::parse(text, "pg_hba.conf", interfaces).unwrap()
}

fn refusal(text: &str) -> String {
    Hba::parse(text, "pg_hba.conf", Vec::new()).unwrap_err().to_string()
}

/// The method of the rule that fits, with its line.
fn find(hba: &Hba, from: &str, user: &str, database: &str) -> Option<(usize, Method)> {
    let origin = match from {
        "local" => Origin::Local,
        ip => Origin::Host(ip.parse().unwrap()),
    };
    hba.find(&Asking { origin, user, database }).map(|rule| (rule.line, rule.method))
}

/// The file that `hawq init` writes.
#[test]
fn hawqs_own_file() {
    let hba = parse(
        "# TYPE  DATABASE    USER        CIDR-ADDRESS          METHOD\n\
         local    all         gpadmin         ident\n\
         host     all         gpadmin         127.0.0.1/28    trust\n\
         host  all     gpadmin    10.0.0.11/32       trust\n\
         host  all     gpadmin    ::1/128       trust\n",
    );
    assert_eq!(find(&hba, "local", "gpadmin", "postgres"), Some((2, Method::Peer)));
    assert_eq!(find(&hba, "127.0.0.14", "gpadmin", "postgres"), Some((3, Method::Trust)));
    assert_eq!(find(&hba, "127.0.0.16", "gpadmin", "postgres"), None);
    assert_eq!(find(&hba, "10.0.0.11", "gpadmin", "x"), Some((4, Method::Trust)));
    assert_eq!(find(&hba, "::1", "gpadmin", "x"), Some((5, Method::Trust)));
    assert_eq!(find(&hba, "127.0.0.1", "other", "postgres"), None);
    // A client of an IPv4 address that came in on an IPv6 socket.
    assert_eq!(find(&hba, "::ffff:10.0.0.11", "gpadmin", "x"), Some((4, Method::Trust)));
}

#[test]
fn the_first_line_that_fits_decides() {
    let hba = parse(
        "host all bad 0.0.0.0/0 reject\n\
         host sameuser all 192.168.0.0 255.255.0.0 trust\n\
         host db1,\"all\" , db2 u1, u2 samenet trust # comment\n\
         host all all samehost trust\n\
         hostnossl app \"+x\" all trust\n\
         host replication all all trust\n",
    );
    assert_eq!(find(&hba, "192.168.9.9", "bad", "bad"), Some((1, Method::Reject)));
    assert_eq!(find(&hba, "192.168.9.9", "a", "a"), Some((2, Method::Trust)));
    assert_eq!(find(&hba, "192.168.9.9", "a", "b"), None);
    assert_eq!(find(&hba, "10.1.2.99", "u2", "db2"), Some((3, Method::Trust)));
    assert_eq!(find(&hba, "10.1.2.99", "u2", "all"), Some((3, Method::Trust)));
    assert_eq!(find(&hba, "10.1.2.99", "u2", "other"), None);
    assert_eq!(find(&hba, "10.1.2.3", "u3", "other"), Some((4, Method::Trust)));
    assert_eq!(find(&hba, "8.8.8.8", "+x", "app"), Some((5, Method::Trust)));
    assert_eq!(find(&hba, "8.8.8.8", "u", "replication"), None);
}

#[test]
fn encrypted_lines_are_accepted_with_a_warning_and_never_fit() {
    let hba = parse("hostssl all all all trust\nhostgssenc all all all trust\n");
    assert_eq!(find(&hba, "127.0.0.1", "a", "b"), None);
    assert_eq!(hba.warnings().len(), 2);
    assert!(hba.warnings()[0].starts_with("pg_hba.conf:1: hostssl record cannot match"));
}

#[test]
fn continued_lines_and_quotes() {
    let hba = parse("local \"my db\" \"say \"\"hi\"\"\" \\\n  trust\n\nlocal all all reject\n");
    assert_eq!(find(&hba, "local", "say \"hi\"", "my db"), Some((1, Method::Trust)));
    assert_eq!(hba.rules()[1].line, 4);
}

#[test]
fn an_empty_file_lets_nobody_in() {
    assert_eq!(find(&parse("# nothing\n\n"), "local", "a", "a"), None);
}

#[test]
fn what_cannot_be_honoured_is_refused_with_its_line() {
    let rows = [
        ("\nhost all all 0/0 md5", "pg_hba.conf:2: invalid IP address \"0/0\""),
        ("host all all 0.0.0.0/0 md5", "authentication method \"md5\" is not available"),
        ("local all all scram-sha-256", "\"scram-sha-256\" is not available"),
        ("host all all all ident", "available on local sockets only"),
        ("host all all all peer", "only supported on local sockets"),
        ("local all all magic", "invalid authentication method \"magic\""),
        ("local all all ident map=x", "option \"map=x\" is not available"),
        ("locale all all trust", "invalid connection type \"locale\""),
        ("host all all db.example.com trust", "host names are not available"),
        ("host all all 10.0.0.1/33 trust", "invalid CIDR mask"),
        ("host all all 10.0.0.1 trust", "invalid IP mask \"trust\""),
        ("host all all 10.0.0.1 ffff:: trust", "do not match"),
        ("host all all", "end-of-line before IP address"),
        ("local all all", "end-of-line before authentication method"),
        ("local all +dba trust", "roles have no members"),
        ("local samerole all trust", "roles have no members"),
        ("local @dbs all trust", "files of names"),
        ("local all,all all trust,reject", "multiple values"),
        ("local \"all all trust", "unterminated quoted string"),
    ];
    for (text, expected) in rows {
        let refused = refusal(text);
        assert!(refused.contains(expected), "{text}: {refused}");
    }
}
