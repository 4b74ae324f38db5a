//! The hidden graph of a portal: what robots do on a screen, and where that leads how often.

use rand::{Rng, RngExt};

use super::screen::{
    AUTHORIZATION, AUTHORIZATION_SENT, BENEFITS, CLAIM_DENIED, CLAIM_RESULT, CLAIM_SEARCH, ELIGIBILITY, FORM_ERROR,
    HOME, MAINTENANCE, MEMBER_SEARCH, NO_MATCH, SECOND_FACTOR, SESSION_EXPIRED, SEVERAL_MATCHES, SIGN_IN,
    SIGN_IN_ERROR, SIGNED_OUT, Screen,
};

/// What a robot came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    Eligibility,
    Claim,
    Authorization,
}

impl Errand {
    pub fn draw(rng: &mut impl Rng) -> Self {
        match rng.random_range(0..100) {
            0..55 => Self::Eligibility,
            55..85 => Self::Claim,
            _ => Self::Authorization,
        }
    }
}

/// A way from a screen to another.
pub struct Way {
    pub action: &'static str,
    to: &'static Screen,
    /// Against the other ways from there.
    weight: u32,
}

/// A screen, and the ways that lead from it.
struct Crossing {
    from: &'static Screen,
    /// On which errand alone.
    errand: Option<Errand>,
    ways: &'static [Way],
}

macro_rules! ways {
    ($($from:ident $(for $errand:ident)? { $($action:literal => $to:ident $weight:literal,)+ })+) => {
        static CROSSINGS: &[Crossing] = &[$(Crossing {
            from: &$from,
            errand: [$(Some(Errand::$errand),)? None][0],
            ways: &[$(Way { action: $action, to: &$to, weight: $weight }),+],
        }),+];
    };
}

ways! {
    SIGN_IN {
        "click Sign in" => HOME 520,
        "click Sign in" => SECOND_FACTOR 330,
        "click Sign in" => SIGN_IN_ERROR 110,
        "click Sign in" => MAINTENANCE 40,
    }
    SIGN_IN_ERROR { "click Try again" => HOME 500, "click Try again" => SECOND_FACTOR 300, "click Try again" => SIGN_IN_ERROR 200, }
    SECOND_FACTOR { "click Verify" => HOME 930, "click Verify" => SESSION_EXPIRED 40, "click Send a new code" => SECOND_FACTOR 30, }
    HOME for Eligibility { "click Eligibility and benefits" => MEMBER_SEARCH 960, "wait" => SESSION_EXPIRED 40, }
    HOME for Claim { "click Claim status" => CLAIM_SEARCH 960, "wait" => SESSION_EXPIRED 40, }
    HOME for Authorization { "click Authorizations" => AUTHORIZATION 970, "wait" => SESSION_EXPIRED 30, }
    MEMBER_SEARCH {
        "click Search" => ELIGIBILITY 680,
        "click Search" => NO_MATCH 140,
        "click Search" => SEVERAL_MATCHES 130,
        "click Search" => SESSION_EXPIRED 30,
        "click Clear" => MEMBER_SEARCH 20,
    }
    NO_MATCH { "click Search" => ELIGIBILITY 450, "click Search" => NO_MATCH 250, "click Sign out" => SIGNED_OUT 300, }
    SEVERAL_MATCHES { "select member" => ELIGIBILITY 880, "click Back to search" => MEMBER_SEARCH 120, }
    ELIGIBILITY {
        "click Benefit details" => BENEFITS 520,
        "click Sign out" => SIGNED_OUT 330,
        "click New search" => MEMBER_SEARCH 120,
        "wait" => SESSION_EXPIRED 30,
    }
    BENEFITS { "click Sign out" => SIGNED_OUT 640, "click Coverage summary" => ELIGIBILITY 280, "select tab" => BENEFITS 80, }
    CLAIM_SEARCH {
        "click Find claims" => CLAIM_RESULT 700,
        "click Find claims" => CLAIM_DENIED 220,
        "click Find claims" => SESSION_EXPIRED 40,
        "click Reset" => CLAIM_SEARCH 40,
    }
    CLAIM_RESULT { "click Sign out" => SIGNED_OUT 700, "click New claim search" => CLAIM_SEARCH 300, }
    CLAIM_DENIED { "click Sign out" => SIGNED_OUT 620, "click New claim search" => CLAIM_SEARCH 380, }
    AUTHORIZATION { "click Submit request" => AUTHORIZATION_SENT 750, "click Submit request" => FORM_ERROR 220, "wait" => SESSION_EXPIRED 30, }
    FORM_ERROR { "click Submit request" => AUTHORIZATION_SENT 820, "click Submit request" => FORM_ERROR 180, }
    AUTHORIZATION_SENT { "click Sign out" => SIGNED_OUT 800, "click New request" => AUTHORIZATION 200, }
    SESSION_EXPIRED { "click Sign in again" => SIGN_IN 1000, }
    MAINTENANCE { "click Retry" => MAINTENANCE 550, "click Retry" => SIGN_IN 450, }
}

/// The way that is taken from a screen, and where it leads; none where all is done. `quirk` says how much likelier the
/// way with this number is in a portal than elsewhere.
pub fn next(
    from: &Screen,
    errand: Errand,
    quirk: impl Fn(usize) -> u32,
    rng: &mut impl Rng,
) -> Option<(&'static Way, &'static Screen)> {
    let is_open = |(_, crossing): &(usize, &Crossing)| {
        crossing.from.name == from.name && crossing.errand.is_none_or(|only| only == errand)
    };
    let (number, crossing) = CROSSINGS.iter().enumerate().find(is_open)?;
    let weights: Vec<_> =
        crossing.ways.iter().enumerate().map(|(at, way)| way.weight * quirk(number * 10 + at)).collect();
    let mut left = rng.random_range(0..weights.iter().sum());
    for (way, weight) in crossing.ways.iter().zip(weights) {
        if left < weight {
            return Some((way, way.to));
        }
        left -= weight;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{super::screen::SCREENS, *};

    #[test]
    fn from_every_screen_but_the_last_a_way_leads_on_and_every_screen_is_reached() {
        let reached =
            |screen: &Screen| CROSSINGS.iter().flat_map(|crossing| crossing.ways).any(|way| way.to.name == screen.name);
        for screen in SCREENS.iter() {
            let is_last = screen.name == SIGNED_OUT.name;
            let leads_on = CROSSINGS.iter().any(|crossing| crossing.from.name == screen.name);
            assert!(leads_on != is_last, "a way leads from {}: {leads_on}", screen.name);
            assert!(reached(screen), "no way leads to {}", screen.name);
        }
    }
}
