package testbed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace, which ends with the test. The nil one is the machine's.
type Namespace struct {
	file *os.File
	// Address is the namespace's address on its first link.
	Address string
}

// NewNamespace makes a network with nothing but loopback. It needs root.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	n := &Namespace{}
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("a network namespace needs root: %w", err)
		}
		var err error
		n.file, err = os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		if err != nil {
			return err
		}
		return ip("link", "set", "lo", "up")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.file.Close() })
	return n
}

// do calls a function in the namespace. Sockets that it opens and programs that it starts stay there.
func (n *Namespace) do(what func() error) error {
	if n == nil {
		return what()
	}
	return onOwnThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return err
		}
		return what()
	})
}

// onOwnThread calls a function on a thread that ends with it, so that it may change what belongs to the thread.
func onOwnThread(what func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocks it
		done <- what()
	}()
	return <-done
}

func ip(arguments ...string) error {
	if output, err := exec.CommandContext(context.Background(), "ip", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, output)
	}
	return nil
}

// dial connects from within the namespace. The address must be a literal one: resolvers run on other threads.
func (n *Namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

func (n *Namespace) listenPacket() (conn net.PacketConn, err error) {
	err = n.do(func() error {
		conn, err = new(net.ListenConfig).ListenPacket(context.Background(), "udp4", ":0")
		return err
	})
	return conn, err
}

// Link connects two namespaces by a pair of TUN devices. It forwards each packet after a delay, or drops it, like netem, which
// not every kernel has.
type Link struct {
	delay atomic.Int64  // nanoseconds in each direction
	loss  atomic.Uint64 // of a million packets
	cut   atomic.Bool
}

const (
	linkPackets = 4096 // in transit in one direction; more are dropped, as in a router
	mtu         = 1500
	million     = 1_000_000
)

var links atomic.Uint32

// Connect joins two namespaces by a link without delay.
func Connect(t testing.TB, a, b *Namespace) *Link {
	t.Helper()
	number := links.Add(1)
	near, far := fmt.Sprintf("10.77.%d.1", number%250), fmt.Sprintf("10.77.%d.2", number%250)
	one, err := a.openTUN(fmt.Sprintf("tun%d", number), near, far)
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.openTUN(fmt.Sprintf("tun%d", number), far, near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = one.Close(), two.Close() })
	l := &Link{}
	go l.forward(one, two)
	go l.forward(two, one)
	return l
}

// Slow sets the delay in each direction and the percentage of lost packets.
func (l *Link) Slow(delay time.Duration, lossPercent float64) {
	l.delay.Store(int64(delay))
	l.loss.Store(uint64(lossPercent / 100 * million))
}

// Cut drops all packets, until Restore.
func (l *Link) Cut() { l.cut.Store(true) }

// Restore ends Cut.
func (l *Link) Restore() { l.cut.Store(false) }

type packet struct {
	content []byte
	due     time.Time
}

func (l *Link) forward(from, to *os.File) {
	queue := make(chan packet, linkPackets)
	defer close(queue)
	go func() {
		for p := range queue {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.content)
		}
	}()
	buffer := make([]byte, mtu)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if l.cut.Load() || rand.Uint64N(million) < l.loss.Load() {
			continue
		}
		select {
		case queue <- packet{append([]byte(nil), buffer[:n]...), time.Now().Add(time.Duration(l.delay.Load()))}:
		default:
		}
	}
}

// openTUN returns the device of a new interface that leads to the peer.
func (n *Namespace) openTUN(name, own, peer string) (device *os.File, err error) {
	if n.Address == "" {
		n.Address = own
	}
	err = n.do(func() error {
		descriptor, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("/dev/net/tun: %w", err)
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(descriptor, unix.TUNSETIFF, request); err != nil {
			return errors.Join(fmt.Errorf("TUNSETIFF: %w", err), unix.Close(descriptor))
		}
		device = os.NewFile(uintptr(descriptor), name)
		return errors.Join(
			ip("addr", "add", own, "peer", peer, "dev", name),
			ip("link", "set", name, "up", "mtu", fmt.Sprint(mtu)),
		)
	})
	return device, err
}
