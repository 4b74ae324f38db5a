//! Secrets where none may stand: an event about a portal or an endpoint names the secret that services use
//! there, and never holds it.
//!
//! What looks like a secret is found in any bytes, JSON or not, because a message that is refused for its JSON
//! would be kept as well. Better a good event refused than a password kept: what is found is reported by its
//! path and never quoted.

use std::borrow::Cow;

use base64::Engine;
use percent_encoding::percent_decode;

use super::{Message, binary, structured::BASE64};
use crate::{
    catalogue::family,
    refusal::{Code, Refusal},
};

/// The families of events that may hold none.
pub(super) const KEPT_OUT_OF: [&str; 2] = ["endpoint", "portal_type"];

/// Keys whose value is a secret end like this, letters and digits alone and without a plural's s.
const KEY_ENDINGS: [&str; 15] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "signingkey",
    "credential",
    "authorization",
    "cookie",
];
/// … or are this: as an ending it would be that of other words.
const KEYS: [&str; 3] = ["pass", "pin", "pw"];
/// Keys under which the value of an object stands that is named like a secret.
const IN_PLACE_OF_IT: [&str; 4] = ["value", "text", "plain", "plaintext"];
/// The one key whose value names a secret.
const REFERENCE: &str = "secret_ref";
/// What keys and tokens of well-known services begin with.
const TOKEN_PREFIXES: [&str; 18] = [
    "AKIA",
    "ASIA",
    "AIza",
    "SG.",
    "ghp_",
    "gho_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "hvs.",
    "rk_live_",
    "sk_live_",
    "sk_test_",
    "xoxa-",
    "xoxb-",
    "xoxp-",
];
const TOKEN_LENGTH_MIN: usize = 20;
/// Keys of a path are shown up to so many characters.
const PATH_KEY_LENGTH_MAX: usize = 64;

/// Whether a refused message seems to be of a family that may hold no secrets.
pub(super) fn is_kept_out_of(message: &Message<'_>) -> bool {
    let is_type = |text: &[u8]| KEPT_OUT_OF.contains(&family(&percent_decode(text).decode_utf8_lossy()));
    let in_subject = message.subject.split(|byte| *byte == b'.').any(is_type);
    let in_headers =
        message.headers.iter().any(|(name, value)| name.eq_ignore_ascii_case(b"ce-type") && is_type(value));
    in_subject || in_headers || {
        let payload = String::from_utf8_lossy(&message.payload);
        !binary::is_binary(message) && KEPT_OUT_OF.iter().any(|family| payload.contains(&format!("\"{family}.")))
    }
}

/// The refusal of a message that carries what looks like a secret.
pub(super) fn refusal(message: &Message<'_>) -> Option<Refusal> {
    let Found { path, what } = find(&message.payload)?;
    let in_data = binary::is_binary(message).then(|| "data".to_owned());
    let path = in_data.into_iter().chain(path).collect::<Vec<_>>().join(".");
    let reason = format!(
        "{path} {what}; keep the secret in a secrets manager and send its name as {REFERENCE}. The payload was not kept, \
         so publish the event again without it, and change the secret: the stream keeps the message for a while"
    );
    Some(Refusal::new(Code::SecretInPayload, reason))
}

/// Something that looks like a secret.
pub(super) struct Found {
    /// The keys that lead to it.
    path: Vec<String>,
    what: &'static str,
}

/// The first thing that looks like a secret. Reads whatever it can take for JSON, broken or not.
pub(super) fn find(bytes: &[u8]) -> Option<Found> {
    let text = String::from_utf8_lossy(bytes);
    // Of the objects that are open, the keys that they stand under; and the key that is next to get a value.
    let (mut path, mut key) = (Vec::<Key>::new(), Key::default());
    let mut rest = &*text;
    while let Some(next) = rest.chars().next() {
        let found = |path: &[Key], key: &str, what| Found {
            path: path.iter().map(|key| &*key.name).chain([key]).filter(|key| !key.is_empty()).map(shown).collect(),
            what,
        };
        match next {
            '"' => {
                let (string, after) = string(rest);
                rest = after;
                if let Some(value) = after.trim_start().strip_prefix(':') {
                    if let Some(what) = known_secret(&string) {
                        return Some(found(&path, "", what));
                    }
                    (key, rest) = (Key::of(string.into_owned(), path.last()), value);
                } else if key.name == "data_base64" {
                    let inner = find(&BASE64.decode(string.as_bytes()).unwrap_or_default());
                    if let Some(Found { path: inner, what }) = inner {
                        return Some(Found {
                            path: found(&path, &key.name, what).path.into_iter().chain(inner).collect(),
                            what,
                        });
                    }
                } else if let Some(what) = key.secret_in(&string) {
                    return Some(found(&path, &key.name, what));
                }
                continue;
            }
            '{' => path.push(std::mem::take(&mut key)),
            '}' => key = path.pop().unwrap_or_default(),
            '-' | '0'..='9' if key.is_secret => return Some(found(&path, &key.name, NAMED_LIKE_ONE)),
            _ => {}
        }
        rest = &rest[next.len_utf8()..];
    }
    None
}

/// The JSON string at the start of the text, or what there is of it, and what follows.
fn string(text: &str) -> (Cow<'_, str>, &str) {
    let mut is_escaped = false;
    let end = text[1..].find(|character| {
        let is_end = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end
    });
    let Some(end) = end else { return (text[1..].into(), "") };
    let (literal, after) = text.split_at(end + 2);
    let plain = literal[1..=end].into();
    (serde_json::from_str(literal).map_or(plain, Cow::Owned), after)
}

fn shown(key: &str) -> String {
    key.chars().take(PATH_KEY_LENGTH_MAX).collect()
}

const NAMED_LIKE_ONE: &str = "is named like a secret and has a value";

/// A key, and whether what has it is a secret.
#[derive(Default)]
struct Key {
    name: String,
    is_secret: bool,
}

impl Key {
    /// `parent` is the key of the object that it stands in.
    fn of(name: String, parent: Option<&Self>) -> Self {
        let is_the_parents = IN_PLACE_OF_IT.contains(&&*name) && parent.is_some_and(|parent| parent.is_secret);
        Self { is_secret: is_the_parents || is_secret_key(&name), name }
    }

    /// What makes the value look like a secret.
    fn secret_in(&self, value: &str) -> Option<&'static str> {
        if self.is_secret && !value.is_empty() {
            return Some(NAMED_LIKE_ONE);
        }
        if self.name == REFERENCE && !is_name(value) {
            return Some("looks like a secret and not like the name of one");
        }
        known_secret(value)
    }
}

fn is_secret_key(key: &str) -> bool {
    let letters = key.chars().filter(|character| character.is_alphanumeric());
    let plain: String = letters.flat_map(char::to_lowercase).collect();
    KEYS.contains(&&*plain)
        || KEY_ENDINGS.iter().any(|ending| plain.strip_suffix('s').unwrap_or(&plain).ends_with(ending))
}

/// Whether a text may name a secret: made of words, none of which looks drawn at random.
fn is_name(text: &str) -> bool {
    let is_separator = |character: char| matches!(character, '/' | ':' | '.' | '@' | '#' | '-' | '_');
    text.split(is_separator).all(|word| word.chars().all(|character| character.is_alphanumeric()) && !is_random(word))
}

fn is_random(word: &str) -> bool {
    let has = |is: fn(&char) -> bool| word.chars().any(|character| is(&character));
    let is_mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    word.len() >= 20 && is_mixed || word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What makes a text a secret whatever it is called.
fn known_secret(text: &str) -> Option<&'static str> {
    let lower = text.trim_start().to_ascii_lowercase();
    let scheme = ["bearer ", "basic "].into_iter().find_map(|scheme| lower.strip_prefix(scheme));
    let is_token = |token: &str| {
        let is_web_token = token.starts_with("eyJ") && token.split('.').count() >= 3;
        token.len() >= TOKEN_LENGTH_MIN
            && (is_web_token || TOKEN_PREFIXES.iter().any(|prefix| token.starts_with(prefix)))
    };
    let is_of_token = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.');
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY") {
        Some("looks like a private key")
    } else if scheme.is_some_and(|credentials| credentials.len() >= 8 && !credentials.contains(' ')) {
        Some("looks like an authorization header")
    } else if text.split(|character| !is_of_token(character)).any(is_token) {
        Some("looks like a key or token of a well-known service")
    } else if url_with_secret(text) {
        Some("looks like a URL with a secret in it")
    } else {
        None
    }
}

/// Whether a URL has a password, or a parameter that is named like a secret.
fn url_with_secret(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let (authority, _) = rest.split_once(['/', '?', '#']).unwrap_or((rest, ""));
    let has_password = authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    let mut parameters = rest.split(['?', '&', '#', ';']).skip(1).filter_map(|parameter| parameter.split_once('='));
    has_password || parameters.any(|(name, value)| is_secret_key(name) && !value.is_empty())
}

#[cfg(test)]
mod tests;
