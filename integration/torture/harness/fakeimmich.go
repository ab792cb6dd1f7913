package harness

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// What the process of the fake Immich does.

const (
	uploadHeader = "X-Upload" // the name of an upload, in its form too
	faultHeader  = "X-Fault"  // what Immich is to do wrong with this request
)

// misbehaving is the fake Immich with a journal and with faults.
type misbehaving struct {
	immich  *fakeimmich.Server
	mu      sync.Mutex
	journal *os.File // guarded by mu
}

func serveImmich(address, journal string) error {
	file, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	m := &misbehaving{immich: fakeimmich.New(), journal: file}
	server := m.immich.HTTPServer()
	server.Handler = m
	fmt.Println(listening)
	return server.Serve(listener)
}

func (m *misbehaving) write(e Entry) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // an Entry has nothing that can't be written
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.journal.Write(append(line, '\n')); err != nil {
		panic(err) // whoever counts on the journal must not go on
	}
}

func (m *misbehaving) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upload := r.Header.Get(uploadHeader)
	if upload == "" {
		m.answer(w, r)
		return
	}
	m.write(Entry{Event: Arrived, Upload: upload})
	defer func() {
		e := m.entry(upload)
		e.Event = Ended
		m.write(e)
	}()
	m.answer(&journaled{ResponseWriter: w, immich: m, upload: upload}, r)
}

func (m *misbehaving) answer(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(faultHeader)
	if name == "" {
		m.immich.ServeHTTP(w, r)
		return
	}
	fault, known := faults[name]
	if !known {
		http.Error(w, "there is no fault "+name, http.StatusNotImplemented)
		return
	}
	fault(w, r)
}

// entry is what the fake Immich knows of an upload.
func (m *misbehaving) entry(upload string) Entry {
	e := Entry{Upload: upload}
	for _, u := range m.immich.Uploads() {
		if u.Filename == upload {
			e.Complete, e.Checksum = u.Complete, u.Checksum
		}
	}
	return e
}

// journaled notes an answer before it is sent.
type journaled struct {
	http.ResponseWriter

	immich *misbehaving
	upload string
}

func (w *journaled) WriteHeader(status int) {
	if status >= http.StatusOK {
		e := w.immich.entry(w.upload)
		e.Event, e.Status = Answered, status
		w.immich.write(e)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *journaled) Unwrap() http.ResponseWriter { return w.ResponseWriter }
