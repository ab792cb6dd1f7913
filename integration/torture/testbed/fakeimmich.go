package testbed

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

// What the process of the fake Immich runs.

const (
	uploadHeader = "X-Upload" // the name of an upload, in its form too
	faultHeader  = "X-Fault"  // the fault of Immich's for this request
)

// faultyImmich is the fake Immich with a journal and with faults on request.
type faultyImmich struct {
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
	f := &faultyImmich{immich: fakeimmich.New(), journal: file}
	server := f.immich.HTTPServer()
	server.Handler = f
	fmt.Println(listening)
	return server.Serve(listener)
}

func (f *faultyImmich) write(e Entry) {
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // an Entry has nothing that can't be written
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.journal.Write(append(line, '\n')); err != nil {
		panic(err) // a test that relies on the journal must not continue
	}
}

func (f *faultyImmich) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	upload := r.Header.Get(uploadHeader)
	if upload == "" {
		f.answer(w, r)
		return
	}
	f.write(Entry{Event: Arrived, Upload: upload})
	defer func() {
		e := f.entry(upload)
		e.Event = Ended
		f.write(e)
	}()
	f.answer(&journaled{ResponseWriter: w, immich: f, upload: upload}, r)
}

func (f *faultyImmich) answer(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(faultHeader)
	if name == "" {
		f.immich.ServeHTTP(w, r)
		return
	}
	fault, known := faults[name]
	if !known {
		http.Error(w, "there is no fault "+name, http.StatusNotImplemented)
		return
	}
	fault(w, r)
}

// entry is the state of an upload.
func (f *faultyImmich) entry(upload string) Entry {
	e := Entry{Upload: upload}
	for _, u := range f.immich.Uploads() {
		if u.Filename == upload {
			e.Complete, e.Checksum = u.Complete, u.Checksum
		}
	}
	return e
}

// journaled writes a response to the journal before it is sent.
type journaled struct {
	http.ResponseWriter

	immich *faultyImmich
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
