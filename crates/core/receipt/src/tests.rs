mod canonical;
mod record;
mod tampered;
mod world;
