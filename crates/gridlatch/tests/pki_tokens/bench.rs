//! A folder, a token, and the program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use gridlatch_testkit::Process;
use gridlatch_testkit::tokens::PIN;
use gridlatch_testkit::{ports, temp};
use serde_json::Value;

const GRIDLATCH: &str = env!("CARGO_BIN_EXE_gridlatch");

/// Where a CA lives and what it needs to reach its keys.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    /// Variables for the program.
    pub(crate) env: Vec<(String, String)>,
}

impl Bench {
    pub(crate) fn new(env: Vec<(String, String)>) -> Self {
        let this = Self {
            dir: temp::dir().unwrap(),
            env,
        };
        for (name, text) in [
            ("pin", PIN),
            ("wrong", "000000"),
            ("pass", "correct horse battery"),
        ] {
            std::fs::write(this.path(name), text).unwrap();
            std::fs::set_permissions(this.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        this
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Any program in this bench's folder.
    pub(crate) fn shell(&self, program: &str, args: &[&str]) -> Output {
        Command::new(program)
            .args(args)
            .current_dir(self.dir.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("GRIDLATCH_DATA", self.path("data"))
            .output()
            .unwrap()
    }

    pub(crate) fn gridlatch(&self, line: &str) -> Output {
        self.with(line, &[])
    }

    /// As [`Self::gridlatch`], with arguments that hold spaces or come from elsewhere.
    pub(crate) fn with(&self, line: &str, more: &[&str]) -> Output {
        let words: Vec<&str> = line.split(' ').chain(more.iter().copied()).collect();
        self.shell(GRIDLATCH, &words)
    }

    /// `gridlatch pki` with the PIN; it has to succeed.
    pub(crate) fn pki(&self, line: &str) -> String {
        self.pki_with(line, &[])
    }

    pub(crate) fn pki_with(&self, line: &str, more: &[&str]) -> String {
        let more = [more, &["--pin-file", "pin"]].concat();
        let done = self.with(&format!("pki {line}"), &more);
        assert!(done.status.success(), "{line}: {}", text(&done));
        String::from_utf8(done.stdout).unwrap()
    }

    /// A refusal: its exit code, and what is said.
    pub(crate) fn refused(&self, line: &str, more: &[&str], exit: i32, said: &[&str]) {
        let refused = self.with(line, more);
        let all = text(&refused);
        assert_eq!(refused.status.code(), Some(exit), "{line}: {all}");
        for said in said {
            assert!(all.contains(said), "{line}: {said:?} is not in {all}");
        }
        assert!(!all.contains(PIN) && !all.contains("000000"), "{all}");
    }

    /// OpenSSL judges a certificate that `issue` wrote, by the roots and the chain that `bundle` writes.
    pub(crate) fn openssl_accepts(&self, certificate: &str, sub_ca: &str) {
        let roots = self.pki("bundle --roots all");
        let chain = self.pki(&format!("bundle --chain {sub_ca}"));
        std::fs::write(self.path("roots.pem"), roots).unwrap();
        std::fs::write(self.path("chain.pem"), chain).unwrap();
        let judged = self.shell(
            "openssl",
            &[
                "verify",
                "-x509_strict",
                "-CAfile",
                "roots.pem",
                "-untrusted",
                "chain.pem",
                certificate,
            ],
        );
        assert!(judged.status.success(), "{certificate}: {}", text(&judged));
    }

    /// Key files below the CA's folder, without the delegated OCSP signers' and the service's own.
    pub(crate) fn ca_key_files(&self) -> Vec<PathBuf> {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    if path.file_name().unwrap() != "ocsp" {
                        walk(&path, found);
                    }
                } else if path.to_string_lossy().ends_with(".key.pem") && !path.ends_with("services.key.pem")
                {
                    found.push(path);
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.path("data/pki"), &mut found);
        found
    }

    /// Serves the CA until the value is dropped.
    pub(crate) fn serve(&self) -> Serving {
        let (est, status) = (ports::tcp().unwrap(), ports::tcp().unwrap());
        let mut command = Command::new(GRIDLATCH);
        command
            .args(["pki", "serve", "--pin-file", "pin"])
            .args([
                "--est",
                &format!("127.0.0.1:{est}"),
                "--status",
                &format!("127.0.0.1:{status}"),
            ])
            .current_dir(self.dir.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("GRIDLATCH_DATA", self.path("data"));
        let mut process = Process::spawn("pki-serve", command).unwrap();
        process
            .wait_line(Duration::from_secs(60), |line| line.contains("Ctrl-C stops"))
            .unwrap();
        Serving { process, est, status }
    }

    /// Enrols by curl with a fresh key and request; HTTP status and body.
    pub(crate) fn enrol(&self, serving: &Serving, user: &str, name: &str) -> (u16, String) {
        let key = format!("{name}.key");
        let made = self.shell(
            "openssl",
            &[
                "req",
                "-new",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-keyout",
                &key,
                "-subj",
                "/CN=DE*TST*E1/O=Test/DC=CPO",
                "-outform",
                "DER",
                "-out",
                "csr.der",
            ],
        );
        assert!(made.status.success(), "{}", text(&made));
        let base64 = self.shell("openssl", &["base64", "-in", "csr.der", "-out", "csr.b64"]);
        assert!(base64.status.success());
        let url = format!("https://localhost:{}/.well-known/est/simpleenroll", serving.est);
        let answer = self.shell(
            "curl",
            &[
                "-sS",
                "--cacert",
                "roots.pem",
                "-u",
                user,
                "-H",
                "Content-Type: application/pkcs10",
                "--data-binary",
                "@csr.b64",
                "-o",
                "answer",
                "-w",
                "%{http_code}",
                &url,
            ],
        );
        assert!(answer.status.success(), "{}", text(&answer));
        let body = std::fs::read_to_string(self.path("answer")).unwrap_or_default();
        (String::from_utf8(answer.stdout).unwrap().parse().unwrap(), body)
    }

    /// What `openssl ocsp` says of a certificate's status.
    pub(crate) fn ocsp(&self, serving: &Serving, certificate: &str, issuer: &str) -> String {
        let chain = self.pki(&format!("bundle --chain {issuer}"));
        std::fs::write(self.path("issuer.pem"), &chain).unwrap();
        // The responder's certificate is one of the sub-CA's: OpenSSL wants to see the way up.
        std::fs::write(self.path("all.pem"), self.pki("bundle --roots all") + &chain).unwrap();
        let url = format!("http://127.0.0.1:{}/ocsp", serving.status);
        let asked = self.shell(
            "openssl",
            &[
                "ocsp",
                "-issuer",
                "issuer.pem",
                "-cert",
                certificate,
                "-url",
                &url,
                "-CAfile",
                "all.pem",
            ],
        );
        text(&asked)
    }

    /// Codes of the events that the running service wrote.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.path("data/security.jsonl")).unwrap_or_default()
    }
}

/// A CA's services.
pub(crate) struct Serving {
    process: Process,
    pub(crate) est: u16,
    pub(crate) status: u16,
}

impl Serving {
    /// Stops in order.
    pub(crate) fn stop(mut self) {
        self.process.interrupt().unwrap();
        let status = self.process.wait_exit(Duration::from_secs(20)).unwrap();
        assert!(status.success(), "{}", self.process.output());
    }
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

/// One field of a JSON answer.
pub(crate) fn field(answer: &str, name: &str) -> Value {
    serde_json::from_str::<Value>(answer).unwrap()[name].clone()
}
