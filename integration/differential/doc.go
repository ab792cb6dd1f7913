// Package differential compares how the gateway interprets a request with how Immich then does.
//
// Its tests send generated requests, over HTTP/1.1, HTTP/2 and HTTP/3, through the standalone proxy and through the plugin in
// the real Traefik, to a Node.js with Express that reads requests as Immich does (immich/server.mjs). A request without a key
// may reach a public route only, and with no other credential than that route's.
//
// Each case follows from a seed and its number. A failure prints both, and the request in the shortest form that still fails:
//
//	go test ./differential -run Standalone -args -for=10m
//	go test ./differential -run Standalone -args -seed=1 -case=4711
package differential
