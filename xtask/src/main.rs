//! Repository chores: `cargo xtask <task>`.
#![forbid(unsafe_code)]

mod codegen;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((task, rest)) if task == "codegen" => codegen::run(rest),
        _ => anyhow::bail!("usage: cargo xtask codegen [--check]"),
    }
}
