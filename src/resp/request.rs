//! A request's arguments: byte ranges of the input buffer, read in place. Nothing is copied or allocated to look at them.

/// Where an argument lies: offset and length in the request's bytes.
pub type Span = (u32, u32);

/// The arguments of one request; index 0 is the command's name as it was sent.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Spans must lie inside `bytes`; the decoder sees to that. A span outside reads as empty.
    #[inline]
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Args { bytes, spans }
    }

    /// Number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True if there is not even a name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `i`. Within the arity that the table promises this never misses; beyond, it is empty.
    #[inline]
    pub fn get(&self, i: usize) -> &'a [u8] {
        match self.spans.get(i) {
            Some(&(at, len)) => self.bytes.get(at as usize..at as usize + len as usize).unwrap_or_default(),
            None => &[],
        }
    }

    /// Argument `i`, if it was given.
    pub fn opt(&self, i: usize) -> Option<&'a [u8]> {
        (i < self.len()).then(|| self.get(i))
    }

    /// The arguments from `i` on.
    pub fn from(&self, i: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let args = *self;
        (i.min(args.len())..args.len()).map(move |i| args.get(i))
    }

    /// True if argument `i` is `word` in any case. `word` is upper case.
    #[inline]
    pub fn is(&self, i: usize, word: &str) -> bool {
        self.get(i).eq_ignore_ascii_case(word.as_bytes())
    }

    /// A bound on `wire_bytes` that needs no look at the arguments: the buffer may hold other requests as well.
    #[inline]
    pub fn wire_bytes_bound(&self) -> usize {
        const FRAME_MAX: usize = 16;
        self.bytes.len() + FRAME_MAX * (self.spans.len() + 1)
    }

    /// Bytes that the request takes on the wire, framing included.
    pub fn wire_bytes(&self) -> usize {
        const FRAME: usize = "$\r\n\r\n".len();
        let digits = |n: usize| n.checked_ilog10().unwrap_or(0) as usize + 1;
        let args = self.spans.iter().map(|&(_, len)| FRAME + digits(len as usize) + len as usize).sum::<usize>();
        "*\r\n".len() + digits(self.spans.len()) + args
    }

    /// The request's bytes and spans, to be kept or passed on.
    pub fn parts(&self) -> (&'a [u8], &'a [Span]) {
        (self.bytes, self.spans)
    }
}

/// A request with bytes of its own: a queued command of MULTI, a blocked command, a request built by the server.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct OwnedRequest {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedRequest {
    /// A copy of a request.
    pub fn copy(args: Args<'_>) -> Self {
        Self::build(args.from(0))
    }

    /// A request of these arguments.
    pub fn build<'b>(args: impl IntoIterator<Item = &'b [u8]>) -> Self {
        let mut made = OwnedRequest::default();
        for arg in args {
            made.push(arg);
        }
        made
    }

    /// Adds an argument.
    pub fn push(&mut self, arg: &[u8]) {
        self.spans.push((self.bytes.len() as u32, arg.len() as u32));
        self.bytes.extend_from_slice(arg);
    }

    /// Drops all arguments, keeping the memory.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.bytes.clear();
    }

    /// The arguments.
    pub fn args(&self) -> Args<'_> {
        Args::new(&self.bytes, &self.spans)
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }
}

impl<'b> FromIterator<&'b [u8]> for OwnedRequest {
    fn from_iter<T: IntoIterator<Item = &'b [u8]>>(iter: T) -> Self {
        Self::build(iter)
    }
}
