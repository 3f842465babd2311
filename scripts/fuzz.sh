#!/usr/bin/env bash
# Explores the fuzz targets with libFuzzer, one after the other: scripts/fuzz.sh [TARGET...]; all of them without
# arguments. SECONDS_EACH (60) bounds each. What grows, and what breaks something, goes below target/fuzzing and
# not into the repository. Exit status 1: something broke; 2: a tool is missing.
set -euo pipefail
cd "${0%/*}/.."
seconds=${SECONDS_EACH:-60}

missing() {
    echo "fuzz: $1" >&2
    exit 2
}
rustup run nightly rustc --version >/dev/null 2>&1 ||
    missing "needs a nightly compiler (sanitizer coverage is unstable): rustup toolchain install nightly --profile minimal"
cargo fuzz --version >/dev/null 2>&1 || missing "needs cargo-fuzz: cargo install cargo-fuzz --locked --version 0.13.2"
[[ $seconds =~ ^[1-9][0-9]*$ ]] || missing "SECONDS_EACH is a number of seconds, not $seconds"
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
    for folder in fuzz/corpus/*/; do targets+=("$(basename "$folder")"); done
fi
for target in "${targets[@]}"; do
    [ -d "fuzz/corpus/$target" ] || missing "there is no target $target in fuzz/corpus"
done

out=$PWD/target/fuzzing
# The versions that everything else is built with; the package of the targets is a workspace of its own.
cp Cargo.lock fuzz/targets/Cargo.lock
(cd fuzz && CARGO_INCREMENTAL=0 cargo +nightly fuzz build --fuzz-dir targets -s none --target-dir "$out/build")
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
any=$out/build/$host/release/any

broken=0
for target in "${targets[@]}"; do
    mkdir -p "$out/$target/corpus" "$out/$target/findings"
    log=$out/$target/log
    status=0
    TARGET=$target nice "$any" "$out/$target/corpus" "fuzz/corpus/$target" -max_total_time="$seconds" \
        -rss_limit_mb=2048 -timeout=10 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="$out/$target/findings/" >"$log" 2>&1 || status=$?
    stat() { sed -n "s/^stat::$1: *//p" "$log"; }
    edges=$(grep -o 'cov: [0-9]*' "$log" | tail -1 | cut -d' ' -f2 || true)
    printf '%-18s %10s runs %7s/s %6s edges %5s MiB' "$target" "$(stat number_of_executed_units)" \
        "$(stat average_exec_per_sec)" "${edges:-?}" "$(stat peak_rss_mb)"
    if [ "$status" != 0 ]; then
        broken=1
        printf '  BROKE: see %s' "$log"
    fi
    echo
done
exit "$broken"
