//! Tokens that were made elsewhere, and some that are made here.

use super::*;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use everstep_store::operation::{NewPromise, NewSchedule, Settlement};
use everstep_store::record::{PromiseState, Value};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};

/// Made by OpenSSL, with tokens until 2100 for ids that begin with "a-".
const RSA: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtsKEl31GzAecK1yK3kOi\n\
VbEYadZ446aRS88AwZL+hAZ8w35yD2lcGpjbq3nac/yV1Zo9LBXXV/4/LbDalljR\n\
ArurS50psMUndtIji9j0pzb6wKUWhUYoKO+BVEnArZbRH4rVtHrE/WLN3xbU2SNe\n\
kKoCmj8IR5z2qEajX8/9e2nhaLBEFqOEq52C6JwdwN7B58FYTlipyGIQ6XWZDBtW\n\
u4BuqIICqHlj/dZexfPOjw4BtqQRTpPBZ8e07UYXSzUegYNhtudf21JtJpsNxwo0\n\
jZ7iiBuyBZOaM5PHnRGYbDwnHGlxTDfIQphzIHhnfAwLu6W/NfglMN8Lj5I02ROj\n\
gwIDAQAB\n\
-----END PUBLIC KEY-----\n\n";
const RS256: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJwcmVmaXgiOiJhLSIsImV4cCI6NDEwMjQ0NDgwMH0.H-axSbHeHJDU46bypOa9UgEP0gMeBgWALIGVnnP_ZsFn_yL53F-mIbuAjMpU3JqSqxXiiiLLXT5-r1FVRrfoxBROzh08Mfu6GKP8eOjMhM9PzH5A-C0iCX2If0e86nqsOo_SuTtUU_AK-7HWcHNkE4s8dZbTWK_kXroH_tE_n76xCctnOF8WhDPkvDFH_IBVXM83IVTB3C-E1ZL-t9W8C0HuAb6J2fZPTm6r-rps14Hcg8ZMGYFx3U5hfbC4_zVmTgakl_FELAbm-4PyfKX-i82TK6Y_MkfOsLxtbhINJKk2tCOqieOCtfcomL5xhJJrCoQuhhJyPvhoHz4LhMtefg";
const PS256: &str = "eyJhbGciOiJQUzI1NiJ9.eyJwcmVmaXgiOiJhLSIsImV4cCI6NDEwMjQ0NDgwMH0.cEUtP1h6rtKukre9ZgVdybTfQYiOgXoNlKKbox7LQp5zIMRGhqjLZl5Cot7CGegIOuAK4P81pSo5eDD_SPTAEFYaeGrWeuDuTXIfNQYlmSsgL5EQ56PZxCdy-AnuO2plh0ZyWZy4Nj2DzUz969UzVkfeXBwWWr873VEDUgCkGe4CIf1BHFobexaa0Ul_LWYMWjzIQ-QvLw1pzMy9qJ5YUZPGP-7STW1kpYGYn-wEXSm51GNHTHYZQWrK_Lvsrngo8sxn0HlRXZztx5qzYarxGAF0i92gFHUVGADFILr7UgIvSscvS9ilhmqC-dkqJp3U1OMabJ5huVeuwrOeYap1_A";
const RSA_1024: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDKXydRC111CKh90nGjCL48BRAP\n\
HgdNtN5s8MC8NcbfQy2RQi4kTIQ562jC2T10mU95V+RLIhbw5GQgYCGqbcpvL+bb\n\
elWOQ+TxYNkwv+gBTpYSiRiNrF4alfORH017d4hvYNN6dJGWykxD8ID0Y1RbtQN6\n\
wd7bRljf403jf2808QIDAQAB\n\
-----END PUBLIC KEY-----\n\n";
const P521: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAdnZl4ek5ac00jPXPgSSnLSE6+FoW\n\
ouusH+YVYAPE9hBh5GHbRLRnj34uDEUCfW22oGrlqwZUegw7jlRtheG92yQAYSQf\n\
pm5H3e4gQqPbtXbdJrdllpvscZk0UPBJFHEaEgbG0I0iVjhEu2tI/0NaBwCoNvua\n\
05RUFUKcrk8TcNbhvuo=\n\
-----END PUBLIC KEY-----\n\n";
/// Of a curve whose keys are as long as those of P-256.
const K256: &str = "\
-----BEGIN PUBLIC KEY-----\n\
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAELd89E16Yw8dGOi9RP5wC1BlNjlLl63JN\n\
3Rzl9Bi/b+fH+7CRRlXQmKJ29zyfsz2DcnKnzCXzFF4RdfJW7P3sRQ==\n\
-----END PUBLIC KEY-----\n\n";
const FAR: u64 = 4_102_444_800;

type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// What signs a token: the name of the algorithm, and the rest.
struct Signer {
    algorithm: &'static str,
    public: String,
    sign: Sign,
}

fn pem(start: &[u8], key: &[u8]) -> String {
    let der = [start, key].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der))
}

fn ed25519() -> Signer {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
    let public = pem(&hex::decode("302a300506032b6570032100").unwrap(), pair.public_key().as_ref());
    Signer { algorithm: "EdDSA", public, sign: Box::new(move |text| pair.sign(text).as_ref().to_vec()) }
}

fn p256() -> Signer {
    let random = SystemRandom::new();
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
    let start = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").unwrap();
    let public = pem(&start, pair.public_key().as_ref());
    Signer {
        algorithm: "ES256",
        public,
        sign: Box::new(move |text| pair.sign(&random, text).unwrap().as_ref().to_vec()),
    }
}

impl Signer {
    fn keys(&self) -> Keys {
        Keys::read(&self.public, None, None).unwrap()
    }

    fn token(&self, claims: &str) -> String {
        self.token_as(&format!(r#"{{"alg":"{}"}}"#, self.algorithm), claims)
    }

    fn token_as(&self, head: &str, claims: &str) -> String {
        let text = format!("{}.{}", BASE64.encode(head), BASE64.encode(claims));
        let signature = BASE64.encode((self.sign)(text.as_bytes()));
        format!("{text}.{signature}")
    }
}

fn admin() -> String {
    format!(r#"{{"role":"admin","exp":{FAR}}}"#)
}

#[test]
fn tokens_of_every_kind_of_key_are_checked() {
    let keys = Keys::read(RSA, None, None).unwrap();
    for token in [RS256, PS256] {
        assert_eq!(keys.caller(token), Ok(Caller::Below("a-".to_owned())));
    }
    for signer in [ed25519(), p256()] {
        assert_eq!(signer.keys().caller(&signer.token(&admin())), Ok(Caller::Admin));
        assert!(keys.caller(&signer.token(&admin())).is_err());
        assert!(signer.keys().caller(RS256).is_err());
    }
    let (one, other) = (ed25519(), ed25519());
    assert_eq!(one.keys().caller(&other.token(&admin())).unwrap_err(), "its signature is of another key");
}

#[test]
fn a_token_that_is_not_as_it_should_be_lets_nobody_in() {
    let signer = ed25519();
    let keys = signer.keys();
    let good = signer.token(&admin());
    let (text, signature) = good.rsplit_once('.').unwrap();
    let head = BASE64.encode(r#"{"alg":"none"}"#);
    let claims = BASE64.encode(admin());
    let mut bad = vec![
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        text.to_owned(),
        format!("{text}."),
        format!("{text}.{}", &signature[1..]),
        format!("{good}."),
        format!("{good}="),
        format!(" {good}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}.{signature}"),
        "x".repeat(1 << 20),
        format!("{}.{claims}.{signature}", BASE64.encode("{")),
    ];
    for head in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"HS256"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"eddsa"}"#,
        r#"{"alg":["EdDSA"]}"#,
        "{}",
        "[]",
    ] {
        bad.push(signer.token_as(head, &admin()));
    }
    let now = jsonwebtoken::get_current_timestamp();
    for claims in [
        "{}".to_owned(),
        "[]".to_owned(),
        r#"{"role":"admin"}"#.to_owned(),
        r#"{"role":"admin","exp":null}"#.to_owned(),
        r#"{"role":"admin","exp":"4102444800"}"#.to_owned(),
        r#"{"role":"admin","exp":-1}"#.to_owned(),
        r#"{"role":"admin","exp":0}"#.to_owned(),
        format!(r#"{{"role":"admin","exp":{}}}"#, now - LEEWAY - 2),
        format!(r#"{{"role":"admin","exp":{FAR},"nbf":{}}}"#, now + LEEWAY + 60),
        format!(r#"{{"role":"admin","exp":{FAR},"nbf":"never"}}"#),
    ] {
        bad.push(signer.token(&claims));
    }
    for token in bad {
        let shown = &token[..token.len().min(100)];
        assert!(keys.caller(&token).is_err(), "{shown}");
    }
    // The public key is no secret that tokens could be signed with.
    let text = format!("{}.{claims}", BASE64.encode(r#"{"alg":"HS256"}"#));
    let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, signer.public.as_bytes());
    let forged = format!("{text}.{}", BASE64.encode(ring::hmac::sign(&secret, text.as_bytes())));
    assert_eq!(keys.caller(&forged).unwrap_err(), "it is signed in another way than the key is for");
}

#[test]
fn issuer_and_audience_are_asked_for() {
    let signer = p256();
    let keys = Keys::read(&signer.public, Some("us"), Some("here")).unwrap();
    let caller = |rest: &str| keys.caller(&signer.token(&format!(r#"{{"role":"admin","exp":{FAR}{rest}}}"#)));
    assert_eq!(caller(r#","iss":"us","aud":"here""#), Ok(Caller::Admin));
    assert_eq!(caller(r#","iss":"us","aud":["there","here"]"#), Ok(Caller::Admin));
    for rest in [
        "",
        r#","iss":"us""#,
        r#","aud":"here""#,
        r#","iss":"them","aud":"here""#,
        r#","iss":"us","aud":"there""#,
        r#","iss":"us","aud":[]"#,
        r#","iss":7,"aud":7"#,
    ] {
        assert!(caller(rest).is_err(), "{rest}");
    }
}

#[test]
fn what_is_no_public_key_is_refused() {
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let garbage = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    for (pem, why) in [
        ("", "no public key in PEM"),
        ("a secret", "no public key in PEM"),
        (private, "private key"),
        (garbage, "no public key of"),
        (RSA_1024, "fewer than 2048 bits"),
        (P521, "another curve"),
        (K256, "another curve"),
    ] {
        let refused = Keys::read(pem, None, None).err().unwrap();
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_prefix_is_for_all_ids_that_an_operation_names() {
    let of = |prefix: &str| Caller::Below(prefix.to_owned());
    let new =
        |id: &str| NewPromise { id: id.to_owned(), timeout_at: 1, param: Value::default(), tags: Default::default() };
    let held = |ids: &[&str]| Operation::TaskHeartbeat {
        pid: "p".to_owned(),
        tasks: ids.iter().map(|id| ((*id).to_owned(), 1)).collect(),
    };
    let settle = |id: &str| Settlement { id: id.to_owned(), state: PromiseState::Resolved, value: Value::default() };
    let fence = |action| Operation::TaskFence { id: "a-1".to_owned(), version: 1, action };
    let schedule = |id: &str, promise: &str| {
        Operation::ScheduleCreate(NewSchedule {
            id: id.to_owned(),
            cron: "* * * * *".to_owned(),
            promise_id: promise.to_owned(),
            promise_timeout: 1,
            promise_param: Value::default(),
            promise_tags: Default::default(),
        })
    };
    let awaited = |ids: &[&str]| Operation::TaskSuspend {
        id: "a-1".to_owned(),
        version: 1,
        awaited: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    for (operation, is_admitted) in [
        (Operation::PromiseCreate(new("a-1")), true),
        (Operation::PromiseCreate(new("b-1")), false),
        (Operation::PromiseGet { id: "a".to_owned() }, false),
        (held(&[]), true),
        (held(&["a-1", "a-2"]), true),
        (held(&["a-1", "b-2"]), false),
        (fence(FenceAction::Create(new("a-1.0"))), true),
        (fence(FenceAction::Create(new("b-1"))), false),
        (fence(FenceAction::Settle(settle("b-1"))), false),
        (awaited(&["a-1.0"]), true),
        (awaited(&["a-1.0", "b-1"]), false),
        (Operation::RegisterCallback { awaited: "a-1".to_owned(), awaiter: "b-1".to_owned() }, false),
        (schedule("a-s", "{{.id}}.{{.timestamp}}"), true),
        (schedule("a-s", "b-{{.timestamp}}"), false),
        (schedule("s", "a-{{.timestamp}}"), false),
        (Operation::Sweep, false),
    ] {
        assert_eq!(of("a-").admit(operation.clone()).is_ok(), is_admitted, "{operation:?}");
        assert!(Caller::Nobody.admit(operation.clone()).is_err(), "{operation:?}");
        assert!(Caller::Admin.admit(operation.clone()).is_ok(), "{operation:?}");
    }
}
