//! A budget for compiling: the compiler cannot be interrupted, so code that would take it too long is refused before.
//!
//! Most of the work grows with the size of the code, which `shape.rs` bounds. Some of it grows faster within one function: with
//! the number of local variables, of blocks, and of nested loops (300 loops over 300 variables, in 5 KB, take over a minute), with
//! the values that a call takes and returns, a thousand for two bytes of code, and with blocks that pass values on (30,000 blocks
//! of three values each take 6 GB). The formulas below are fits to such functions, not proofs: of those tried, the slowest that
//! fit into the budget took 41 seconds on two busy cores, the largest function 400 MB, and the largest component 1.2 GB. The whole
//! of CPython, 13,000 functions, costs 23 % of it, and its largest function has 170,000 values.

use super::Error;
use super::arity::{Arities, Arity};
use super::shape::{at_most, malformed};
use wasmparser::{BinaryReaderError, FunctionBody, Operator, Parser, Payload};

const MAX_LOCALS: u64 = 5_000;
const MAX_LOOPS: u64 = 32;
const MAX_VALUES: u64 = 400_000;
const MAX_CROSSINGS: u64 = 30_000_000;
const BUDGET: u64 = 1_000_000_000;
/// The cost of an operator, and of each value that a call takes or returns.
const OPERATOR: u64 = 40;
const PASSED: u64 = 250;
/// How many other operators an operator counts for, in time and memory, that the compiler turns into checks, into branches and
/// a call, or into loops.
const CHECKS: u64 = 8;
const CALLS: u64 = 25;
const LOOPS: u64 = 100;

/// Refuses components that might take too long, or too much memory, to compile. Reads all of the code, so it is for
/// components that are not cached.
pub(super) fn check(bytes: &[u8]) -> Result<(), Error> {
    let mut cost: u64 = 0;
    let mut module = Arities::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::Version { .. } => module = Arities::default(),
            Payload::TypeSection(section) => module.types(section).map_err(malformed)?,
            Payload::ImportSection(section) => module.imports(section).map_err(malformed)?,
            Payload::FunctionSection(section) => module.functions(section).map_err(malformed)?,
            Payload::CodeSectionEntry(body) => {
                let function = Function::of(&body, &mut module).map_err(malformed)?;
                at_most("local variables in one function", function.locals, MAX_LOCALS)?;
                at_most("loops inside one another", function.loops, MAX_LOOPS)?;
                at_most("values in one function", function.values(), MAX_VALUES)?;
                let crossings = function.crossings();
                at_most("values times blocks that they cross in one function", crossings, MAX_CROSSINGS)?;
                cost = cost.saturating_add(function.cost());
                at_most("units of compiling cost", cost, BUDGET)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The properties that make one function expensive.
#[derive(Default)]
struct Function {
    locals: u64,
    blocks: u64,
    /// Branches, counting each target of a table.
    branches: u64,
    /// The deepest nesting of loops.
    loops: u64,
    /// Operators, weighted by their cost.
    operators: u64,
    /// Values that calls take and return.
    passed: u64,
    /// Values that blocks take and return, and that branches to them carry.
    carried: u64,
}

impl Function {
    fn of(body: &FunctionBody<'_>, module: &mut Arities) -> Result<Self, BinaryReaderError> {
        let signature = module.next_body();
        let mut it = Self { passed: signature.both(), ..Self::default() };
        for locals in body.get_locals_reader()? {
            it.locals = it.locals.saturating_add(u64::from(locals?.0));
        }
        let whole = Open { is_loop: false, carried: signature.results };
        let mut walk = Walk { module, function: it, open: vec![whole], loops: 0 };
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            walk.operator(&operators.read()?)?;
        }
        Ok(walk.function)
    }

    /// The number of values, which determines the memory for compiling.
    fn values(&self) -> u64 {
        self.operators.saturating_add(self.passed).saturating_add(self.carried)
    }

    fn crossings(&self) -> u64 {
        self.carried.saturating_mul(self.blocks)
    }

    fn cost(&self) -> u64 {
        let square = |n: u64| n.saturating_mul(n);
        let crossed = self.locals.saturating_mul(self.blocks.saturating_add(self.branches));
        let costs = [square(self.locals).saturating_mul(8), square(self.blocks), crossed, self.crossings()];
        let linear = self.operators.saturating_mul(OPERATOR).saturating_add(self.passed.saturating_mul(PASSED));
        costs.into_iter().fold(linear, u64::saturating_add)
    }
}

/// A walk through the operators of one function.
struct Walk<'a> {
    module: &'a Arities,
    function: Function,
    /// The blocks around the current operator, the function itself first.
    open: Vec<Open>,
    /// How many of these are loops.
    loops: u64,
}

struct Open {
    is_loop: bool,
    /// How many values a branch to the block carries.
    carried: u64,
}

impl Walk<'_> {
    fn operator(&mut self, operator: &Operator<'_>) -> Result<(), BinaryReaderError> {
        self.function.operators += weight(operator);
        match operator {
            Operator::Loop { blockty } => {
                let arity = self.module.of_block(*blockty);
                self.loops += 1;
                self.function.loops = self.function.loops.max(self.loops);
                self.opens(arity, Open { is_loop: true, carried: arity.params });
            }
            Operator::Block { blockty } | Operator::If { blockty } => {
                let arity = self.module.of_block(*blockty);
                self.opens(arity, Open { is_loop: false, carried: arity.results });
            }
            Operator::End => self.loops -= u64::from(self.open.pop().is_some_and(|block| block.is_loop)),
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => self.branches(*relative_depth),
            Operator::BrTable { targets } => {
                self.branches(targets.default());
                for target in targets.targets() {
                    self.branches(target?);
                }
            }
            Operator::Return => self.passes(self.open.first().map_or(0, |function| function.carried)),
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                self.passes(self.module.of_function(*function_index).both());
            }
            Operator::CallIndirect { type_index, .. } | Operator::ReturnCallIndirect { type_index, .. } => {
                // It looks up the function in blocks of its own.
                self.function.blocks += 1;
                self.passes(self.module.of_type(*type_index).both());
            }
            Operator::TableGet { .. } => self.function.blocks += 1,
            _ => {}
        }
        Ok(())
    }

    fn opens(&mut self, arity: Arity, block: Open) {
        self.function.blocks += 1;
        self.carries(arity.both());
        self.open.push(block);
    }

    fn branches(&mut self, depth: u32) {
        self.function.branches += 1;
        let target = self.open.len().checked_sub(1 + depth as usize).and_then(|index| self.open.get(index));
        self.carries(target.map_or(0, |block| block.carried));
    }

    fn carries(&mut self, values: u64) {
        self.function.carried = self.function.carried.saturating_add(values);
    }

    fn passes(&mut self, values: u64) {
        self.function.passed = self.function.passed.saturating_add(values);
    }
}

fn weight(operator: &Operator<'_>) -> u64 {
    match operator {
        Operator::I32TruncF32S
        | Operator::I32TruncF32U
        | Operator::I32TruncF64S
        | Operator::I32TruncF64U
        | Operator::I64TruncF32S
        | Operator::I64TruncF32U
        | Operator::I64TruncF64S
        | Operator::I64TruncF64U => CHECKS,
        Operator::CallIndirect { .. }
        | Operator::ReturnCallIndirect { .. }
        | Operator::MemoryCopy { .. }
        | Operator::MemoryFill { .. }
        | Operator::MemoryInit { .. }
        | Operator::MemoryGrow { .. }
        | Operator::TableGet { .. }
        | Operator::TableSet { .. }
        | Operator::TableGrow { .. } => CALLS,
        Operator::TableCopy { .. } | Operator::TableFill { .. } | Operator::TableInit { .. } => LOOPS,
        _ => 1,
    }
}
