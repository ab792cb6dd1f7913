package differential

import (
	"encoding/base64"
	"slices"
)

// knownRequests once passed a gateway that should have denied them, or are simple examples of their kind. They are sent before
// the generated ones, so that known mistakes are found in any run, however short.
func knownRequests() []request {
	var all []request
	add := func(site, method, path string, query []string, fields ...field) {
		all = append(all, request{kind: mutated, site: siteNamed(site), method: method, path: path, query: query, fields: fields})
	}
	const asset = "/api/assets/" + someUUID
	user := []field{{"x-api-key", "user"}, {"cookie", "immich_access_token=user"}, {"authorization", "Bearer user"}, {"x-immich-user-token", "user"}}

	for _, blank := range []string{"", " ", "\t", " \t", "\u00a0", "\v"} {
		for _, name := range []string{"x-immich-share-key", "x-immich-share-slug"} {
			for _, credential := range user {
				add("links", "POST", "/api/search/metadata", nil, field{name, blank}, credential)
			}
		}
	}
	for _, link := range []string{"key=", "key=%20", "key=+", "slug=%09", "key", "%6bey=x#", "key=x#", "key=;", "key[]=x"} {
		add("links", "GET", asset, []string{link, "apiKey=user"}, user...)
	}
	for _, apiKey := range []string{"apiKey=user", "api%4bey=user", "apiKey=%zz", "x;apiKey=user", "apiKey=a;b", "%61piKey=user", "+&apiKey=user"} {
		add("links", "GET", "/api/timeline/buckets", []string{"key=x", apiKey})
		add("links", "GET", "/api/server/config", []string{apiKey})
	}
	// What Connection names is removed on the way, after the decision.
	add("links", "GET", asset, nil, append(user, field{"x-immich-share-key", "x"}, field{"connection", "x-immich-share-key"})...)
	// A link on a site that opens sessions' media only, and a session where links are open.
	add("media", "GET", asset+"/thumbnail", []string{"sessionKey=x", "key=link"})
	add("media", "GET", asset+"/video/playback", []string{"sessionKey=x"}, field{"x-immich-share-slug", "link"})
	add("links", "GET", asset+"/thumbnail", []string{"key=x", "sessionKey=user"})
	for _, path := range []string{
		"/share/../api/users/me", "/share/x/../../api/users/me", "/share/%2e%2e/api/users/me", "/share/..%2fapi%2fusers%2fme", "/_app/../api/users/me",
		"/_app/..;/api/users/me", "/_app\\..\\api\\users\\me", "//api/server/config", "/API/server/config", "/api/server/config/", "/api//users/me",
		"/api/server/ping/../../users/me", "/api/server/ping%2f..%2f..%2fusers%2fme", "/api/server/ping;/../users/me", "/api/server/ping%00",
		asset + "/video/stream/x/%ff/x", "/share/%ff", "http://photos.example.com/api/users/me", "/.well-known/immich/../../api/users/me", "/share/x#/api/users/me", "/s/x?/../api/users/me",
	} {
		add("every", "GET", path, []string{"key=x"}, user...)
	}
	// The key in places where it is not accepted.
	old := base64.RawURLEncoding.EncodeToString([]byte(accessKey))
	for _, f := range []field{
		{"cookie", "__Host-immichaccess=" + old}, {"cookie", "immichaccess=" + old}, {"cookie", "\u00a0__Host-immichaccess=" + old}, {"x_access_key", accessKey},
		{"x-access_key", accessKey}, {"authorization", "Bearer " + accessKey}, {"x-forwarded-for", keylessAddress}, {"x-real-ip", keylessAddress},
	} {
		add("every", "GET", "/api/users/me", nil, f)
		add("home", "GET", "/api/users/me", nil, f)
	}
	for _, method := range []string{"OPTIONS", "CONNECT", "TRACE", "get"} {
		add("every", method, "/api/server/ping", nil)
	}
	add("every", "OPTIONS", "*", nil)
	for _, upgrade := range []string{"websocket", "h2c"} {
		add("every", "GET", "/api/server/ping", nil, field{"connection", "Upgrade"}, field{"upgrade", upgrade})
	}
	return all
}

func siteNamed(name string) int {
	return slices.IndexFunc(sites, func(s site) bool { return s.name == name })
}

// firstKnown is the number of the first of them; generated ones have lower numbers.
const firstKnown = 1 << 60

// known returns each of them for every protocol and every address.
func (r *run) known() []request {
	var all []request
	for _, q := range knownRequests() {
		for _, q.protocol = range protocols {
			for q.entry = range r.gateway.entries {
				all = append(all, q)
			}
		}
	}
	return all
}

func (r *run) sendKnown() {
	s := sender{run: r, connections: map[string]connection{}}
	defer s.close()
	for i, q := range r.known() {
		s.send(q, firstKnown+uint64(i))
	}
}
