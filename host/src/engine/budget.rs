//! A budget for compiling: the compiler cannot be interrupted, so what would keep it busy is refused before it starts.
//!
//! Most of the work grows with the size of the code, which `shape.rs` bounds. Some of it grows faster within one function:
//! with the number of local variables, of blocks, and of loops inside one another (300 loops over 300 variables, in 5 KB,
//! take over a minute). The formula below is a fit to a few such functions, not a proof: of those tried, the slowest that fits
//! into the budget took 41 seconds on two busy cores. The whole of CPython, 13,000 functions, costs 3 % of it.

use super::Error;
use super::shape::{at_most, malformed};
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

const MAX_LOCALS: u64 = 5_000;
const MAX_LOOPS: u64 = 32;
const BUDGET: u64 = 1_000_000_000;

/// Refuses what might take too long to compile. Reads all of the code, so it is for components that are not cached.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut cost: u64 = 0;
    for payload in Parser::new(0).parse_all(bytes) {
        let Payload::CodeSectionEntry(body) = payload.map_err(malformed)? else { continue };
        let function = Function::of(&body).map_err(malformed)?;
        at_most("local variables in one function", function.locals, MAX_LOCALS)?;
        at_most("loops inside one another", function.loops, MAX_LOOPS)?;
        cost = cost.saturating_add(function.cost());
        at_most("units of compiling cost", cost, BUDGET)?;
    }
    Ok(())
}

/// What makes one function expensive.
#[derive(Default)]
struct Function {
    locals: u64,
    blocks: u64,
    /// Branches, counting each target of a table.
    branches: u64,
    /// The deepest nesting of loops.
    loops: u64,
}

impl Function {
    fn of(body: &FunctionBody<'_>) -> Result<Self, BinaryReaderError> {
        let mut it = Self::default();
        for locals in body.get_locals_reader()? {
            it.locals = it.locals.saturating_add(u64::from(locals?.0));
        }
        // For each open block, whether it is a loop.
        let mut open = Vec::new();
        let mut loops = 0;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            match operators.read()? {
                Operator::Loop { .. } => {
                    it.blocks += 1;
                    loops += 1;
                    it.loops = it.loops.max(loops);
                    open.push(true);
                }
                Operator::Block { .. } | Operator::If { .. } => {
                    it.blocks += 1;
                    open.push(false);
                }
                Operator::End => loops -= u64::from(open.pop() == Some(true)),
                Operator::Br { .. } | Operator::BrIf { .. } => it.branches += 1,
                Operator::BrTable { targets } => it.branches += u64::from(targets.len()) + 1,
                _ => {}
            }
        }
        Ok(it)
    }

    fn cost(&self) -> u64 {
        let square = |n: u64| n.saturating_mul(n);
        let crossed = self.locals.saturating_mul(self.blocks.saturating_add(self.branches));
        square(self.locals).saturating_mul(8).saturating_add(square(self.blocks)).saturating_add(crossed)
    }
}
