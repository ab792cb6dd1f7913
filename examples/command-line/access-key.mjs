// Adds the access key to every request of Immich's command line tool to IMMICH_INSTANCE_URL. See docs/command-line.md.

const server = new URL(process.env.IMMICH_INSTANCE_URL).origin
const send = globalThis.fetch

globalThis.fetch = (resource, options) => {
  const url = resource instanceof Request ? resource.url : resource
  if (new URL(url).origin !== server) {
    return send(resource, options) // the key is for this server only
  }
  const headers = new Headers(options?.headers ?? resource.headers)
  headers.set('X-Access-Key', process.env.IMMICH_ACCESS_KEY)
  return send(resource, { ...options, headers })
}
