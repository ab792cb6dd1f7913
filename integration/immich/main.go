// Command immich is the stand-in Immich as a program, for containers, on Immich's port.
package main

import (
	"log"

	"github.com/immichaccess/immichaccess/internal/standin"
)

func main() {
	server := standin.New().HTTPServer()
	server.Addr = ":2283"
	log.Fatal(server.ListenAndServe())
}
