package moving_test

import (
	"slices"
	"strings"
)

// difference is what changes for whoever moves.
type difference struct {
	title   string
	told    bool              // docs/moving.md has the title, since users may notice the difference
	reason  string            // why it is so
	in      []string          // pairs
	where   func(result) bool // the requests that show it; each of them has to
	changes []change
}

// change is a fact that differs.
type change struct {
	fact        string
	before, now string
}

const anything = "*" // as a value

func (d *difference) concerns(r result) bool {
	return slices.Contains(d.in, r.pair.name) && d.where(r)
}

// line is a change in the table: the numbers of the difference and of the change.
type line [2]int

func (l line) title() string { return differences[l[0]].title }

func (l line) change() change { return differences[l[0]].changes[l[1]] }

func (l line) matches(before, now string) bool {
	c := l.change()
	return (c.before == anything || c.before == before) && (c.now == anything || c.now == now)
}

// Which requests show a difference.

// alike is true of a request that both proxies forward, or that both answer themselves.
func alike(r result) bool { return r.before["upstream"] == r.now["upstream"] }

func forwarded(r result) bool { return alike(r) && r.now["upstream"] != "" }

func answered(r result) bool { return alike(r) && r.now["upstream"] == "" }

func withoutInterim(r result) bool { return r.now["interim"] == "" }

// denied is true of a request that both proxies deny for want of a key.
func denied(r result) bool {
	return answered(r) && slices.Contains([]string{"401", "403"}, r.now["status"])
}

func named(names ...string) func(result) bool {
	return func(r result) bool { return slices.Contains(names, r.request.name) }
}

func both(one, other func(result) bool) func(result) bool {
	return func(r result) bool { return one(r) && other(r) }
}

func except(names ...string) func(result) bool {
	return func(r result) bool { return !slices.Contains(names, r.request.name) }
}

// Groups of pairs.
var (
	ofNginx       = []string{"nginx", "nginx with a key", "Nginx Proxy Manager"}
	inTraefik     = []string{"Traefik's basicAuth", "Traefik's forwardAuth"}
	withKeyHeader = []string{"nginx with a key", "Caddy", "Traefik's forwardAuth"}
	withPassword  = []string{"Nginx Proxy Manager", "Traefik's basicAuth"}
)

const (
	jsonType   = "application/json; charset=utf-8"
	missing    = `{"message":"Missing or invalid access key (header X-Access-Key)","error":"Forbidden","statusCode":403}`
	tooLarge   = `{"message":"The upload is larger than 1m","error":"Payload Too Large","statusCode":413}`
	missing401 = `{"message":"Missing or invalid access key (header X-Access-Key)","error":"Unauthorized","statusCode":401}`
	closed     = `{"message":"Immich closed the connection","error":"Bad Gateway","statusCode":502}`
)

var differences = []difference{
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "Immich's clients show the message of an error in Immich's own format",
		in:     []string{"nginx with a key"}, where: denied,
		changes: []change{{"header Content-Type", "text/html", jsonType}, {"header Cache-Control", "", "no-store"}, {"length", anything, "102"}},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "as above; the response to HEAD has no body",
		in:     []string{"nginx with a key"}, where: both(denied, except("HEAD without a key")),
		changes: []change{{"body", anything, missing}},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "as above, and the realm is Immich; both ask for a password",
		in:     []string{"Nginx Proxy Manager"}, where: denied,
		changes: []change{
			{"header Content-Type", "text/html", jsonType}, {"header Cache-Control", "", "no-store"}, {"length", anything, "105"},
			{"header Www-Authenticate", `Basic realm="Authorization required"`, `Basic realm="Immich"`},
		},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "as above; the response to HEAD has no body",
		in:     []string{"Nginx Proxy Manager"}, where: both(denied, except("HEAD without a key")),
		changes: []change{{"body", anything, missing401}},
	},
	{
		title: "The user's name does not matter", told: true,
		reason: "the password is the key, and has a name of its own",
		in:     withPassword, where: named("Basic with another user"),
		changes: []change{{"status", "401", "200"}, {"upstream", "", "reached"}},
	},
	{
		title: "The password is accepted in X-Access-Key, too", told: true,
		reason: "so that the app can send it in its custom proxy headers",
		in:     withPassword, where: named("name of the header in lower case", "blanks around the key"),
		changes: []change{{"status", "401", "200"}, {"upstream", "", "reached"}},
	},
	{
		title: "Authorization: Bearer reaches Immich", told: true,
		reason: "it is Immich's own, and Nginx Proxy Manager removes it as well",
		in:     []string{"Nginx Proxy Manager"}, where: named("from home with a session of Immich's"),
		changes: []change{{"upstream header Authorization", "", "Bearer session"}},
	},
	{
		title: "Requests for other hosts get 421", told: true,
		reason: "nginx gives them to the first server block, and so to Immich unless there is another",
		in:     []string{"Nginx Proxy Manager"}, where: named("other host"),
		changes: []change{{"status", "200", "421"}, {"upstream", "reached", ""}},
	},
	{
		title: "The redirect to HTTPS is 308", told: true,
		reason: "after 301, many clients send GET in place of POST",
		in:     []string{"Nginx Proxy Manager"}, where: named("plain HTTP"),
		changes: []change{
			{"status", "301", "308"}, {"body", anything, anything}, {"length", anything, anything},
			{"header Content-Type", "text/html", "text/html; charset=utf-8"},
		},
	},
	{
		title:  "Nginx Proxy Manager's own headers are gone",
		reason: "Immich and its clients use neither",
		in:     []string{"Nginx Proxy Manager"}, where: forwarded,
		changes: []change{{"upstream header X-Forwarded-Scheme", "https", ""}},
	},
	{
		title:  "Nginx Proxy Manager's own headers are gone",
		reason: "Immich and its clients use neither; nginx leaves it out of errors",
		in:     []string{"Nginx Proxy Manager"}, where: both(forwarded, except("WebSocket", "error of Immich's", "Immich closes the connection")),
		changes: []change{{"header X-Served-By", "photos.example.com", ""}},
	},
	{
		title: "Other errors are JSON, too", told: true,
		reason: "Immich's clients show the message of an error in Immich's own format",
		in:     ofNginx, where: named("upload over the limit"),
		changes: []change{
			{"body", anything, tooLarge}, {"length", anything, "87"}, {"header Content-Type", "text/html", jsonType},
			{"header Cache-Control", "", "no-store"},
		},
	},
	{
		title: "Other errors are JSON, too", told: true,
		reason: "Immich's clients show the message of an error in Immich's own format",
		in:     ofNginx, where: named("Immich closes the connection"),
		changes: []change{
			{"body", anything, closed}, {"length", anything, "81"}, {"header Content-Type", "text/html", jsonType},
			{"header Cache-Control", "", "no-store"},
		},
	},
	{
		title: "Several key headers are denied", told: true,
		reason: "it is not clear which one counts",
		in:     []string{"Caddy", "Traefik's forwardAuth"}, where: named("key and wrong key"),
		changes: []change{{"status", "200", "403"}, {"upstream", "reached", ""}},
	},
	{
		title: "Immich does not see the key", told: true,
		reason: "it need not know a secret that it does not use; forwardKey passes it on",
		in:     withKeyHeader, where: forwarded,
		changes: []change{{"upstream header X-Access-Key", key, ""}},
	},
	{
		title: "Immich does not see the key", told: true,
		reason: "also where none is asked for",
		in:     []string{"nginx"}, where: named("name of the header in lower case", "blanks around the key"),
		changes: []change{{"upstream header X-Access-Key", key, ""}},
	},
	{
		title: "Immich does not see the key", told: true,
		reason: "nor a wrong one",
		in:     []string{"nginx"}, where: named("key and wrong key"),
		changes: []change{{"upstream header X-Access-Key", anything, ""}},
	},
	{
		title: "Uploads are streamed", told: true,
		reason: "nginx writes the whole upload to its disk first, and then knows the length",
		in:     ofNginx, where: named("chunked upload"),
		changes: []change{{"upstream length", "100085", "-1"}},
	},
	{
		title: "Uploads are streamed", told: true,
		reason: "so Immich sees the beginning of an upload of unknown length that turns out to be too large; it sees that it is cut short",
		in:     ofNginx, where: named("chunked upload over the limit"),
		changes: []change{{"upstream", "", "reached"}},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "Caddy's respond sends no body",
		in:     []string{"Caddy"}, where: denied,
		changes: []change{{"header Content-Type", "", jsonType}, {"header Cache-Control", "", "no-store"}, {"length", anything, "102"}},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "as above; the response to HEAD has no body",
		in:     []string{"Caddy"}, where: both(denied, except("HEAD without a key")),
		changes: []change{{"body", "", missing}},
	},
	{
		title: "Other errors are JSON, too", told: true,
		reason: "Caddy's errors have no body",
		in:     []string{"Caddy"}, where: named("upload over the limit", "chunked upload over the limit", "Immich closes the connection"),
		changes: []change{
			{"body", "", anything}, {"length", "0", anything}, {"header Content-Type", "", jsonType}, {"header Cache-Control", "", "no-store"},
		},
	},
	{
		title: "Requests for other hosts get 421", told: true,
		reason: "Caddy answers 200 with no body",
		in:     []string{"Caddy"}, where: named("other host"),
		changes: []change{
			{"status", "200", "421"}, {"body", "", anything}, {"length", "0", "97"}, {"header Content-Type", "", jsonType},
			{"header Cache-Control", "", "no-store"},
		},
	},
	{
		title: "Immich gets X-Real-IP", told: true,
		reason: "Caddy does not set it, and passes on a client's own",
		in:     []string{"Caddy"}, where: both(forwarded, except("forged X-Forwarded-For")),
		changes: []change{{"upstream header X-Real-Ip", "", "127.0.0.1"}},
	},
	{
		title: "Immich gets X-Real-IP", told: true,
		reason: "Caddy does not set it, and passes on a client's own",
		in:     []string{"Caddy"}, where: named("forged X-Forwarded-For"),
		changes: []change{{"upstream header X-Real-Ip", "192.0.2.66", "127.0.0.1"}},
	},
	{
		title: "Other forwarding headers of clients are discarded", told: true,
		reason: "Caddy discards only those that it sets",
		in:     []string{"Caddy"}, where: named("forged X-Forwarded-Host"),
		changes: []change{{"upstream header X-Forwarded-Port", "81", ""}, {"upstream header X-Forwarded-Prefix", "/a", ""}},
	},
	{
		title:  "Accept-Encoding is the client's",
		reason: "Caddy asks for gzip when the client does not, and decompresses",
		in:     []string{"Caddy"}, where: both(forwarded, except("HEAD", "Range", "headers of a browser")),
		changes: []change{{"upstream header Accept-Encoding", "gzip", ""}},
	},
	{
		title:  "There is no Via header",
		reason: "nobody needs it",
		in:     []string{"Caddy"}, where: forwarded,
		changes: []change{{"upstream header Via", "1.1 Caddy", ""}},
	},
	{
		title:  "There is no Via header",
		reason: "nobody needs it; Caddy's errors have none, and neither has the answer to a WebSocket",
		in:     []string{"Caddy"}, where: both(forwarded, except("WebSocket", "chunked upload over the limit", "Immich closes the connection")),
		changes: []change{{"header Via", "1.1 Caddy", ""}},
	},
	{
		title:  "There is no Server header",
		reason: "nobody needs it; Caddy has it in what it answers itself",
		in:     []string{"Caddy"}, where: answered,
		changes: []change{{"header Server", "Caddy", ""}},
	},
	{
		title:  "There is no Server header",
		reason: "nobody needs it",
		in:     []string{"Caddy"}, where: named("WebSocket", "chunked upload over the limit", "Immich closes the connection"),
		changes: []change{{"header Server", "Caddy", ""}},
	},
	{
		title:  "Alt-Svc is missing after an interim response",
		reason: "it does not matter: clients keep it",
		in:     []string{"Caddy"}, where: both(forwarded, named("Expect: 100-continue")),
		changes: []change{{"header Alt-Svc", `h3=":443"; ma=2592000`, ""}},
	},
	{
		title:  "The redirect to HTTPS has a body",
		reason: "for browsers that do not follow it",
		in:     []string{"Caddy"}, where: named("plain HTTP"),
		changes: []change{{"body", "", anything}, {"length", "0", "79"}, {"header Content-Type", "", "text/html; charset=utf-8"}},
	},
	{
		title:   "The connection ends with a denied upload",
		reason:  "so that nobody has to read what is denied; nginx reads it",
		in:      []string{"nginx with a key", "Nginx Proxy Manager"},
		where:   both(denied, named("POST without a key", "upload without a key", "Expect: 100-continue without a key")),
		changes: []change{{"connection", "", "closed"}},
	},
	{
		title:  "The connection ends with a denied upload",
		reason: "so that nobody has to read what is denied; Caddy and Traefik read a little of it",
		in:     append([]string{"Caddy"}, inTraefik...), where: named("POST without a key", "upload without a key", "chunked upload over the limit"),
		changes: []change{{"connection", "", "closed"}},
	},
	{
		title:  "The connection ends with a redirect to HTTPS",
		reason: "its client goes on elsewhere",
		in:     []string{"Nginx Proxy Manager"}, where: named("plain HTTP"),
		changes: []change{{"connection", "", "closed"}},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "as above, and the realm is Immich; both ask for a password",
		in:     []string{"Traefik's basicAuth"}, where: denied,
		changes: []change{
			{"header Content-Type", "text/plain", jsonType}, {"header Cache-Control", "", "no-store"}, {"length", anything, "105"},
			{"header Www-Authenticate", `Basic realm="traefik"`, `Basic realm="Immich"`},
		},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "as above; the response to HEAD has no body",
		in:     []string{"Traefik's basicAuth"}, where: both(denied, except("HEAD without a key")),
		changes: []change{{"body", "401 Unauthorized\n", missing401}},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "it was the service's answer",
		in:     []string{"Traefik's forwardAuth"}, where: denied,
		changes: []change{
			{"header Content-Type", "text/plain; charset=utf-8", jsonType}, {"header Cache-Control", "", "no-store"}, {"length", anything, "102"},
			{"header X-Content-Type-Options", "nosniff", ""},
		},
	},
	{
		title: "A denied request is answered with JSON", told: true,
		reason: "as above; the response to HEAD has no body",
		in:     []string{"Traefik's forwardAuth"}, where: both(denied, except("HEAD without a key")),
		changes: []change{{"body", "Forbidden\n", missing}},
	},
	{
		title: "Traefik has an upload limit", told: true,
		reason: "it has none without the buffering middleware",
		in:     inTraefik, where: named("upload over the limit"),
		changes: []change{{"status", "201", "413"}, {"upstream", "reached", ""}},
	},
	{
		title: "Traefik has an upload limit", told: true,
		reason: "it has none without the buffering middleware",
		in:     inTraefik, where: named("chunked upload over the limit"),
		changes: []change{
			{"status", "201", "413"}, {"upstream body", anything, "cut short"}, {"body", anything, tooLarge}, {"length", anything, anything},
			{"header X-Powered-By", "Express", ""},
			{"header Cache-Control", "", "no-store"},
		},
	},
	{
		title: "Immich does not see the key", told: true,
		reason: "nor the password",
		in:     []string{"Traefik's basicAuth"}, where: forwarded,
		changes: []change{{"upstream header Authorization", strings.TrimPrefix(basic("family", key), "Authorization: "), ""}},
	},
	{
		title: "Other forwarding headers of clients are discarded", told: true,
		reason: "some servers read them as if they had hyphens; nginx and Caddy discard them, too",
		in:     inTraefik, where: named("forged with underscores"),
		changes: []change{{"upstream header X_forwarded_for", "192.0.2.66", ""}, {"upstream header X_real_ip", "192.0.2.66", ""}},
	},
	{
		title:  "X-Forwarded-Proto of a WebSocket is https",
		reason: "Immich compares it with https",
		in:     inTraefik, where: both(forwarded, named("WebSocket")),
		changes: []change{{"upstream header X-Forwarded-Proto", "wss", "https"}},
	},
	{
		title:  "Immich gets no X-Forwarded-Port",
		reason: "it does not read it",
		in:     inTraefik, where: forwarded,
		changes: []change{{"upstream header X-Forwarded-Port", "443", ""}},
	},
	{
		title:  "Immich decides about Expect: 100-continue",
		reason: "nginx asks for the body by itself",
		in:     ofNginx, where: both(forwarded, named("Expect: 100-continue", "Expect: 100-continue without a key")),
		changes: []change{{"upstream header Expect", "", "100-continue"}},
	},
	{
		title: "A client's own X-Forwarded-For is discarded", told: true,
		reason: "Immich would take it for the client's address; trustedProxies names those who may say so",
		in:     ofNginx, where: both(forwarded, named("forged X-Forwarded-For")),
		changes: []change{{"upstream header X-Forwarded-For", "192.0.2.66, 127.0.0.1", "127.0.0.1"}},
	},
	{
		title: "Other forwarding headers of clients are discarded", told: true,
		reason: "nginx discards only those that it sets",
		in:     ofNginx, where: both(forwarded, named("forged X-Forwarded-Host")),
		changes: []change{
			{"upstream header X-Forwarded-Host", "evil.example.com", "photos.example.com"},
			{"upstream header X-Forwarded-Port", "81", ""}, {"upstream header X-Forwarded-Prefix", "/a", ""},
		},
	},
	{
		title: "Other forwarding headers of clients are discarded", told: true,
		reason: "Immich does not read it, but other programs do",
		in:     slices.Concat(ofNginx, []string{"Caddy"}, inTraefik), where: both(forwarded, named("forged Forwarded")),
		changes: []change{{"upstream header Forwarded", "for=192.0.2.66;proto=http", ""}},
	},
	{
		title:  "Immich gets X-Forwarded-Host",
		reason: "it says the same as Host",
		in:     ofNginx, where: both(forwarded, except("forged X-Forwarded-Host")),
		changes: []change{{"upstream header X-Forwarded-Host", "", anything}},
	},
	{
		title: "HTTP/2 and HTTP/3 are on", told: true,
		reason: "they are with nginx only where it says so. After an interim response the header is missing, which does not matter: clients keep it",
		in:     ofNginx, where: both(both(alike, withoutInterim), except("plain HTTP")),
		changes: []change{{"header Alt-Svc", "", `h3=":443"; ma=2592000`}},
	},
	{
		title:  "There is no Server header",
		reason: "nobody needs it",
		in:     ofNginx, where: alike,
		changes: []change{{"header Server", anything, ""}},
	},
	{
		title:  "Connection is upgrade only for a WebSocket",
		reason: "the configuration sets it for all requests, which Immich ignores",
		in:     []string{"nginx", "nginx with a key"}, where: both(forwarded, except("WebSocket", "WebSocket without a key")),
		changes: []change{{"upstream header Connection", "upgrade", ""}},
	},
	{
		title:  "Connection is upgrade only for a WebSocket",
		reason: "upper and lower case mean the same",
		in:     ofNginx, where: both(forwarded, named("WebSocket", "WebSocket without a key")),
		changes: []change{{"header Connection", "upgrade", "Upgrade"}},
	},
	{
		title:  "Connection is upgrade only for a WebSocket",
		reason: "upper and lower case mean the same",
		in:     []string{"nginx", "nginx with a key"}, where: both(forwarded, named("WebSocket", "WebSocket without a key")),
		changes: []change{{"upstream header Connection", "upgrade", "Upgrade"}},
	},
	{
		title:  "TE reaches Immich",
		reason: "trailers pass",
		in:     ofNginx, where: both(forwarded, named("headers of a browser")),
		changes: []change{{"upstream header Te", "", "trailers"}},
	},
}
