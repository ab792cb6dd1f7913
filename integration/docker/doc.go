// Package docker runs the examples in a Docker engine, and under systemd. Its test has the build tag "slow".
package docker
