//! The metrics and labels that a text in Prometheus' language names.

/// A metric that is named, with what stands in braces behind it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) labels: Vec<Label>,
    /// All of it, as it is written.
    pub(super) text: String,
}

/// A label that is compared with something.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Label {
    pub(super) name: String,
    pub(super) operator: String,
    pub(super) value: String,
}

/// Finds all metrics of ours: their names begin alike.
pub(super) fn selectors(text: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, behind)) = next_word(rest) {
        rest = behind;
        if !name.starts_with("faregate_") && !name.starts_with("process_") {
            continue;
        }
        let (labels, behind) = match rest.strip_prefix('{') {
            Some(inside) => braces(inside),
            None => (Vec::new(), rest),
        };
        let braces = &rest[..rest.len() - behind.len()];
        let (name, text) = (name.to_owned(), format!("{name}{braces}"));
        found.push(Selector { name, labels, text });
        rest = behind;
    }
    found
}

/// Finds the labels that are grouped or joined by.
pub(super) fn grouping(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in ["by (", "on (", "without (", "ignoring ("] {
        for rest in text.split(word).skip(1) {
            let inside = rest.split(')').next().unwrap();
            found.extend(inside.split(',').map(|label| label.trim().to_owned()));
        }
    }
    found
}

/// Finds the first word, and gives it with what stands behind it. What is quoted is no word.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let start = text.find(is_part)?;
    let text = &text[start..];
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    Some(text.split_at(end))
}

/// Takes labels apart up to the closing brace; gives what stands behind it.
fn braces(inside: &str) -> (Vec<Label>, &str) {
    let mut labels = Vec::new();
    let mut rest = inside.trim_start_matches([',', ' ']);
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return (labels, behind);
        }
        let (before, behind) = rest.split_once('"').expect(inside);
        let name = before.trim_end_matches(['=', '~', '!']);
        let mut end = 0;
        while !behind[end..].starts_with('"') {
            end += if behind[end..].starts_with('\\') { 2 } else { 1 };
        }
        labels.push(Label {
            name: name.trim().to_owned(),
            operator: before[name.len()..].to_owned(),
            value: behind[..end].to_owned(),
        });
        rest = behind[end + 1..].trim_start_matches([',', ' ']);
    }
}

#[test]
fn names_and_labels_are_found() {
    let query = r#"sum by (job, le) (rate(faregate_a_total{code=~"a|\"}",x!="y"}[5m])) / process_b
        and on (job) up{job="faregate"} > 0"#;
    let found = selectors(query);
    let labels = |selector: &Selector| {
        let told = |label: &Label| format!("{} {} {}", label.name, label.operator, label.value);
        selector.labels.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].name, "faregate_a_total");
    assert_eq!(found[0].text, r#"faregate_a_total{code=~"a|\"}",x!="y"}"#);
    assert_eq!(labels(&found[0]), [r#"code =~ a|\"}"#, "x != y"]);
    assert_eq!((found[1].name.as_str(), found[1].labels.len()), ("process_b", 0));
    assert_eq!(grouping(query), ["job", "le", "job"]);
}
