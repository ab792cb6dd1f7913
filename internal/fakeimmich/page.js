// The requests of Immich's web page: to the API, the WebSocket, pictures and uploads, each with the key of a shared link, if there is one.

const link = location.pathname.match(/^\/(share|s)\/([^/]+)/)
const access = link ? { [link[1] === 'share' ? 'key' : 'slug']: decodeURIComponent(link[2]) } : {}

function api(path, query) {
  return `/api${path}?${new URLSearchParams({ ...query, ...access })}`
}

function show(id, good, text) {
  const output = document.getElementById(id)
  output.value = text
  output.dataset.good = good
}

async function ask(...paths) {
  try {
    const answers = await Promise.all(paths.map((path) => fetch(api(path))))
    const refused = answers.find((answer) => !answer.ok)
    show('api', !refused, refused ? `API refused: ${refused.status}` : 'API answers')
  } catch {
    show('api', false, 'API does not answer')
  }
}

// As socket.io's client does, it asks to join and answers pings.
function connect() {
  const socket = new WebSocket(location.origin.replace('http', 'ws') + api('/socket.io/', { EIO: 4, transport: 'websocket' }))
  socket.onopen = () => socket.send('40')
  socket.onmessage = ({ data }) => {
    if (data === '2') socket.send('3')
    if (data.startsWith('40')) show('socket', true, 'WebSocket connected')
  }
  socket.onclose = () => show('socket', false, 'WebSocket closed')
}

function showPicture(id) {
  const picture = document.createElement('img')
  picture.src = api(`/assets/${id}/thumbnail`, { size: 'thumbnail' })
  picture.alt = ''
  document.getElementById('pictures').prepend(picture)
}

function upload(file) {
  const form = new FormData()
  form.append('fileCreatedAt', new Date(file.lastModified).toISOString())
  form.append('assetData', file)

  const request = new XMLHttpRequest()
  request.responseType = 'json'
  request.upload.onprogress = (event) => (document.getElementById('progress').value = event.loaded / event.total)
  request.onerror = () => show('upload', false, `${file.name}: aborted`)
  request.onload = () => {
    const { id, status, message } = request.response ?? {}
    show('upload', Boolean(id), `${file.name}: ${status ?? message ?? request.status}`)
    if (id) showPicture(id)
  }
  request.open('POST', api('/assets'))
  request.send(form)
}

document.getElementById('file').onchange = (event) => [...event.target.files].forEach(upload)
for (let n = 1; n <= 6; n++) showPicture(`00000000-0000-4000-8000-00000000000${n}`)
if (link) {
  show('socket', true, 'shared link')
  ask('/server/config', '/shared-links/me')
} else {
  connect()
  ask('/server/config', '/users/me')
}
