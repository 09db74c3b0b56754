//! Wildcards over the labels of a host and the segments of a path.

/// The meaning of one part of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `**`: any number of parts, including none.
    Any,
    /// `*`: one non-empty part.
    One,
    /// One part with this text.
    Exact(String),
    /// One part with these texts in this order, and anything in between: `report-*.json`.
    Glob(Vec<String>),
}

impl Part {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One => !text.is_empty(),
            Self::Exact(exact) => exact == text,
            Self::Glob(pieces) => glob(pieces, text),
        }
    }

    /// Whether this part matches everything that `other` matches; neither is `**`.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One, Self::One | Self::Glob(_)) => true,
            (_, Self::Exact(text)) => self.matches(text),
            (Self::Glob(ours), Self::Glob(theirs)) => {
                let (ours, theirs) = (tokens(ours), tokens(theirs));
                covered(&ours, &theirs, &|token| token.is_none(), &|ours, theirs| ours == theirs)
            }
            _ => false,
        }
    }

    /// Whether both may match the same text; `true` if that is not certain.
    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(text), part) | (part, Self::Exact(text)) => part.matches(text),
            (Self::Glob(ours), Self::Glob(theirs)) => match (&ours[..], &theirs[..]) {
                ([a, .., c], [b, .., d]) => {
                    (a.starts_with(b.as_str()) || b.starts_with(a.as_str()))
                        && (c.ends_with(d.as_str()) || d.ends_with(c.as_str()))
                }
                _ => true,
            },
            _ => true,
        }
    }

    /// The text of a part without wildcards.
    pub(super) fn exact(&self) -> Option<&str> {
        if let Self::Exact(text) = self { Some(text) } else { None }
    }

    fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

/// Whether the text begins with the first piece, ends with the last, and has the others in between, in order.
fn glob(pieces: &[String], text: &str) -> bool {
    let [first, between @ .., last] = pieces else { return false };
    let Some(mut rest) = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str())) else {
        return false;
    };
    between.iter().all(|piece| match rest.find(piece.as_str()) {
        Some(place) => {
            rest = &rest[place + piece.len()..];
            true
        }
        None => false,
    })
}

/// The characters of the pieces, with `None` for each wildcard between them.
fn tokens(pieces: &[String]) -> Vec<Option<char>> {
    let mut tokens = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        tokens.extend((index > 0).then_some(None));
        tokens.extend(piece.chars().map(Some));
    }
    tokens
}

/// Whether the parts match the text, cut at `separator`; in time at most proportional to the product of their lengths.
pub(super) fn matches(parts: &[Part], text: &str, separator: char) -> bool {
    let cut = |text: &'_ str| -> (usize, Option<usize>) {
        text.find(separator).map_or((text.len(), None), |end| (end, Some(end + separator.len_utf8())))
    };
    let (mut left, mut rest) = (parts, Some(text));
    // The next attempt after the last `**`.
    let mut again: Option<(&[Part], &str)> = None;
    loop {
        if let [Part::Any, tail @ ..] = left {
            if tail.is_empty() {
                return true;
            }
            left = tail;
            again = rest.map(|rest| (tail, rest));
            continue;
        }
        let step = match (left, rest) {
            ([], None) => return true,
            ([part, tail @ ..], Some(text)) => {
                let (end, next) = cut(text);
                part.matches(&text[..end]).then_some((tail, next.map(|next| &text[next..])))
            }
            _ => None,
        };
        if let Some(step) = step {
            (left, rest) = step;
            continue;
        }
        let Some((tail, text)) = again else { return false };
        let Some(next) = cut(text).1 else { return false };
        (left, rest) = (tail, Some(&text[next..]));
        again = Some((tail, &text[next..]));
    }
}

/// Whether `ours` matches everything that `theirs` matches; `false` if that is not certain.
pub(super) fn covers(ours: &[Part], theirs: &[Part]) -> bool {
    covered(ours, theirs, &Part::is_any, &Part::covers)
}

/// Whether something may match both; `true` if that is not certain.
pub(super) fn overlap(ours: &[Part], theirs: &[Part]) -> bool {
    table(ours.len(), theirs.len(), |i, j, known| match (ours.get(i), theirs.get(j)) {
        (None, None) => true,
        (Some(part), _) if part.is_any() => known(i + 1, j) || (j < theirs.len() && known(i, j + 1)),
        (_, Some(part)) if part.is_any() => known(i, j + 1) || (i < ours.len() && known(i + 1, j)),
        (Some(a), Some(b)) => a.overlaps(b) && known(i + 1, j + 1),
        _ => false,
    })
}

/// Language inclusion of two sequences, by rules for each pair: a wildcard absorbs nothing, or one more part of `theirs`,
/// whatever it is; another part absorbs one part that it covers.
fn covered<T>(ours: &[T], theirs: &[T], any: &dyn Fn(&T) -> bool, one: &dyn Fn(&T, &T) -> bool) -> bool {
    table(ours.len(), theirs.len(), |i, j, known| match (ours.get(i), theirs.get(j)) {
        (None, None) => true,
        (Some(part), theirs) if any(part) => known(i + 1, j) || (theirs.is_some() && known(i, j + 1)),
        (Some(ours), Some(theirs)) => !any(theirs) && one(ours, theirs) && known(i + 1, j + 1),
        _ => false,
    })
}

/// Fills a table of answers from its end; returns the first one. `answer` may use later answers.
fn table(rows: usize, columns: usize, answer: impl Fn(usize, usize, &dyn Fn(usize, usize) -> bool) -> bool) -> bool {
    let width = columns + 1;
    let mut known = vec![false; (rows + 1) * width];
    for i in (0..=rows).rev() {
        for j in (0..=columns).rev() {
            known[i * width + j] = answer(i, j, &|i, j| known[i * width + j]);
        }
    }
    known[0]
}
