//! A client nobody here wrote: curl, on a real socket.

use std::process::Command;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_fetches_a_token_and_the_roots_and_openssl_reads_them() {
    if Command::new("curl").arg("--version").output().is_err()
        || Command::new("openssl").arg("version").output().is_err()
    {
        assert!(std::env::var("CI").is_err(), "curl and openssl are required here");
        return;
    }
    let eco = Ecosystem::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let app = eco.router.clone();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let curl = async |arguments: Vec<String>| -> Value {
        let run = tokio::task::spawn_blocking(move || {
            Command::new("curl").args(["-sS", "-f"]).args(arguments).output()
        });
        let output = run.await.unwrap().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let secret = &eco.secrets["cpo"];
    let token = curl(vec![
        "-d".into(),
        "grant_type=client_credentials".into(),
        "-d".into(),
        "client_id=cpo".into(),
        "-d".into(),
        format!("client_secret={secret}"),
        format!("{base}/oauth/token"),
    ])
    .await;
    let bearer = format!(
        "authorization: Bearer {}",
        token["access_token"].as_str().unwrap()
    );
    let page = curl(vec![
        "-u".into(),
        format!("cpo:{secret}"),
        format!("{base}/oauth/token"),
    ])
    .await;
    assert!(page["data"].as_str().unwrap().contains("Bearer "));
    let roots = curl(vec![
        "-H".into(),
        bearer.clone(),
        format!("{base}/v1/root/rootCerts?rootType=v2g"),
    ])
    .await;
    let dir = tempfile::tempdir().unwrap();
    for root in roots["RootCertificateCollection"]["rootCertificates"]
        .as_array()
        .unwrap()
    {
        let der = input::base64(root["caCertificate"].as_str().unwrap(), "der", 1 << 16).unwrap();
        let file = dir.path().join("root.der");
        std::fs::write(&file, der).unwrap();
        let output = Command::new("openssl")
            .args([
                "x509",
                "-inform",
                "DER",
                "-noout",
                "-fingerprint",
                "-sha256",
                "-in",
            ])
            .arg(&file)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout)
            .unwrap()
            .replace(':', "")
            .to_lowercase();
        assert!(text.contains(root["fingerprint"].as_str().unwrap()), "{text}");
    }
    let car = eco.world.car("judy", Generation::Iso2);
    eco.publish(&car).await;
    eco.generate(&car, "DEGDLC00000071").await;
    let body = dir.path().join("body.json");
    std::fs::write(&body, asked(&car).to_string()).unwrap();
    let answer = curl(vec![
        "-H".into(),
        bearer,
        "-H".into(),
        "content-type: application/json".into(),
        "--data-binary".into(),
        format!("@{}", body.display()),
        format!("{base}/v1/ccp/signedContractData"),
    ])
    .await;
    let message = answer["CCPResponse"]["emaidContent"][0]["messageDef"]["certificateInstallationRes"]
        .as_str()
        .unwrap();
    car.take(&eco.world, &input::base64(message, "exi", 1 << 16).unwrap());
}
