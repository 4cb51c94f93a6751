//! Words of pg_hba.conf: comments, quotes, lists with commas, lines continued by a backslash.

/// One element of a comma list. What stands in quotes is never a keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub quoted: bool,
}

/// A field: the elements between two blanks.
pub type Field = Vec<Token>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Of its first line, from 1.
    pub number: usize,
    pub fields: Vec<Field>,
}

/// The lines that say something; `Err` is the number of a line with an open quote.
pub fn lines(text: &str) -> Result<Vec<Line>, usize> {
    let mut lines = Vec::new();
    let mut physical = text.lines().enumerate();
    while let Some((index, first)) = physical.next() {
        let mut logical = first.to_owned();
        while logical.ends_with('\\') {
            logical.pop();
            let Some((_, next)) = physical.next() else { break };
            logical.push_str(next);
        }
        let number = index + 1;
        let fields = fields(&logical).ok_or(number)?;
        if !fields.is_empty() {
            lines.push(Line { number, fields });
        }
    }
    Ok(lines)
}

/// `None` when a quote is not closed.
fn fields(line: &str) -> Option<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::new();
    let mut field: Field = Vec::new();
    let mut characters = line.chars().peekable();
    // After a comma the list goes on, even over blanks.
    let mut list_goes_on = false;
    while let Some(character) = characters.peek().copied() {
        match character {
            '#' => break,
            ',' => {
                characters.next();
                list_goes_on = true;
            }
            blank if blank.is_whitespace() => {
                characters.next();
                if !list_goes_on && !field.is_empty() && characters.peek() != Some(&',') {
                    fields.push(std::mem::take(&mut field));
                }
            }
            _ => {
                field.push(token(&mut characters)?);
                list_goes_on = false;
            }
        }
    }
    if !field.is_empty() {
        fields.push(field);
    }
    Some(fields)
}

fn token(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let mut token = Token { text: String::new(), quoted: false };
    let mut open = false;
    while let Some(character) = characters.peek().copied() {
        if character == '"' {
            characters.next();
            // A doubled quote inside quotes is one of the text.
            if open && characters.next_if_eq(&'"').is_some() {
                token.text.push('"');
                continue;
            }
            open = !open;
            token.quoted = true;
        } else if !open && (character.is_whitespace() || matches!(character, ',' | '#')) {
            break;
        } else {
            token.text.push(character);
            characters.next();
        }
    }
    (!open).then_some(token)
}
