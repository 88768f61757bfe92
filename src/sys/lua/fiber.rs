//! A script that can be left in the middle: its interpreter runs on a stack of its own. What the script wants of the server
//! it asks for by suspending itself, so that it holds nothing of the server's while it runs, and can wait as long as need be.

use super::{Machine, State};
use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::any::TypeId;
use std::mem::ManuallyDrop;

/// Address space of a fiber's stack; memory is only used as deep as the stack gets. Lua's own stack of 65,500 places is what
/// ends recursion, also that through `string.gsub`, which needs the most (9 KB of this stack at each of 5,000 levels).
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// A stack to run fibers on, one at a time.
pub struct FiberStack(DefaultStack);

impl FiberStack {
    /// # Errors
    /// The system has no address space left.
    pub fn new() -> std::io::Result<Self> {
        DefaultStack::new(STACK_BYTES).map(FiberStack)
    }
}

type Inner<Ask, Answer, Done> = Coroutine<Answer, Ask, (Machine, Done), DefaultStack>;

/// An interpreter that runs. One that is dropped while it is suspended is leaked: there is no way to end it then.
pub struct Fiber<Ask: 'static, Answer: 'static, Done: 'static> {
    inner: ManuallyDrop<Inner<Ask, Answer, Done>>,
    /// What is left when it has ended.
    left: Option<(Machine, Done)>,
}

impl<Ask: 'static, Answer: 'static, Done: 'static> Fiber<Ask, Answer, Done> {
    /// A fiber that will run `body`, from the first `resume` on, with the answer given there.
    pub fn new(mut machine: Machine, stack: FiberStack, body: impl FnOnce(&mut State, Answer) -> Done + 'static) -> Self {
        let run = move |yielder: &Yielder<Answer, Ask>, first: Answer| {
            let shared = machine.shared();
            shared.yielder.set(Some((TypeId::of::<(Ask, Answer)>(), std::ptr::from_ref(yielder).cast())));
            let done = body(&mut machine.state(), first);
            machine.shared().yielder.set(None);
            (machine, done)
        };
        Fiber { inner: ManuallyDrop::new(Coroutine::with_stack(stack.0, run)), left: None }
    }

    /// Goes on with an answer to what it asked for, until it asks again. `None` when it has ended: `end` tells the rest.
    #[inline]
    pub fn resume(&mut self, answer: Answer) -> Option<Ask> {
        if self.left.is_some() {
            return None;
        }
        match self.inner.resume(answer) {
            CoroutineResult::Yield(ask) => Some(ask),
            CoroutineResult::Return(left) => {
                self.left = Some(left);
                None
            }
        }
    }

    /// The interpreter and the stack, to be used again, and what the body returned. `None` for one that has not ended, which is
    /// leaked.
    pub fn end(self) -> Option<(Machine, FiberStack, Done)> {
        let (machine, done) = self.left?;
        let stack = ManuallyDrop::into_inner(self.inner).into_stack();
        Some((machine, FiberStack(stack), done))
    }
}
