//! TLS: the broker must be who it says it is, and may ask the same of the gateway.

use std::path::{Path, PathBuf};

use omnigate_actors::mqtt::Tls;

use crate::support::broker::Broker;
use crate::support::certificates::{Authority, Certificate};
use crate::support::{Observed, address, config};

/// A broker with a certificate for this name.
fn broker(authority: &Authority, alternative: &str, further: &str) -> Broker {
    let Certificate { certificate, key } = authority.issue("broker", alternative);
    Broker::with_settings(|_| {
        format!(
            "allow_anonymous true\ncertfile {}\nkeyfile {}\n{further}",
            certificate.display(),
            key.display()
        )
    })
}

fn connect(broker: &Broker, host: &str, tls: Tls) -> Result<(), String> {
    let mut address = address(&format!("mqtts://{host}:{}", broker.port()));
    address.tls = tls;
    let mut observed = Observed::start(config(address, "a"));
    observed.until(|event| match event {
        omnigate_actors::mqtt::Event::Connected(_) => Some(Ok(())),
        omnigate_actors::mqtt::Event::Disconnected { failure, .. } => {
            Some(Err(failure.to_string()))
        }
        _ => None,
    })
}

fn trusting(authority: PathBuf) -> Tls {
    Tls {
        ca_file: Some(authority),
        ..Tls::default()
    }
}

fn folder(of: &Path, name: &str) -> PathBuf {
    let folder = of.join(name);
    std::fs::create_dir(&folder).unwrap();
    folder
}

#[test]
fn only_a_broker_with_the_right_authority_and_name_is_talked_to() {
    let temporary = tempfile::tempdir().unwrap();
    let ours = Authority::new(&folder(temporary.path(), "ours"));
    let theirs = Authority::new(&folder(temporary.path(), "theirs"));
    let broker = broker(&ours, "DNS:localhost", "");

    assert_eq!(connect(&broker, "localhost", trusting(ours.file())), Ok(()));
    let failed = "no connection; if it is TLS, the authority, the certificate or the host name may be wrong (return code -1)";
    for (host, tls) in [
        ("localhost", trusting(theirs.file())),
        ("localhost", Tls::default()),
        ("127.0.0.1", trusting(ours.file())),
    ] {
        assert_eq!(connect(&broker, host, tls).unwrap_err(), failed, "{host}");
    }
}

#[test]
fn an_address_in_the_certificate_is_as_good_as_a_name() {
    let temporary = tempfile::tempdir().unwrap();
    let authority = Authority::new(temporary.path());
    let broker = broker(&authority, "IP:127.0.0.1", "");
    assert_eq!(
        connect(&broker, "127.0.0.1", trusting(authority.file())),
        Ok(())
    );
    connect(&broker, "localhost", trusting(authority.file())).unwrap_err();
}

#[test]
fn the_gateway_shows_its_certificate_to_a_broker_that_wants_one() {
    let temporary = tempfile::tempdir().unwrap();
    let authority = Authority::new(temporary.path());
    let further = format!(
        "require_certificate true\ncafile {}\n",
        authority.file().display()
    );
    let broker = broker(&authority, "DNS:localhost", &further);
    connect(&broker, "localhost", trusting(authority.file())).unwrap_err();

    let own = authority.issue("gateway", "DNS:gateway");
    let tls = Tls {
        certificate_file: Some(own.certificate),
        private_key_file: Some(own.key),
        ..trusting(authority.file())
    };
    assert_eq!(connect(&broker, "localhost", tls), Ok(()));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    let authority = Authority::new(temporary.path());
    let broker = broker(&authority, "DNS:localhost", "");
    let missing = temporary.path().join("missing.crt");
    let why = connect(&broker, "localhost", trusting(missing)).unwrap_err();
    assert!(why.contains("missing.crt cannot be read"), "{why}");
}
