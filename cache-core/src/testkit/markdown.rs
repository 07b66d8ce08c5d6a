//! As much of Markdown as the tests of pages need.

/// The text outside of fences and spans of code.
pub fn prose(page: &str) -> String {
    let mut prose = String::new();
    let mut spans = String::new();
    split(page, &mut prose, &mut spans, &mut Vec::new());
    prose
}

/// Where links go, as they are written.
pub fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1);
    let targets = targets.map(|after| after.split(')').next().unwrap_or(after).to_owned());
    targets.collect()
}

/// The fences of code: their language, and what they hold.
pub fn fences(page: &str) -> Vec<(String, String)> {
    let mut fences = Vec::new();
    split(page, &mut String::new(), &mut String::new(), &mut fences);
    fences
}

/// The spans of code within the text, one a line.
pub fn spans(page: &str) -> String {
    let mut spans = String::new();
    split(page, &mut String::new(), &mut spans, &mut Vec::new());
    spans
}

/// The anchors that headings are given, as GitHub makes them.
pub fn anchors(page: &str) -> impl Iterator<Item = String> {
    let mut fenced = false;
    let headings = page.lines().filter(move |line| {
        fenced ^= line.trim_start().starts_with("```");
        !fenced && line.starts_with('#')
    });
    headings.map(|line| {
        let letters = line.trim_start_matches('#').trim().to_lowercase();
        let kept = letters.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        });
        kept.collect()
    })
}

fn split(page: &str, prose: &mut String, spans: &mut String, fences: &mut Vec<(String, String)>) {
    let mut fence: Option<(String, String)> = None;
    let mut in_span = false;
    for line in page.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            match fence.take() {
                Some(whole) => fences.push(whole),
                None => fence = Some((language.to_owned(), String::new())),
            }
            continue;
        }
        if let Some((_, held)) = &mut fence {
            held.push_str(line);
            held.push('\n');
            continue;
        }
        // An empty line ends a paragraph, and a span that nobody closed with it.
        in_span &= !line.trim().is_empty();
        for (index, part) in line.split('`').enumerate() {
            if index > 0 {
                in_span = !in_span;
                spans.push_str(if in_span { "" } else { "\n" });
            }
            let to = if in_span { &mut *spans } else { &mut *prose };
            to.push_str(part);
        }
        let to = if in_span { &mut *spans } else { &mut *prose };
        to.push(if in_span { ' ' } else { '\n' });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# One `two`, three\n\na `b\nc` [d](e.md)\n```sh\n# f `g`\n```\nh `i`\n";

    #[test]
    fn code_is_told_from_text() {
        assert_eq!(links(PAGE), ["e.md"]);
        assert_eq!(fences(PAGE), [("sh".to_owned(), "# f `g`\n".to_owned())]);
        assert_eq!(spans(PAGE), "two\nb c\ni\n");
        assert!(prose(PAGE).contains("h \n") && !prose(PAGE).contains("f "));
    }

    #[test]
    fn headings_have_the_anchors_of_github() {
        assert_eq!(anchors(PAGE).collect::<Vec<_>>(), ["one-two-three"]);
    }
}
