//! `ha_fencing_methods`: what a new primary tries, in order, before it opens (as HDFS's
//! `dfs.ha.fencing.methods`).

/// One way to make sure that an old primary does nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FencingMethod {
    /// Always succeeds: the protocol's own fences are enough.
    None,
    /// A command for `sh -c`; status 0 means that the old primary is fenced.
    Shell(String),
}

impl FencingMethod {
    /// A list separated by commas, semicolons or line ends; brackets hold a command together.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(super) fn parse_list(text: &str) -> Result<Vec<FencingMethod>, String> {
        let mut methods = Vec::new();
        let (mut depth, mut part) = (0_usize, String::new());
        for letter in text.chars().chain(['\n']) {
            match letter {
                '(' => depth += 1,
                ')' if depth == 0 => return Err("a \")\" closes nothing".to_owned()),
                ')' => depth -= 1,
                ',' | ';' | '\n' if depth == 0 => {
                    methods.extend(FencingMethod::parse(part.trim())?);
                    part.clear();
                    continue;
                }
                _ => {}
            }
            part.push(letter);
        }
        if depth > 0 {
            return Err("a \"(\" is not closed".to_owned());
        }
        Ok(methods)
    }

    fn parse(text: &str) -> Result<Option<FencingMethod>, String> {
        let shell = text.strip_prefix("shell(").and_then(|rest| rest.strip_suffix(')'));
        match (text, shell.map(str::trim)) {
            ("", _) => Ok(None),
            ("none", _) => Ok(Some(FencingMethod::None)),
            (_, Some(command)) if !command.is_empty() => {
                Ok(Some(FencingMethod::Shell(command.to_owned())))
            }
            _ => Err(format!(
                "\"{text}\" is not a fencing method; write shell(/path/to/script arguments) or none"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read_in_order() {
        let shell = |command: &str| FencingMethod::Shell(command.to_owned());
        let text =
            "shell(/sbin/ipmi -h $target_host; sleep 1)\n  shell(test -e /x || (exit 1)) , none;";
        let wanted = vec![
            shell("/sbin/ipmi -h $target_host; sleep 1"),
            shell("test -e /x || (exit 1)"),
            FencingMethod::None,
        ];
        assert_eq!(FencingMethod::parse_list(text), Ok(wanted));
        assert_eq!(FencingMethod::parse_list(" "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_method_is_refused_with_what_would_be() {
        for (text, part) in [
            ("sshfence", "\"sshfence\" is not a fencing method; write shell("),
            ("shell()", "is not a fencing method"),
            ("shell(true", "is not closed"),
            ("none)", "closes nothing"),
        ] {
            let refused = FencingMethod::parse_list(text).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
