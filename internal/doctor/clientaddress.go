package doctor

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

const (
	areaAddress   = "Client address"
	logLineWithin = 10 * time.Second
	logPoll       = 200 * time.Millisecond
	logLine       = " from ip address "
)

// checkClientAddress fails to log in, once, since Immich shows the client's address in its log only.
func (e *examination) checkClientAddress(ctx context.Context) {
	if e.ImmichLog == nil {
		e.skipped("client-address", areaAddress, "--immichLog=FILE, its log, tests what Immich sees")
		return
	}
	conn, err := e.dial(ctx)
	if err != nil {
		e.skipped("client-address", areaAddress, inWords(err))
		return
	}
	defer conn.Close()
	user := strings.ToLower("doctor-"+rand.Text()[:8]) + "@immichaccess.invalid"
	logged := make(chan string, 1)
	go awaitAddress(e.ImmichLog, user, logged)

	body := fmt.Sprintf(`{"email":%q,"password":"doctor"}`, user)
	head := e.head("/api/auth/login", http.Header{
		"Content-Type": {jsonType}, "Content-Length": {fmt.Sprint(len(body))}, "Connection": {"close"},
	})
	if _, err := conn.Write(append(head, body...)); err != nil {
		e.skipped("client-address", areaAddress, inWords(err))
		return
	}
	if a := e.receive(conn, patient); !a.isImmich() {
		e.skipped("client-address", areaAddress, "a login is answered otherwise: "+a.String())
		return
	}
	own, _ := netip.ParseAddrPort(conn.LocalAddr().String())
	server, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	select {
	case address := <-logged:
		e.judgeAddress(address, own.Addr().Unmap(), server.Addr().Unmap())
	case <-time.After(logLineWithin):
		e.skipped("client-address", areaAddress, "Immich's log has no line of the failed login of "+user)
	case <-ctx.Done():
	}
}

// awaitAddress reads the log until it names that user.
func awaitAddress(log io.Reader, user string, found chan<- string) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if line := lines.Text(); strings.Contains(line, user) {
			if _, rest, ok := strings.Cut(line, logLine); ok {
				address, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
				found <- address
				return
			}
		}
	}
}

// judgeAddress can't know the public address of this machine behind a router, so it accepts any public one there.
func (e *examination) judgeAddress(text string, own, server netip.Addr) {
	seen := fmt.Sprintf("Immich's log says %s, this machine is %s", text, own)
	address, err := netip.ParseAddr(text)
	switch address = address.Unmap(); {
	case err != nil:
		e.skipped("client-address", areaAddress, "not understood in the log: "+text)
	case address == own, isPublic(address) && isPublic(server):
		e.passed("client-address", areaAddress, seen)
	default:
		e.add(Finding{
			ID: "client-address", Level: Warning, Area: areaAddress,
			Title:  "Immich takes the proxy for the client",
			Seen:   seen,
			Breaks: "Its log, and fail2ban or CrowdSec behind it, see one address for everybody, and may lock out all.",
		})
	}
}

// Follow reads what is appended to a log file from now on, until ctx ends.
func Follow(ctx context.Context, file *os.File) (io.Reader, error) {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return file, err // reading a pipe waits by itself
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	return &follower{ctx: ctx, file: file}, nil
}

type follower struct {
	ctx  context.Context
	file *os.File
}

func (f *follower) Read(p []byte) (int, error) {
	for {
		n, err := f.file.Read(p)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		select {
		case <-time.After(logPoll):
		case <-f.ctx.Done():
			return 0, io.EOF
		}
	}
}
