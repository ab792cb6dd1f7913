// Command immich is the fake Immich as a program, for containers, on Immich's port.
package main

import (
	"log"

	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

func main() {
	server := fakeimmich.New().HTTPServer()
	server.Addr = ":2283"
	log.Fatal(server.ListenAndServe())
}
