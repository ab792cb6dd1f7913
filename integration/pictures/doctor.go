package main

import (
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/internal/fakeimmich"
)

const (
	doctorCommand = "immichaccess doctor https://photos.example.com --keyFile=key.txt"
	doctorColumns = 80
)

//go:embed doctor
var doctorFiles embed.FS

// drawDoctor runs the doctor against nginx, whose configuration has one mistake, and draws what the terminal shows.
func drawDoctor(ctx context.Context) ([]byte, error) {
	output, err := runDoctor(ctx)
	if err != nil {
		return nil, err
	}
	text := "$ \x1b[1m" + doctorCommand + "\x1b[0m\n" + strings.ReplaceAll(output, "\r", "")
	return drawTerminal("The report of immichaccess doctor", text, doctorColumns), nil
}

func runDoctor(ctx context.Context) (string, error) {
	program, err := harness.GoBuild(ctx, "immichaccess", harness.RepositoryDir(), "./cmd/standalone")
	if err != nil {
		return "", err
	}
	directory, err := os.MkdirTemp("", "")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	if err := os.Symlink(program, filepath.Join(directory, "immichaccess")); err != nil {
		return "", err
	}
	for _, name := range []string{"nginx.conf", "run.sh"} {
		content, err := doctorFiles.ReadFile("doctor/" + name)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			return "", err
		}
	}
	if err := serveImmich(ctx, filepath.Join(directory, "immich.sock")); err != nil {
		return "", err
	}

	command := exec.CommandContext(ctx, "unshare", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child", "bash", "run.sh")
	command.Dir = directory
	command.Env = append(os.Environ(), "COMMAND="+doctorCommand, fmt.Sprint("COLUMNS=", doctorColumns))
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, complaints.String())
	}
	return string(output), nil
}

// serveImmich serves a fake Immich on a Unix socket, which nginx can reach from its network namespace, until the context ends.
func serveImmich(ctx context.Context, socket string) error {
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := fakeimmich.NewWithLogin(os.Stderr).HTTPServer()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
	return nil
}
