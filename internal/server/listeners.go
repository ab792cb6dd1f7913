package server

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/immichaccess/immichaccess/internal/config"
)

// Listeners are the open sockets; nil where there is none.
type Listeners struct {
	HTTPS       net.Listener
	QUIC        net.PacketConn
	HTTP        net.Listener
	Plain       net.Listener
	Keyless     net.Listener
	KeylessQUIC net.PacketConn
	Admin       net.Listener
}

// Listen takes the sockets that systemd has opened, by their names https, quic, http, plain, keyless, keyless-quic and admin,
// and opens the others.
func Listen(settings *config.Settings) (*Listeners, error) {
	given, err := activated()
	if err != nil {
		return nil, err
	}
	l := &Listeners{
		HTTPS: given.streams["https"], QUIC: given.packets["quic"],
		HTTP:    given.streams["http"],
		Plain:   given.streams["plain"],
		Keyless: given.streams["keyless"], KeylessQUIC: given.packets["keyless-quic"],
		Admin: given.streams["admin"],
	}
	err = errors.Join(
		l.refuseKeyless(settings),
		open(&l.HTTPS, "listen.https", settings.Listen.HTTPS),
		open(&l.HTTP, "listen.http", settings.HTTPAddress()),
		open(&l.Plain, "listen.plain", settings.Listen.Plain),
		open(&l.Keyless, "listen.keyless", settings.Listen.Keyless),
		open(&l.Admin, "admin.address", settings.AdminAddress()),
	)
	if err == nil && settings.HTTP3 {
		err = errors.Join(openQUIC(&l.QUIC, "listen.https", l.HTTPS), openQUIC(&l.KeylessQUIC, "listen.keyless", l.Keyless))
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// refuseKeyless requires that the configuration also says that there are clients without a key.
func (l *Listeners) refuseKeyless(settings *config.Settings) error {
	if settings.Listen.Keyless == "" && (l.Keyless != nil || l.KeylessQUIC != nil) {
		return errors.New("listen.keyless: systemd holds a socket for it, but the option is empty; give its address")
	}
	return nil
}

func open(l *net.Listener, option, address string) (err error) {
	if *l != nil || address == "" {
		return nil
	}
	*l, err = net.Listen("tcp", address)
	if err != nil {
		*l = nil
		return fmt.Errorf("%s: %w%s", option, err, remedy(err))
	}
	return nil
}

// openQUIC uses the port of HTTPS, where clients expect it.
func openQUIC(conn *net.PacketConn, option string, https net.Listener) (err error) {
	if *conn != nil || https == nil {
		return nil
	}
	*conn, err = net.ListenPacket("udp", https.Addr().String())
	if err != nil {
		*conn = nil
		return fmt.Errorf("%s for HTTP/3 (UDP): %w%s; or turn HTTP/3 off with http3=false", option, err, remedy(err))
	}
	return nil
}

// remedy returns, as the end of an error, what to do about an address that can't be listened on.
func remedy(err error) string {
	switch {
	case errors.Is(err, syscall.EACCES):
		return "; ports below 1024 need a privilege: have systemd hold the socket (docs/standalone.md), allow it with " +
			"setcap cap_net_bind_service=+ep and the path of the binary, or choose another port, such as :8443"
	case errors.Is(err, syscall.EADDRINUSE):
		return "; another program listens there: see which with ss -ltnp (ss -lunp for UDP), and stop it, or choose another port, such as :8443"
	}
	return ""
}

// Close closes all open sockets.
func (l *Listeners) Close() {
	for _, listener := range []net.Listener{l.HTTPS, l.HTTP, l.Plain, l.Keyless, l.Admin} {
		if listener != nil {
			_ = listener.Close()
		}
	}
	for _, conn := range []net.PacketConn{l.QUIC, l.KeylessQUIC} {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// Port is the port of a listener, 0 without one.
func Port(l net.Listener) int {
	if l == nil {
		return 0
	}
	address, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0
	}
	return address.Port
}
