//! Authenticates callers by their token (section 11 of the protocol): a JSON web token that a public key checks, and the ids that it
//! permits.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use everstep_store::operation::{FenceAction, Operation, Page, Reply};
use everstep_store::record::Promise;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Validation};
use ring::signature as rules;
use ring::signature::UnparsedPublicKey;
use serde::Deserialize;
use std::borrow::Cow;

/// The longest token, in bytes.
const LONGEST: usize = 16 << 10;
/// The permitted difference between the clocks of this machine and the token issuer, in seconds.
const LEEWAY: u64 = 60;
/// The shortest RSA key that is considered safe, 2048 bits, in bytes of its encoding.
const SHORTEST_RSA: usize = 260;

/// The object identifiers of the curves: prime256v1 and secp384r1.
const P256: [u8; 10] = [6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: [u8; 7] = [6, 5, 0x2b, 0x81, 4, 0, 0x22];

/// The key that tokens are checked with.
pub struct Keys {
    key: DecodingKey,
    rules: Validation,
}

/// The permissions of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Everything.
    Admin,
    /// Operations on ids with this prefix.
    Below(String),
    /// Nothing: the token names no ids.
    Nobody,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    role: serde_json::Value,
    #[serde(default)]
    prefix: serde_json::Value,
}

impl Keys {
    /// Reads a public key from a PEM file. If an issuer or an audience is given, tokens must name it.
    ///
    /// # Errors
    /// The key cannot check tokens; the sentence says what to give instead.
    pub fn read(pem: &str, issuer: Option<&str>, audience: Option<&str>) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY-----") {
            return Err(
                "has a private key; give the public one, as `openssl pkey -in FILE -pubout` writes it".to_owned()
            );
        }
        if !pem.contains("-----BEGIN PUBLIC KEY-----") && !pem.contains("-----BEGIN RSA PUBLIC KEY-----") {
            return Err("has no public key in PEM, with a line -----BEGIN PUBLIC KEY-----".to_owned());
        }
        let (key, algorithms) = key(pem)?;
        // A provider that was installed before checks the same signatures.
        let _ = PROVIDER.install_default();
        let mut rules = Validation::new(Algorithm::RS256);
        (rules.algorithms, rules.leeway, rules.validate_nbf, rules.validate_aud) = (algorithms, LEEWAY, true, false);
        if let Some(issuer) = issuer {
            rules.set_issuer(&[issuer]);
            rules.required_spec_claims.insert("iss".to_owned());
        }
        if let Some(audience) = audience {
            rules.set_audience(&[audience]);
            rules.required_spec_claims.insert("aud".to_owned());
            rules.validate_aud = true;
        }
        Ok(Self { key, rules })
    }

    /// The caller that a token belongs to.
    ///
    /// # Errors
    /// The reason that the token is not valid.
    pub(super) fn caller(&self, token: &str) -> Result<Caller, String> {
        if token.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} bytes"));
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.key, &self.rules);
        let Claims { role, prefix } = decoded.map_err(|error| fault(&error))?.claims;
        Ok(match (role.as_str(), prefix.as_str()) {
            (Some(role), _) if role.eq_ignore_ascii_case("admin") => Caller::Admin,
            (_, Some("")) => Caller::Admin,
            (_, Some(prefix)) => Caller::Below(prefix.to_owned()),
            (_, None) => Caller::Nobody,
        })
    }
}

impl Caller {
    /// Checks that this caller may do an operation; a search is narrowed to what the caller may see.
    ///
    /// # Errors
    /// The reason that it may not.
    pub(super) fn admit(&self, mut operation: Operation) -> Result<Operation, String> {
        match self {
            Self::Admin => Ok(operation),
            Self::Nobody => Err("the token has neither the role admin nor a prefix".to_owned()),
            Self::Below(prefix) => {
                if !named(&operation).iter().all(|id| id.starts_with(prefix.as_str())) {
                    return Err(format!("the token is for ids that begin with {prefix:?}"));
                }
                if let Operation::PromiseSearch { page, .. }
                | Operation::TaskSearch { page, .. }
                | Operation::ScheduleSearch { page, .. } = &mut operation
                {
                    start(page, prefix);
                }
                Ok(operation)
            }
        }
    }

    /// The part of a reply that this caller may see.
    pub(super) fn narrow(&self, reply: Reply) -> Reply {
        let Self::Below(prefix) = self else { return reply };
        let is_seen = |id: &str| id.starts_with(prefix.as_str());
        let promises = |mut found: Vec<Promise>| {
            found.retain(|promise| is_seen(&promise.id));
            found
        };
        // Nothing with the prefix comes after that.
        let on = |cursor: Option<String>| cursor.filter(|at| is_seen(at) || at.as_str() < prefix.as_str());
        match reply {
            Reply::Promises(found, cursor) => Reply::Promises(promises(found), on(cursor)),
            Reply::Tasks(mut found, cursor) => {
                found.retain(|task| is_seen(&task.id));
                Reply::Tasks(found, on(cursor))
            }
            Reply::Schedules(mut found, cursor) => {
                found.retain(|schedule| is_seen(&schedule.id));
                Reply::Schedules(found, on(cursor))
            }
            Reply::Claimed { task, promise, preload } => Reply::Claimed { task, promise, preload: promises(preload) },
            Reply::GoOn(preload) => Reply::GoOn(promises(preload)),
            Reply::Fenced { answer, preload } => Reply::Fenced { answer, preload: promises(preload) },
            Reply::Done | Reply::Promise(_) | Reply::Task(_) | Reply::Schedule(_) => reply,
        }
    }
}

/// Makes a search begin where ids have the prefix.
fn start(page: &mut Page, prefix: &str) {
    let mut before = prefix.to_owned();
    let earlier = before.pop().and_then(|last| (0..u32::from(last)).rev().find_map(char::from_u32));
    if let Some(earlier) = earlier {
        before.extend([earlier, char::MAX, char::MAX]);
        page.cursor = page.cursor.take().max(Some(before));
    }
}

/// The ids that an operation names; one on all of them names the empty id.
fn named(operation: &Operation) -> Vec<Cow<'_, str>> {
    let list: Vec<&String> = match operation {
        Operation::PromiseCreate(new) | Operation::TaskCreate { promise: new, .. } => vec![&new.id],
        Operation::PromiseSettle(settlement) | Operation::TaskFulfill { settlement, .. } => vec![&settlement.id],
        Operation::PromiseGet { id }
        | Operation::TaskAcquire { id, .. }
        | Operation::TaskRelease { id, .. }
        | Operation::TaskHalt { id }
        | Operation::TaskContinue { id }
        | Operation::TaskGet { id }
        | Operation::ScheduleGet { id }
        | Operation::ScheduleDelete { id }
        | Operation::CancelTree { id } => vec![id],
        Operation::RegisterCallback { awaited, awaiter } => vec![awaited, awaiter],
        Operation::RegisterListener { awaited, .. } => vec![awaited],
        Operation::TaskFence { id, action: FenceAction::Create(new), .. } => vec![id, &new.id],
        Operation::TaskFence { id, action: FenceAction::Settle(settlement), .. } => vec![id, &settlement.id],
        Operation::TaskSuspend { id, awaited, .. } => std::iter::once(id).chain(awaited).collect(),
        Operation::TaskHeartbeat { tasks, .. } => tasks.iter().map(|(id, _)| id).collect(),
        Operation::ScheduleCreate(new) => {
            // The ids that it will create count, too.
            let template = new.promise_id.replace("{{.id}}", &new.id);
            return vec![Cow::Borrowed(&new.id), Cow::Owned(template)];
        }
        Operation::PromiseSearch { .. } | Operation::TaskSearch { .. } | Operation::ScheduleSearch { .. } => Vec::new(),
        Operation::Sweep => return vec![Cow::Borrowed("")],
    };
    list.into_iter().map(|id| Cow::Borrowed(id.as_str())).collect()
}

/// Reads a key, and the algorithms that fit its kind and size.
fn key(text: &str) -> Result<(DecodingKey, Vec<Algorithm>), String> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let pem = text.as_bytes();
    let bytes = |key: &DecodingKey| key.try_get_as_bytes().map(<[u8]>::len).unwrap_or_default();
    if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
        return match bytes(&key) {
            SHORTEST_RSA.. => Ok((key, vec![RS256, RS384, RS512, PS256, PS384, PS512])),
            _ => Err("has an RSA key of fewer than 2048 bits".to_owned()),
        };
    }
    if let Ok(key) = DecodingKey::from_ec_pem(pem) {
        return match bytes(&key) {
            65 if names(text, &P256) => Ok((key, vec![ES256])),
            97 if names(text, &P384) => Ok((key, vec![ES384])),
            _ => Err("has a key of another curve than P-256 and P-384, or a compressed one".to_owned()),
        };
    }
    match DecodingKey::from_ed_pem(pem) {
        Ok(key) if bytes(&key) == 32 => Ok((key, vec![EdDSA])),
        _ => Err("has no public key of RSA, P-256, P-384 or Ed25519 in PEM".to_owned()),
    }
}

/// Whether an object identifier occurs in a PEM file.
fn names(pem: &str, object: &[u8]) -> bool {
    let body: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    BASE64_STANDARD.decode(body).is_ok_and(|der| der.windows(object.len()).any(|window| window == object))
}

/// Describes the fault of a token.
fn fault(error: &Error) -> String {
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired".to_owned(),
        ErrorKind::ImmatureSignature => "it is not valid yet".to_owned(),
        ErrorKind::InvalidIssuer => "it has another issuer".to_owned(),
        ErrorKind::InvalidAudience => "it is for another audience".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it has no claim {claim:?}"),
        ErrorKind::InvalidClaimFormat(claim) => format!("its claim {claim:?} cannot be read"),
        ErrorKind::InvalidAlgorithm => "it is signed in another way than the key is for".to_owned(),
        ErrorKind::InvalidSignature => "its signature is of another key".to_owned(),
        _ => "it is no JSON web token".to_owned(),
    }
}

/// Checks signatures with the TLS library that is used here.
static PROVIDER: CryptoProvider =
    CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };

/// There is no signing here.
fn signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn jsonwebtoken::crypto::JwtSigner>, Error> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let rule: &'static dyn rules::VerificationAlgorithm = match algorithm {
        Algorithm::RS256 => &rules::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &rules::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &rules::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &rules::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &rules::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &rules::RSA_PSS_2048_8192_SHA512,
        Algorithm::ES256 => &rules::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &rules::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &rules::ED25519,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let key = UnparsedPublicKey::new(rule, key.try_get_as_bytes()?.to_vec());
    Ok(Box::new(Checked { algorithm: *algorithm, key }))
}

struct Checked {
    algorithm: Algorithm,
    key: UnparsedPublicKey<Vec<u8>>,
}

impl Verifier<Vec<u8>> for Checked {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        self.key.verify(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Checked {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests;
