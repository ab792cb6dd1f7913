package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// maxSize keeps the pictures quick to load and the repository small.
const maxSize = 60_000

func TestPictures(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	if err := takePictures(directory); err != nil {
		t.Fatal(err)
	}
	brightness := map[string]uint32{}
	for scheme, name := range pictures {
		brightness[scheme] = checkPicture(t, filepath.Join(directory, name))
		checkPicture(t, filepath.Join("../../docs/images", name)) // the one that is published
	}
	if brightness["dark"] >= brightness["light"] {
		t.Errorf("the background of the dark page is as bright as that of the light one: %v", brightness)
	}
}

// checkPicture returns how bright the background is.
func checkPicture(t *testing.T, name string) uint32 {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) > maxSize {
		t.Errorf("%s has %d bytes; at most %d are wanted", name, len(content), maxSize)
	}
	picture, err := png.Decode(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if size := picture.Bounds().Size(); size.X != 720 || size.Y != 720 {
		t.Errorf("%s is of %v pixels", name, size)
	}
	_, green, _, _ := picture.At(0, 0).RGBA()
	return green
}
