//! What the crate `usg-est-client` makes of an EST server:
//! `est-client enroll URL ROOT.pem FOLDER USER SECRET CN` fetches CA certificates and attributes and enrols with a
//! request of its own making; `est-client reenroll URL ROOT.pem FOLDER NEXT.csr` enrols again with that request (DER)
//! by the certificate it got. Certificates and key are left in FOLDER.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use usg_est_client::csr::CsrBuilder;
use usg_est_client::{Certificate, EnrollmentResponse, EstClient, EstClientConfig};
use x509_cert::der::EncodePem as _;
use x509_cert::der::pem::LineEnding;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["enroll", url, root, folder, user, secret, name] => {
            runtime.block_on(enroll(url, root, Path::new(folder), user, secret, name))
        }
        ["reenroll", url, root, folder, next] => {
            runtime.block_on(reenroll(url, root, Path::new(folder), next))
        }
        _ => bail!(
            "usage: est-client enroll URL ROOT.pem FOLDER USER SECRET CN | reenroll URL ROOT.pem FOLDER NEXT.csr"
        ),
    }
}

async fn enroll(
    url: &str,
    root: &str,
    folder: &Path,
    user: &str,
    secret: &str,
    name: &str,
) -> Result<()> {
    let config = EstClientConfig::builder()
        .server_url(url)?
        .trust_explicit(vec![std::fs::read(root)?])
        .http_auth(user, secret)
        .build()
        .map_err(anyhow::Error::msg)?;
    let client = EstClient::new(config).await?;
    let authorities = client.get_ca_certs().await.context("cacerts")?;
    println!("cacerts {}", authorities.iter().count());
    let attributes = client.get_csr_attributes().await.context("csrattrs")?;
    println!("csrattrs {}", attributes.len());

    let (request, key) = CsrBuilder::new()
        .common_name(name)
        .organization("Library")
        .build()?;
    let issued = issued(
        client
            .simple_enroll(&request)
            .await
            .context("simpleenroll")?,
    )?;
    let mut chain = pem(&issued)?;
    std::fs::write(folder.join("library.pem"), &chain)?;
    for authority in authorities.iter() {
        chain.push_str(&pem(authority)?);
    }
    std::fs::write(folder.join("library-chain.pem"), chain)?;
    std::fs::write(folder.join("library.key"), key.serialize_pem())?;
    println!("simpleenroll issued");
    match client.simple_enroll(&request).await {
        Ok(_) => bail!("the same request was served twice"),
        Err(error) => println!("again refused: {error}"),
    }
    match client.server_keygen(&request).await {
        Ok(_) => bail!("a key was made"),
        Err(error) => println!("serverkeygen refused: {error}"),
    }
    Ok(())
}

async fn reenroll(url: &str, root: &str, folder: &Path, next: &str) -> Result<()> {
    let chain = std::fs::read(folder.join("library-chain.pem"))?;
    let key = std::fs::read(folder.join("library.key"))?;
    let config = EstClientConfig::builder()
        .server_url(url)?
        .trust_explicit(vec![std::fs::read(root)?])
        .client_identity_pem(chain, key)
        .build()
        .map_err(anyhow::Error::msg)?;
    let client = EstClient::new(config).await?;
    let renewed = issued(
        client
            .simple_reenroll(&std::fs::read(next)?)
            .await
            .context("simplereenroll")?,
    )?;
    std::fs::write(folder.join("renewed.pem"), pem(&renewed)?)?;
    println!("simplereenroll issued");
    Ok(())
}

fn issued(response: EnrollmentResponse) -> Result<Certificate> {
    match response {
        EnrollmentResponse::Issued { certificate } => Ok(*certificate),
        EnrollmentResponse::Pending { retry_after } => bail!("pending for {retry_after} s"),
    }
}

fn pem(certificate: &Certificate) -> Result<String> {
    Ok(certificate.to_pem(LineEnding::LF)?)
}
