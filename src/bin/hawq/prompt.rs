//! HAWQ's yes-or-no question.

use std::io::{BufRead, Write};

/// Wrong answers in a row that are borne; HAWQ asks forever.
const ATTEMPTS_MAX: usize = 100;

/// Asks until the answer is one; an empty answer is no.
pub fn confirm(
    question: &str,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> anyhow::Result<bool> {
    for _ in 0..ATTEMPTS_MAX {
        write!(output, "\n{question} Yy|Nn (default=N):\n> ")?;
        output.flush()?;
        let mut answer = String::new();
        if input.read_line(&mut answer)? == 0 {
            anyhow::bail!("no answer on standard input; use -a to go on without being asked");
        }
        let answer = answer.trim();
        match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "" | "n" | "no" => return Ok(false),
            _ => write!(output, "Invalid input: '{answer}'\n\n")?,
        }
    }
    anyhow::bail!("no valid answer in {ATTEMPTS_MAX} attempts")
}

/// On the terminal; `-a` answers yes.
pub fn ask(question: &str, no_prompt: bool) -> anyhow::Result<bool> {
    if no_prompt {
        return Ok(true);
    }
    confirm(question, &mut std::io::stdin().lock(), &mut std::io::stdout())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(input: &str) -> (Result<bool, String>, String) {
        let mut output = Vec::new();
        let answer = confirm("Continue with HAWQ init", &mut input.as_bytes(), &mut output);
        (answer.map_err(|error| error.to_string()), String::from_utf8(output).unwrap())
    }

    #[test]
    fn the_question_is_hawqs() {
        let asked = "\nContinue with HAWQ init Yy|Nn (default=N):\n> ";
        assert_eq!(answered("y\n"), (Ok(true), asked.to_owned()));
        assert_eq!(answered("YES\n"), (Ok(true), asked.to_owned()));
        assert_eq!(answered("\n"), (Ok(false), asked.to_owned()));
        assert_eq!(answered("no\n"), (Ok(false), asked.to_owned()));
        assert_eq!(
            answered("x\nn\n"),
            (Ok(false), format!("{asked}Invalid input: 'x'\n\n{asked}"))
        );
    }

    #[test]
    fn the_end_of_input_is_a_clear_refusal() {
        let (answer, _) = answered("");
        assert_eq!(
            answer.unwrap_err(),
            "no answer on standard input; use -a to go on without being asked"
        );
        let (answer, _) = answered(&"x\n".repeat(200));
        assert_eq!(answer.unwrap_err(), "no valid answer in 100 attempts");
    }
}
