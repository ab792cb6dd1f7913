package http2

import "encoding/binary"

// Settings (RFC 9113, section 6.5.2).
const (
	settingTableSize = 1
	settingPush      = 2
	settingStreams   = 3
	settingWindow    = 4
	settingFrameSize = 5
	settingHeadSize  = 6

	settingSize  = 6
	mostSettings = 100 // in a frame; usually there are fewer than ten

	defaultWindow    = 1<<16 - 1
	defaultTableSize = 4 << 10
	largestFrame     = 1<<24 - 1
)

func appendSetting(to []byte, id uint16, value int) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(to, id), uint32(value)) //nolint:gosec // all are small
}

func appendGoAway(to []byte, newest uint32, code errCode) []byte {
	to = appendFrame(to, 8, frameGoAway, 0, 0)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(to, newest), uint32(code))
}

// readControl reads a frame that carries no part of a request.
func (c *conn) readControl(f frame) error {
	if err := checkFrame(f); err != nil {
		return err
	}
	p, err := c.payload(f)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch f.kind {
	case frameRSTStream:
		return c.streamReset(f)
	case frameSettings:
		return c.settings(f, p)
	case framePing:
		if !f.has(flagAck) {
			c.out.queue(append(appendFrame(nil, len(p), framePing, flagAck, 0), p...))
		}
	case frameGoAway:
		c.drain()
	case frameWindowUpdate:
		return c.windowUpdated(f, int64(binary.BigEndian.Uint32(p)&highest))
	}
	return nil
}

// checkFrame checks the size and the stream of a frame. Unknown ones are ignored.
func checkFrame(f frame) error {
	const numberSize, pingSize, goAwaySize, prioritySize = 4, 8, 8, 5
	var sized, ofStream, ofConn bool
	switch f.kind {
	case framePriority:
		sized, ofStream = f.length == prioritySize, true
	case frameRSTStream:
		sized, ofStream = f.length == numberSize, true
	case frameSettings:
		sized, ofConn = f.length%settingSize == 0 && (!f.has(flagAck) || f.length == 0), true
	case framePushPromise:
		return connError{codeProtocol, "clients can't push"}
	case framePing:
		sized, ofConn = f.length == pingSize, true
	case frameGoAway:
		sized, ofConn = f.length >= goAwaySize, true
	case frameWindowUpdate:
		sized = f.length == numberSize
	default:
		sized = true
	}
	switch {
	case ofStream && f.stream == 0, ofConn && f.stream != 0:
		return connError{codeProtocol, "a frame on the wrong stream"}
	case !sized:
		return connError{codeFrameSize, "a frame with the wrong size"}
	}
	return nil
}

// streamReset is called with mu held.
func (c *conn) streamReset(f frame) error {
	if f.stream > c.newest {
		return connError{codeProtocol, "RST_STREAM of a stream that was not opened"}
	}
	if s := c.streams[f.stream]; s != nil {
		s.remoteEnded = true
		s.end(errReset)
	}
	c.ignores(f.stream, true)
	return nil
}

// windowUpdated is called with mu held.
func (c *conn) windowUpdated(f frame, by int64) error {
	s := c.streams[f.stream]
	switch {
	case f.stream == 0 && by == 0:
		return connError{codeProtocol, "WINDOW_UPDATE by nothing"}
	case f.stream == 0 && c.out.window+by > highest:
		return connError{codeFlowControl, "the connection's window is too large"}
	case f.stream == 0:
		c.out.window += by
	case f.stream > c.newest:
		return connError{codeProtocol, "WINDOW_UPDATE of a stream that was not opened"}
	case s == nil:
		return nil // it has ended
	case by == 0:
		return streamError{f.stream, connError{codeProtocol, "WINDOW_UPDATE by nothing"}}
	case s.window+by > highest:
		return streamError{f.stream, connError{codeFlowControl, "the stream's window is too large"}}
	default:
		s.window += by
	}
	c.out.grant()
	return nil
}

// settings is called with mu held.
func (c *conn) settings(f frame, p []byte) error {
	if f.has(flagAck) {
		return nil
	}
	if len(p) > mostSettings*settingSize {
		return connError{codeCalm, "too many settings"}
	}
	for ; len(p) > 0; p = p[settingSize:] {
		if err := c.set(binary.BigEndian.Uint16(p), int64(binary.BigEndian.Uint32(p[2:]))); err != nil {
			return err
		}
	}
	c.out.queue(appendFrame(nil, 0, frameSettings, flagAck, 0))
	c.out.grant()
	return nil
}

// set is called with mu held.
func (c *conn) set(id uint16, value int64) error {
	switch id {
	case settingTableSize:
		c.out.encoder.SetMaxDynamicTableSize(uint32(min(value, defaultTableSize))) //nolint:gosec // as bounded
	case settingPush:
		if value > 1 {
			return connError{codeProtocol, "SETTINGS_ENABLE_PUSH is neither 0 nor 1"}
		}
	case settingFrameSize:
		if value < maxFrame || value > largestFrame {
			return connError{codeProtocol, "SETTINGS_MAX_FRAME_SIZE is not allowed"}
		}
	case settingWindow:
		return c.setWindow(value)
	}
	return nil
}

// setWindow changes the windows of all streams (RFC 9113, section 6.9.2); mu is held.
func (c *conn) setWindow(value int64) error {
	if value > highest {
		return connError{codeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE is too large"}
	}
	by := value - c.out.initial
	c.out.initial = value
	for _, s := range c.streams {
		if s.window += by; s.window > highest {
			return connError{codeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large"}
		}
	}
	return nil
}
