package http2

import "io"

// receiveWindow is how much the client may send (RFC 9113, section 6.9).
type receiveWindow struct {
	open     int64
	consumed int64 // by which it may be extended
}

// windowStep is by how much a window is extended at least, so that few frames are needed. It is a small part of the windows.
const windowStep = 128 << 10

func (w *receiveWindow) take(n int) bool {
	if int64(n) > w.open {
		return false
	}
	w.open -= int64(n)
	return true
}

// give returns by how much the window is to be extended now that n more bytes are consumed, usually by nothing.
func (w *receiveWindow) give(n int) uint32 {
	w.consumed += int64(n)
	if w.consumed < windowStep {
		return 0
	}
	extension := w.consumed
	w.open += extension
	w.consumed = 0
	return uint32(extension) //nolint:gosec // not above the window
}

// extend queues the frame that extends a window, if it is time; mu is held.
func (c *conn) extend(w *receiveWindow, stream uint32, n int) {
	if by := w.give(n); by > 0 {
		c.out.queue(appendNumber(nil, frameWindowUpdate, stream, by))
	}
}

// consumed records that bytes of bodies are not held any more; mu is held.
func (c *conn) consumed(n int) {
	c.uploads.Give(int64(n))
	c.extend(&c.received, 0, n)
}

// consumed records that bytes of the stream's body were read.
func (s *stream) consumed(n int) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.conn.consumed(n)
	if !s.remoteEnded && s.err == nil {
		s.conn.extend(&s.body.window, s.id, n)
	}
}

// readData stores what arrives of a body.
func (c *conn) readData(f frame) error {
	c.uploads.Take(int64(f.length))
	size := f.length
	if f.has(flagPadded) {
		padding, err := c.padding(f)
		if err != nil {
			return err
		}
		size -= 1 + padding
	}
	rest := f.length - size // padding, but for its length, which was read
	if rest > 0 {
		rest--
	}
	s, problem := c.acceptData(f, size)
	if _, broken := problem.(connError); broken { //nolint:errorlint // it is not wrapped
		return problem
	}
	if err := c.store(s, size); err != nil {
		return err
	}
	if _, err := c.reader.Discard(rest); err != nil {
		return err
	}
	if problem == nil && s != nil && f.has(flagEndStream) {
		s.received(nil)
	}
	return problem
}

func (c *conn) padding(f frame) (int, error) {
	if f.length == 0 {
		return 0, connError{codeFrameSize, "a frame without the padding that it announces"}
	}
	padding, err := c.reader.ReadByte()
	if err == nil && int(padding) >= f.length {
		err = connError{codeProtocol, "the padding is larger than the frame"}
	}
	return int(padding), err
}

// acceptData returns the stream of a frame of size bytes and padding, nil if nobody will read them, and the error that they cause after
// they were received.
func (c *conn) acceptData(f frame, size int) (*stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.stream == 0 || f.stream > c.newest {
		return nil, connError{codeProtocol, "DATA on a stream that was not opened"}
	}
	if !c.received.take(f.length) {
		return nil, connError{codeFlowControl, "DATA beyond the connection's window"}
	}
	s := c.streams[f.stream]
	err := c.checkData(s, f, size)
	if s == nil || err != nil {
		c.consumed(f.length)
		return nil, err
	}
	if padding := f.length - size; padding > 0 {
		c.consumed(padding)
		c.extend(&s.body.window, s.id, padding)
	}
	return s, nil
}

// checkData is called with mu held.
func (c *conn) checkData(s *stream, f frame, size int) error {
	ended := func(code errCode, reason string) error { return streamError{f.stream, connError{code, reason}} }
	switch {
	case s == nil && c.ignores(f.stream, f.has(flagEndStream)):
		return nil
	case s == nil || s.remoteEnded:
		return ended(codeStreamClosed, "DATA after the end of a request")
	case !s.body.window.take(f.length):
		return ended(codeFlowControl, "DATA beyond the stream's window")
	case s.body.exceeds(size):
		return ended(codeProtocol, "a body is longer than announced")
	}
	return nil
}

// store reads size bytes, for a stream if there is one that wants them.
func (c *conn) store(s *stream, size int) error {
	for size > 0 {
		var room []byte
		if s != nil {
			room = s.body.room(size)
		}
		if room == nil {
			return c.drop(s, size)
		}
		n, err := c.fill(room)
		if dropped := s.body.arrived(n); dropped > 0 {
			c.release(dropped)
		}
		if size -= n; err != nil {
			return err
		}
	}
	return nil
}

// fill reads what is buffered and what comes next, so that a frame usually wakes the handler once.
func (c *conn) fill(room []byte) (int, error) {
	buffered := min(len(room), c.reader.Buffered())
	_, _ = io.ReadFull(c.reader, room[:buffered]) // can't fail
	if buffered == len(room) {
		return buffered, nil
	}
	n, err := c.reader.Read(room[buffered:])
	return buffered + n, err
}

// drop reads what a stream does not want any more.
func (c *conn) drop(s *stream, size int) error {
	n, err := c.reader.Discard(size)
	if s != nil {
		s.body.arrived(n)
		c.release(n)
	}
	return err
}

func (c *conn) release(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.consumed(n)
}
