package server

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// firstSocket follows standard input, output and error.
const firstSocket = 3

// sockets are those that systemd has opened for this process, by name.
type sockets struct {
	streams map[string]net.Listener
	packets map[string]net.PacketConn
}

// activated reads what sd_listen_fds(3) describes.
func activated() (*sockets, error) {
	given := &sockets{map[string]net.Listener{}, map[string]net.PacketConn{}}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return given, nil
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := range count {
		name := ""
		if i < len(names) {
			name = names[i]
		}
		if err := given.add(os.NewFile(uintptr(firstSocket+i), name), name); err != nil {
			return nil, fmt.Errorf("the socket %q from systemd: %w", name, err)
		}
	}
	return given, nil
}

// add closes the file, since net has its own copy.
func (s *sockets) add(file *os.File, name string) (err error) {
	defer file.Close()
	switch name {
	case "https", "http", "plain", "keyless", "admin":
		s.streams[name], err = net.FileListener(file)
	case "quic", "keyless-quic":
		s.packets[name], err = net.FilePacketConn(file)
	default:
		err = fmt.Errorf("the name is not known; set FileDescriptorName= to https, quic, http, plain, keyless, keyless-quic or admin")
	}
	return err
}

// Notify sends a state to systemd, as sd_notify(3) describes; without systemd, it does nothing.
func Notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
