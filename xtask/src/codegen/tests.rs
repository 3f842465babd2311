use super::*;

#[test]
fn committed_code_is_what_the_generator_writes() {
    for (path, text) in generate(&crate_dir()).unwrap() {
        let committed = fs::read_to_string(&path).unwrap();
        assert!(
            committed == text,
            "{} is stale: run cargo xtask codegen",
            path.display()
        );
    }
}
