package app

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryLimit is that of the control group which the process is in, as of a container, or 0 without one.
func memoryLimit() int64 {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	limit := int64(0)
	for line := range strings.Lines(string(groups)) {
		// 0::/path, or, of the first version, 4:memory:/path
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[0] == "0":
			limit = smaller(limit, limitIn("/sys/fs/cgroup", fields[2], "memory.max"))
		case fields[1] == "memory":
			limit = smaller(limit, limitIn("/sys/fs/cgroup/memory", fields[2], "memory.limit_in_bytes"))
		}
	}
	return limit
}

// limitIn is the smallest limit on the way up from a group: each holds for those below it.
func limitIn(root, group, file string) int64 {
	limit := int64(0)
	for {
		limit = smaller(limit, readLimit(filepath.Join(root, group, file)))
		if group == "/" || group == "." {
			return limit
		}
		group = filepath.Dir(group)
	}
}

// readLimit returns 0 where there is none: "max", or a number that is larger than any machine.
func readLimit(file string) int64 {
	const unlimited = 1 << 62
	content, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	if err != nil || limit <= 0 || limit >= unlimited {
		return 0
	}
	return limit
}

// smaller takes 0 for no limit.
func smaller(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
