//! The text rendition of a screen: what is embedded of it, and so what leaves for an embedder and what makes two screens
//! alike. It holds the structure and the labels of the screen, and nothing of what was entered or shown on it.
//!
//! | of | stays | goes |
//! |---|---|---|
//! | `title`, headings, labels | words | words that hold a digit or an `@`: each becomes `#` |
//! | `url` | host, path, names of parameters | scheme, user, port, values of parameters, fragment; of host and path, what is not made of letters, `-`, `_` and `.`: `{}` |
//! | a control | role, if it is one that is known, label, and of its state what the page decides: `required`, `disabled`, `readonly`, `invalid`, `expanded`, `collapsed`, `hidden`, `busy` | value, whether it is checked, selected or pressed, every other member |
//! | a heading or control with `"dynamic": true` | that it is there, and its role | its text |
//! | a control whose role is one that shows data, `alert`, `cell`, `gridcell`, `listitem`, `log`, `option`, `row`, `rowheader`, `status`, `tooltip`, `treeitem`, or is none that is known | likewise, and its text if it has `"dynamic": false` | its text otherwise |
//! | `text` | all of it, treated as a title is, if `text_is_static` | all of it otherwise |
//! | protected values | | all |
//!
//! Names of people that a page shows in a title, a heading or a label, or has in its path, cannot be told from other words:
//! whoever sends the event marks such a part as dynamic, protects it, or leaves it out.
//!
//! To change anything here is to raise [`RULES`], and the version of the projection.

use events::payload::{
    MicroStateObserved,
    value::{Object, Text},
};
use serde_json::Value;

use crate::embedding::{ContentHash, Rendition};

/// The number of these rules. It is part of the content hash.
pub const RULES: u8 = 1;

const HEADINGS_MAX: usize = 100;
const CONTROLS_MAX: usize = 500;
const LABEL_CHARS_MAX: usize = 200;
const TEXT_CHARS_MAX: usize = 4_000;
const BYTES_MAX: usize = 8_192;

/// Roles of WAI-ARIA, and what pages call their fields beside them; every other one is just a `control`, of which nobody
/// knows what it shows.
#[rustfmt::skip]
const ROLES: &[&str] = &[
    "alert", "alertdialog", "button", "cell", "checkbox", "columnheader", "combobox", "date", "dialog", "file", "form", "grid",
    "gridcell", "iframe", "image", "img", "input", "link", "list", "listbox", "listitem", "log", "menu", "menubar", "menuitem", "navigation",
    "option", "password", "progressbar", "radio", "radiogroup", "region", "row", "rowheader", "search", "searchbox", "select", "slider",
    "spinbutton", "status", "submit", "switch", "tab", "table", "tablist", "tabpanel", "textarea", "textbox", "toolbar", "tooltip",
    "tree", "treeitem",
];

/// Those of them whose name is what they show, which may be about somebody. (WAI-ARIA 1.2, section 5.2.8.5: roles supporting
/// name from content, without those that people press; and live regions.)
const SHOWING: &[&str] =
    &["alert", "cell", "gridcell", "listitem", "log", "option", "row", "rowheader", "status", "tooltip", "treeitem"];

/// What the page decides, and not the person at it.
const STATES: &[&str] = &["required", "disabled", "readonly", "invalid", "expanded", "collapsed", "hidden", "busy"];

/// What is embedded of this observation.
pub fn rendition(observed: &MicroStateObserved) -> Rendition {
    let mut lines = Vec::new();
    lines.extend(plain(&observed.title).and_then(|title| line("title", &words(title, LABEL_CHARS_MAX))));
    lines.extend(plain(&observed.url).and_then(|url| line("page", &place(url))));
    if !observed.ui.is_protected() {
        lines.extend(elements(&observed.ui, "headings").iter().take(HEADINGS_MAX).map(heading));
        lines.extend(elements(&observed.ui, "controls").iter().take(CONTROLS_MAX).filter_map(control));
    }
    if observed.text_is_static == Some(true) {
        let text = observed.text.as_ref().and_then(plain);
        lines.extend(text.and_then(|text| line("text", &words(text, TEXT_CHARS_MAX))));
    }
    let text = bounded(lines.join("\n"));
    Rendition { hash: ContentHash::of(RULES, &text), text }
}

fn plain(text: &Text) -> Option<&str> {
    (!text.is_protected()).then(|| text.as_str())
}

fn line(name: &str, rest: &str) -> Option<String> {
    (!rest.is_empty()).then(|| format!("{name} {rest}"))
}

/// The words of a text that are about nobody; each of the others becomes `#`, several in a row one.
fn words(text: &str, chars_max: usize) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut chars = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let word = if word.contains(|c: char| c.is_numeric() || c == '@') { "#" } else { word };
        chars += word.chars().count() + 1;
        if chars > chars_max {
            break;
        }
        if !(word == "#" && words.last() == Some(&"#")) {
            words.push(word);
        }
    }
    words.join(" ")
}

/// Where the screen is, whoever looks at it: host, path and names of parameters.
fn place(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) =
        if rest.len() == url.len() { ("", rest) } else { rest.split_once('/').unwrap_or((rest, "")) };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_lowercase();
    let host: Vec<_> =
        host.split('.').map(|label| if label.is_empty() || is_name(label) { label } else { "{}" }).collect();
    let host = host.join(".");
    let segments = path.split('/').filter(|segment| !segment.is_empty()).map(segment);
    let mut place = format!("{host}/{}", segments.collect::<Vec<_>>().join("/"));
    let mut names: Vec<_> = query.split('&').filter_map(parameter).collect();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        place.push('?');
        place.push_str(&names.join("&"));
    }
    place.chars().take(LABEL_CHARS_MAX * 2).collect()
}

/// A part of a path, without the session that may hang on it.
fn segment(segment: &str) -> &str {
    let segment = segment.split(';').next().unwrap_or_default();
    if is_name(segment) { segment } else { "{}" }
}

/// The name of a parameter; what has no value may be one itself.
fn parameter(parameter: &str) -> Option<&str> {
    parameter.split_once('=').map(|(name, _)| name).filter(|name| is_name(name))
}

/// Whether a part of an address is chosen by whoever made the page: neither a number or an id nor anything encoded.
fn is_name(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphabetic() || "-_.".contains(c))
}

/// The members of a list of the screen's parts.
fn elements(ui: &Object, name: &str) -> Vec<Value> {
    ui.get(name).and_then(|list| serde_json::from_str(list.as_str()).ok()).unwrap_or_default()
}

/// Whether a part's text may be about somebody, as whoever sends it says, or as its role has it.
fn is_dynamic(element: &Value, shows: bool) -> bool {
    element.get("dynamic").filter(|dynamic| !dynamic.is_null()).map_or(shows, |dynamic| *dynamic != Value::Bool(false))
}

/// The text of a part of the screen that is not dynamic.
fn label(element: &Value, member: &str, shows: bool) -> String {
    let text = if is_dynamic(element, shows) { None } else { element.get(member).and_then(Value::as_str) };
    words(text.unwrap_or_default(), LABEL_CHARS_MAX)
}

fn heading(element: &Value) -> String {
    let text = element.as_str().map_or_else(|| label(element, "text", false), |text| words(text, LABEL_CHARS_MAX));
    format!("heading {text}").trim_end().to_owned()
}

fn control(element: &Value) -> Option<String> {
    if !element.is_object() {
        return None;
    }
    let role = element.get("role").and_then(Value::as_str).map(|role| role.trim().to_lowercase());
    let role = ROLES.iter().find(|known| role.as_deref() == Some(**known)).copied();
    let label = label(element, "label", role.is_none_or(|role| SHOWING.contains(&role)));
    let role = role.unwrap_or("control");
    let mut parts = vec![role, label.as_str()];
    parts.extend(states(element.get("state")));
    parts.retain(|part| !part.is_empty());
    Some(parts.join(" "))
}

/// The states that are listed above, in that order: sent as one text, as a list, or as an object of truths.
fn states(state: Option<&Value>) -> Vec<&'static str> {
    let is_so = |name: &str| match state {
        Some(Value::String(text)) => text.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == name),
        Some(Value::Array(list)) => list.iter().any(|one| one == name),
        Some(Value::Object(members)) => members.get(name) == Some(&Value::Bool(true)),
        _ => false,
    };
    STATES.iter().copied().filter(|name| is_so(name)).collect()
}

fn bounded(mut text: String) -> String {
    let mut end = text.len().min(BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rendered(json: &str) -> String {
        rendition(&serde_json::from_str(json).unwrap()).text
    }

    fn at(url: &str) -> String {
        rendered(&serde_json::json!({ "url": url, "title": "", "ui": {} }).to_string())
    }

    #[test]
    fn a_rendition_holds_structure_and_labels() {
        let example = include_str!("../../../events/schemas/examples/micro_state.observed.1.json");
        assert_eq!(
            rendered(example),
            "title Eligibility search\n\
             page portal.example/eligibility/search?member\n\
             heading Find a member\n\
             heading Recent searches\n\
             textbox Member ID required\n\
             combobox Service type\n\
             button Search disabled\n\
             link\n\
             text Enter a member ID or a name and a date of birth."
        );
    }

    #[test]
    fn nothing_that_was_entered_or_shown_is_in_a_rendition() {
        let text = rendered(
            r#"{"url":"https://jroe:Secret@portal.example:8443/member/Q7781/Jane%20Roe;jsessionid=AB12/claims?name=Roe&dob=1970-01-01&Roe#Roe",
                "title":"Member Q7781 (01/01/1970) jane@example.org", "text":"Jane Roe owes 12 dollars",
                "ui":{"headings":[{"text":"Jane Roe","dynamic":true},"Claim 2024-17"], "patient":"Jane Roe",
                      "controls":[{"role":"textbox","label":"Name","value":"Jane Roe","state":{"required":true,"value":"Jane","checked":true}},
                                  {"role":"checkbox","label":"Smoker","state":["checked","selected","pressed"]},
                                  {"role":"td","label":"Jane Roe","options":["Roe"]},
                                  {"role":"link","label":"Jane Roe","dynamic":"yes"},
                                  "Jane Roe"]}}"#,
        );
        for private in
            ["Jane", "Roe", "Secret", "7781", "1970", "2024", "AB12", "owes", "checked", "selected", "pressed"]
        {
            assert!(!text.contains(private), "{private} in\n{text}");
        }
        assert_eq!(
            text,
            "title Member #\npage portal.example/member/{}/{}/claims?dob&name\nheading\nheading Claim #\n\
             textbox Name required\ncheckbox Smoker\ncontrol\nlink"
        );
    }

    #[test]
    fn what_shows_data_is_named_only_if_it_is_said_to_be_the_same_for_all() {
        let named = |role: &str, dynamic: &str| {
            let ui = format!(r#"{{"controls":[{{"role":"{role}","label":"Jane Roe"{dynamic}}}]}}"#);
            rendered(&format!(r#"{{"url":"/a","title":"T","ui":{ui}}}"#)).replace("title T\npage /a\n", "")
        };
        for role in SHOWING {
            assert!(ROLES.contains(role), "{role}");
            assert_eq!(named(role, ""), *role);
            assert_eq!(named(role, r#","dynamic":null"#), *role);
            assert_eq!(named(&format!(" {} ", role.to_uppercase()), r#","dynamic":true"#), *role);
            assert_eq!(named(role, r#","dynamic":false"#), format!("{role} Jane Roe"));
        }
        assert_eq!(named("button", ""), "button Jane Roe");
        assert_eq!((named("paragraph", ""), named("", "")), ("control".to_owned(), "control".to_owned()));
        assert_eq!(named("paragraph", r#","dynamic":false"#), "control Jane Roe");
    }

    #[test]
    fn protected_values_are_not_rendered() {
        let protected = r#"{"$protected":{"v":1,"alg":"A256GCM","kid":"k","ct":"ciphertext"}}"#;
        let all = format!(
            r#"{{"url":{protected},"title":{protected},"ui":{protected},"text":{protected},"text_is_static":true}}"#
        );
        assert_eq!(rendered(&all), "");
        let within = format!(
            r#"{{"url":"/a","title":"T","ui":{{"headings":[{protected}],"controls":[{{"role":"link","label":{protected}}}]}}}}"#
        );
        assert_eq!(rendered(&within), "title T\npage /a\nheading\nlink");
    }

    #[test]
    fn the_same_screen_for_another_member_is_the_same_content() {
        let screen = |url: &str, value: &str| {
            rendered(&format!(
                r#"{{"url":"{url}","title":"Result","ui":{{"controls":[{{"role":"textbox","label":"ID","value":"{value}"}}]}}}}"#
            ))
        };
        assert_eq!(screen("https://p.example/result/1?m=1", "A"), screen("https://p.example/result/22?m=2#x", "B"));
    }

    #[test]
    fn addresses_of_any_kind_are_read() {
        for (url, page) in [
            ("https://P.example", "page p.example/"),
            ("https://jane1970.portal-2.p.example/a", "page {}.{}.p.example/a"),
            ("https://10.0.0.7:8443/a", "page {}.{}.{}.{}/a"),
            ("http://p.example/a//b/?x=1&x=2&a=", "page p.example/a/b?a&x"),
            ("/only/a/path", "page /only/a/path"),
            ("about:blank", "page /{}"),
            ("https://p.example/018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21", "page p.example/{}"),
            ("https://p.example/患者/x", "page p.example/{}/x"),
        ] {
            assert_eq!(at(url), page, "{url}");
        }
    }

    #[test]
    fn the_content_hash_is_of_the_rules_and_the_text() {
        let Rendition { hash, text } = rendition(&serde_json::from_str(r#"{"url":"/a","title":"T","ui":{}}"#).unwrap());
        assert_eq!(text, "title T\npage /a");
        assert_eq!(hash.to_string(), "41a9fae25902b00f7532255c235e7f1f7cc0a00e722463518ae346ae6338452e");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn a_rendition_is_bounded_and_has_no_digit_whatever_the_screen(
            host in "[^/]{0,40}", url in ".{0,200}", title in ".{0,300}", labels in prop::collection::vec(".{0,80}", 0..150),
        ) {
            let controls: Vec<_> = labels.iter().map(|label| serde_json::json!({ "role": label, "label": label })).collect();
            let screen = serde_json::json!({ "url": format!("https://{host}/{url}"), "title": title, "ui": { "controls": controls } });
            let text = rendered(&screen.to_string());
            prop_assert!(text.len() <= BYTES_MAX);
            prop_assert!(!text.contains(|c: char| c.is_numeric()), "{}", text);
        }
    }
}
