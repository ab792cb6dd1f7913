package main

import (
	"image"
	"image/png"
	"path/filepath"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// maxSize keeps the pictures quick to load and the repository small.
const maxSize = 60_000

func TestPictures(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := takePictures(directory); err != nil {
		t.Fatal(err)
	}
	const repository = "../.."
	for name, size := range map[string]image.Point{
		loginPage: image.Pt(720, 720), darkLoginPage: image.Pt(720, 720), icon: image.Pt(256, 256), banner: image.Pt(1280, 640),
	} {
		checkPicture(t, filepath.Join(directory, name), size)
		checkPicture(t, filepath.Join(repository, name), size) // the one that is published
	}
	if light, dark := brightness(t, filepath.Join(directory, loginPage)), brightness(t, filepath.Join(directory, darkLoginPage)); dark >= light {
		t.Errorf("the background of the dark page is as bright as that of the light one: %d, %d", dark, light)
	}
	if harness.ReadFile(t, filepath.Join(directory, doctorReport)) != harness.ReadFile(t, filepath.Join(repository, doctorReport)) {
		t.Errorf("%s does not show what the doctor prints: run make pictures", doctorReport)
	}
}

func checkPicture(t *testing.T, name string, size image.Point) {
	t.Helper()
	content := harness.ReadFile(t, name)
	if len(content) > maxSize {
		t.Errorf("%s has %d bytes; at most %d are wanted", name, len(content), maxSize)
	}
	if got := decode(t, name).Bounds().Size(); got != size {
		t.Errorf("%s is of %v pixels, want %v", name, got, size)
	}
}

// brightness is that of the background.
func brightness(t *testing.T, name string) uint32 {
	t.Helper()
	_, green, _, _ := decode(t, name).At(0, 0).RGBA()
	return green
}

func decode(t *testing.T, name string) image.Image {
	t.Helper()
	picture, err := png.Decode(strings.NewReader(harness.ReadFile(t, name)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return picture
}
