//! Usage texts; their first lines are HAWQ's.

pub const COMMON: &str = "\
usage: hawq <command> [<object>] [options]
            [--version]
The most commonly used hawq \"commands\" are:
   start         Start hawq service of this host.
   stop          Stop hawq service of this host.
   init          Init hawq service.
   restart       Restart hawq service of this host.
   reload        Reload configuration without restarting hawq.
   activate      Activate hawq standby master as master.
   version       Show hawq version information.
   config        Set hawq GUC values.
   state         Show hawq cluster status.
   ha            High availability: status, switchover, automatic failover.
   demo          Run a cluster on this machine to try things with.

See 'hawq <command> help' for more information on a specific command.";

/// Commands that name an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Activate,
    Init,
    Start,
    Stop,
    Restart,
    Reload,
}

impl Command {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Command::Activate => "activate",
            Command::Init => "init",
            Command::Start => "start",
            Command::Stop => "stop",
            Command::Restart => "restart",
            Command::Reload => "reload",
        }
    }

    fn objects(self) -> &'static [Object] {
        match self {
            // HAWQ takes any object here and does the same thing with each.
            Command::Activate => &[Object::Standby],
            Command::Init => &[Object::Cluster, Object::Master, Object::Standby, Object::Segment],
            Command::Start | Command::Stop | Command::Restart | Command::Reload => &[
                Object::Cluster,
                Object::Master,
                Object::Standby,
                Object::Segment,
                Object::AllSegments,
            ],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    Cluster,
    Master,
    Standby,
    Segment,
    AllSegments,
}

impl Object {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Object::Cluster => "cluster",
            Object::Master => "master",
            Object::Standby => "standby",
            Object::Segment => "segment",
            Object::AllSegments => "allsegments",
        }
    }
}

/// The object among the positional words, or what to print instead.
pub fn object(command: Command, words: &[String]) -> Result<Object, String> {
    if words.len() > 1 {
        return Err("Only support two arguements.".to_owned());
    }
    let word = words.first().map(String::as_str).unwrap_or_default();
    let known = command.objects().iter().find(|object| object.name() == word);
    known.copied().ok_or_else(|| text(command))
}

fn text(command: Command) -> String {
    let name = command.name();
    let mut text = format!("usage: hawq {name} <object> [options]\n\nThe \"objects\" are:\n");
    for object in command.objects() {
        text.push_str("   ");
        text.push_str(object.name());
        text.push('\n');
    }
    text.push_str(&format!("\nSee 'hawq {name} --help' for the options."));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_object_shows_the_usage() {
        let words = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
        assert_eq!(object(Command::Start, &words("master")), Ok(Object::Master));
        let refused = object(Command::Init, &words("help")).unwrap_err();
        assert!(refused.starts_with("usage: hawq init <object> [options]\n"), "{refused}");
        assert!(object(Command::Init, &words("allsegments")).is_err());
        let refused = object(Command::Stop, &words("master now"));
        assert_eq!(refused, Err("Only support two arguements.".to_owned()));
    }
}
