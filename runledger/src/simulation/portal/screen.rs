//! The screens of payers' portals: what is on them, and how portals and their releases word it.

/// A kind of screen. Portals have the same ones under other words.
#[derive(Debug)]
pub struct Screen {
    /// What people who label screens call it.
    pub name: &'static str,
    pub path: &'static str,
    pub title: &'static str,
    pub headings: &'static [&'static str],
    /// Roles and labels.
    pub controls: &'static [(&'static str, &'static str)],
    /// What is different for everybody who is looked up: roles of parts whose text is about a person.
    pub shown: &'static [&'static str],
    /// Text that is the same for everybody.
    pub text: Option<&'static str>,
}

macro_rules! screens {
    ($($constant:ident = $name:literal $path:literal $title:literal [$($heading:literal)*] [$($role:literal $label:literal)*]
       [$($shown:literal)*] $($text:literal)?;)+) => {
        $(pub static $constant: Screen = Screen {
            name: $name,
            path: $path,
            title: $title,
            headings: &[$($heading),*],
            controls: &[$(($role, $label)),*],
            shown: &[$($shown),*],
            text: [$(Some($text),)? None][0],
        };)+
        #[cfg(test)]
        pub const SCREENS: &[&Screen] = &[$(&$constant),+];
    };
}

screens! {
    SIGN_IN = "sign_in" "login" "Sign in" ["Provider sign in"]
        ["textbox" "User name" "textbox" "Password" "checkbox" "Remember this device" "button" "Sign in" "link" "Forgot password"] []
        "Use of this system is monitored.";
    SIGN_IN_ERROR = "sign_in_error" "login" "Sign in failed" ["Provider sign in" "We could not sign you in"]
        ["alert" "User name or password is wrong" "textbox" "User name" "textbox" "Password" "button" "Try again" "link" "Forgot password"] [];
    SECOND_FACTOR = "second_factor" "login/verify" "Verify it is you" ["Enter your security code"]
        ["textbox" "Six-digit code" "button" "Verify" "link" "Send a new code"] []
        "We sent a code to the telephone number on file.";
    HOME = "home" "home" "Provider home" ["Welcome" "What would you like to do"]
        ["link" "Eligibility and benefits" "link" "Claim status" "link" "Authorizations" "link" "Message center" "link" "Sign out"] ["heading"];
    MEMBER_SEARCH = "member_search" "eligibility/search" "Eligibility search" ["Find a member"]
        ["textbox" "Member ID" "textbox" "Date of birth" "combobox" "Service type" "textbox" "Date of service" "button" "Search" "button" "Clear"] []
        "Enter a member ID, or a name and a date of birth.";
    NO_MATCH = "no_match" "eligibility/search" "No member found" ["Find a member" "No results"]
        ["alert" "No active member matches your search" "textbox" "Member ID" "textbox" "Date of birth" "button" "Search" "link" "Call provider services"] [];
    SEVERAL_MATCHES = "several_matches" "eligibility/matches" "Select a member" ["Several members match"]
        ["columnheader" "Name" "columnheader" "Birth date" "columnheader" "Plan" "button" "Back to search"] ["link" "link" "link"];
    ELIGIBILITY = "eligibility_result" "eligibility/members/{member}" "Member eligibility" ["Coverage summary" "Plan and network" "Copay and deductible"]
        ["status" "Coverage status" "cell" "Effective date" "cell" "Copay" "cell" "Deductible remaining" "link" "Benefit details" "button" "Print" "button" "New search"]
        ["heading" "cell" "cell"];
    BENEFITS = "benefit_details" "eligibility/members/{member}/benefits" "Benefit details" ["Benefits by service" "Limits and accumulators"]
        ["tab" "Office visits" "tab" "Hospital" "tab" "Therapy" "cell" "Coinsurance" "cell" "Visits used" "link" "Coverage summary" "button" "Download PDF"] ["heading"];
    CLAIM_SEARCH = "claim_search" "claims/search" "Claim status search" ["Find a claim"]
        ["textbox" "Claim number" "textbox" "Member ID" "textbox" "From date" "textbox" "To date" "button" "Find claims" "button" "Reset"] [];
    CLAIM_RESULT = "claim_result" "claims/{claim}" "Claim details" ["Claim summary" "Service lines" "Payment"]
        ["status" "Claim status" "cell" "Billed amount" "cell" "Paid amount" "cell" "Check number" "link" "Remittance advice" "button" "New claim search"]
        ["heading" "cell"];
    CLAIM_DENIED = "claim_denied" "claims/{claim}" "Claim details" ["Claim summary" "Denial reason" "Appeal rights"]
        ["status" "Denied" "cell" "Reason code" "cell" "Remark code" "link" "File an appeal" "link" "Submit a corrected claim" "button" "New claim search"]
        ["heading" "cell"];
    AUTHORIZATION = "authorization_request" "authorizations/new" "New authorization" ["Request an authorization" "Clinical information"]
        ["textbox" "Procedure code" "textbox" "Diagnosis code" "textbox" "Servicing provider" "button" "Attach documents" "button" "Submit request"] [];
    AUTHORIZATION_SENT = "authorization_submitted" "authorizations/{reference}" "Authorization submitted" ["Request received"]
        ["status" "Pending review" "cell" "Reference number" "link" "View requests" "button" "New request"] ["cell"]
        "Allow up to two business days for a decision.";
    FORM_ERROR = "form_error" "authorizations/new" "Correct the errors" ["Request an authorization" "Some fields need attention"]
        ["alert" "Procedure code is not valid" "textbox" "Procedure code" "textbox" "Diagnosis code" "button" "Submit request" "button" "Cancel"] [];
    SESSION_EXPIRED = "session_expired" "session/expired" "Session expired" ["Your session has timed out"]
        ["button" "Sign in again"] [] "For your security we ended your session after a period of inactivity.";
    MAINTENANCE = "maintenance" "unavailable" "Service unavailable" ["Scheduled maintenance" "We will be back soon"]
        ["button" "Retry"] [] "The portal is not available at this time.";
    SIGNED_OUT = "signed_out" "signout" "Signed out" ["You have signed out"] ["link" "Return to sign in"] [];
}

/// What a portal calls things, in place of the words above.
pub type Words = &'static [(&'static str, &'static str)];

/// How portals word them; each has one of these ways.
pub const STYLES: &[Words] = &[
    &[],
    &[
        ("Member ID", "Subscriber number"),
        ("Sign in", "Log on"),
        ("Find a member", "Patient lookup"),
        ("Search", "Find"),
        ("Copay", "Patient share"),
        ("Authorization", "Prior approval"),
    ],
    &[
        ("Eligibility", "Coverage"),
        ("User name", "Email address"),
        ("Claim number", "Reference"),
        ("Home", "Dashboard"),
        ("Deductible remaining", "Deductible balance"),
    ],
];

/// What the second release of a portal calls things, on the screens that it changes.
pub const SECOND_RELEASE: Words = &[
    ("Sign in", "Continue"),
    ("Search", "Look up"),
    ("Find claims", "Look up claims"),
    ("Coverage summary", "Coverage at a glance"),
    ("Date of service", "Service date"),
    ("Submit request", "Send request"),
    ("What would you like to do", "Quick actions"),
];

/// What the second release has added to the screens that it changes.
pub const ADDED: &[(&str, &str)] = &[("button", "Help"), ("link", "Give feedback")];

/// A notice that some visitors see on top of a screen, and of how many in 1,000.
pub const NOTICES: &[(&str, u32)] = &[
    ("System maintenance this weekend", 110),
    ("You have new messages", 80),
    ("Tell us what you think", 40),
    ("Your browser is out of date", 20),
    ("Provider directory must be attested", 10),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_screen_has_a_name_of_its_own() {
        let names: BTreeSet<_> = SCREENS.iter().map(|screen| screen.name).collect();
        assert_eq!(names.len(), SCREENS.len());
    }
}
