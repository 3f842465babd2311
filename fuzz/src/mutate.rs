//! Seeded mutation: the same seed gives the same inputs on every machine.

/// Longest input made.
const MAX_INPUT: usize = 64 * 1024;

/// Values that decoders trip over.
const EDGES: [u8; 8] = [0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF, 0x10, 0x3C];

/// Makes inputs from seeds.
#[derive(Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// Starts from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    /// xorshift64*: not random, repeatable.
    const fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `bound`, which is at least 1.
    const fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }

    /// One to four changes of one of `seeds` (with a part of another one spliced in at times).
    pub fn make(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = match seeds.len() {
            0 => Vec::new(),
            count => seeds[self.below(count)].clone(),
        };
        for _ in 0..=self.below(4) {
            self.change(&mut input, seeds);
        }
        input.truncate(MAX_INPUT);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        match self.below(8) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = EDGES[self.below(EDGES.len())],
            2 if at < input.len() => input[at] = self.next() as u8,
            3 => input.truncate(at),
            4 if at < input.len() => {
                let end = (at + 1 + self.below(16)).min(input.len());
                input.drain(at..end);
            }
            5 => {
                let byte = self.next() as u8;
                let count = 1 + self.below(16);
                input.splice(at..at, std::iter::repeat_n(byte, count));
            }
            6 if at + 4 <= input.len() => {
                let value = [0u32, 1, 7, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF][self.below(6)];
                input[at..at + 4].copy_from_slice(&value.to_be_bytes());
            }
            7 if !seeds.is_empty() => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                let to = (from + self.below(64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ => {}
        }
    }
}
