//! The numbers of parameters and results of a module's functions and blocks, read from its sections before validation.

use wasmparser::{
    BinaryReaderError, BlockType, CompositeInnerType, FunctionSectionReader, ImportSectionReader, TypeRef,
    TypeSectionReader,
};

/// The most types, imports or functions in one module; the compiler accepts fewer.
const MAX: usize = 1_000_000;

/// The number of parameters and results of a type; zero if there is no such type, since the compiler then refuses the
/// module.
#[derive(Clone, Copy, Default)]
pub(super) struct Arity {
    pub(super) params: u64,
    pub(super) results: u64,
}

/// The sections of one module, as far as they were read.
#[derive(Default)]
pub(super) struct Arities {
    types: Vec<Arity>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    /// The number of function bodies that were read.
    bodies: usize,
    imports: usize,
}

impl Arity {
    pub(super) fn both(self) -> u64 {
        self.params + self.results
    }
}

impl Arities {
    pub(super) fn types(&mut self, section: TypeSectionReader<'_>) -> Result<(), BinaryReaderError> {
        for group in section {
            for one in group?.into_types() {
                let arity = match &one.composite_type.inner {
                    CompositeInnerType::Func(function) => {
                        Arity { params: function.params().len() as u64, results: function.results().len() as u64 }
                    }
                    _ => Arity::default(),
                };
                push(&mut self.types, arity);
            }
        }
        Ok(())
    }

    pub(super) fn imports(&mut self, section: ImportSectionReader<'_>) -> Result<(), BinaryReaderError> {
        for import in section.into_imports() {
            if let TypeRef::Func(index) | TypeRef::FuncExact(index) = import?.ty {
                push(&mut self.functions, index);
            }
        }
        self.imports = self.functions.len();
        Ok(())
    }

    pub(super) fn functions(&mut self, section: FunctionSectionReader<'_>) -> Result<(), BinaryReaderError> {
        for index in section {
            push(&mut self.functions, index?);
        }
        Ok(())
    }

    /// The type of the function whose body comes next.
    pub(super) fn next_body(&mut self) -> Arity {
        self.bodies += 1;
        self.functions.get(self.imports + self.bodies - 1).map_or_else(Arity::default, |index| self.of_type(*index))
    }

    pub(super) fn of_type(&self, index: u32) -> Arity {
        self.types.get(index as usize).copied().unwrap_or_default()
    }

    pub(super) fn of_function(&self, index: u32) -> Arity {
        self.functions.get(index as usize).map_or_else(Arity::default, |index| self.of_type(*index))
    }

    pub(super) fn of_block(&self, block: BlockType) -> Arity {
        match block {
            BlockType::Empty => Arity::default(),
            BlockType::Type(_) => Arity { params: 0, results: 1 },
            BlockType::FuncType(index) => self.of_type(index),
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX {
        list.push(item);
    }
}
