package server

import (
	"errors"
	"fmt"
	"net"

	"github.com/immichaccess/immichaccess/internal/config"
)

// Listeners are the open ports; those that are turned off are nil.
type Listeners struct {
	HTTPS net.Listener
	HTTP  net.Listener
	QUIC  net.PacketConn
	Admin net.Listener
}

// Listen takes the sockets that systemd holds for us, by their names https, http, quic and admin, and opens the others.
func Listen(settings *config.Settings) (*Listeners, error) {
	given, err := activated()
	if err != nil {
		return nil, err
	}
	l := &Listeners{HTTPS: given.streams["https"], HTTP: given.streams["http"], Admin: given.streams["admin"], QUIC: given.packets["quic"]}
	err = errors.Join(
		open(&l.HTTPS, "listen.https", settings.Listen.HTTPS),
		open(&l.HTTP, "listen.http", settings.Listen.HTTP),
		open(&l.Admin, "admin.address", adminAddress(settings.Admin.Address)),
	)
	if err == nil && settings.HTTP3 {
		err = l.openQUIC()
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func open(l *net.Listener, option, address string) (err error) {
	if *l != nil || address == "" {
		return nil
	}
	*l, err = net.Listen("tcp", address)
	if err != nil {
		*l = nil
		return fmt.Errorf("%s: %w", option, err)
	}
	return nil
}

// openQUIC takes the number of the HTTPS port, where clients expect it.
func (l *Listeners) openQUIC() (err error) {
	if l.QUIC != nil {
		return nil
	}
	l.QUIC, err = net.ListenPacket("udp", l.HTTPS.Addr().String())
	if err != nil {
		l.QUIC = nil
		return fmt.Errorf("listen.https for HTTP/3: %w; turn it off with http3=false", err)
	}
	return nil
}

// adminAddress stays on loopback unless the user names a host.
func adminAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host != "" {
		return address
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// Close closes what is open.
func (l *Listeners) Close() {
	for _, listener := range []net.Listener{l.HTTPS, l.HTTP, l.Admin} {
		if listener != nil {
			_ = listener.Close()
		}
	}
	if l.QUIC != nil {
		_ = l.QUIC.Close()
	}
}

// Port is that of a listener, 0 for one that is closed.
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
