package fakeimmich

import (
	"bytes"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
)

const pictureSide = 160 // in pixels

var serveThumbnailBytes = serveAsset("image/webp")

// serveThumbnail draws a picture if the request is like those of Immich's clients, and else sends the given number of bytes.
func serveThumbnail(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Query().Get("size") {
	case "thumbnail", "preview", "fullsize":
		writePicture(w, r.PathValue("id"))
	default:
		serveThumbnailBytes(w, r)
	}
}

func writePicture(w http.ResponseWriter, id string) {
	var file bytes.Buffer
	if err := png.Encode(&file, draw(id)); err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}

	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "private, max-age=86400, no-transform") // as Immich's pictures have it
	_, _ = file.WriteTo(w)
}

// draw returns a sun over hills, in colours that depend on the asset.
func draw(id string) image.Image {
	seed := 2 * math.Pi * float64(crc32.ChecksumIEEE([]byte(id))) / math.MaxUint32

	picture := image.NewRGBA(image.Rect(0, 0, pictureSide, pictureSide))
	for y := range pictureSide {
		for x := range pictureSide {
			picture.Set(x, y, colourAt(float64(x)/pictureSide, float64(y)/pictureSide, seed))
		}
	}

	return picture
}

func colourAt(x, y, seed float64) color.Color {
	hill := 0.65 + 0.12*math.Sin(4*x+seed)

	switch {
	case y > hill:
		return tint(seed+2, 0.75-0.4*y)
	case math.Hypot(x-0.5-0.25*math.Cos(seed), y-0.35) < 0.12:
		return color.White
	default:
		return tint(seed, 0.5+0.4*y)
	}
}

// tint is a colour of that hue and lightness.
func tint(hue, light float64) color.Color {
	channel := func(shift float64) uint8 { return uint8(255 * light * (0.75 + 0.25*math.Cos(hue+shift))) }
	return color.RGBA{R: channel(0), G: channel(2 * math.Pi / 3), B: channel(4 * math.Pi / 3), A: 255}
}
