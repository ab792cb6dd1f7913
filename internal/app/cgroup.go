package app

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryLimit returns the memory limit of the process's control group, such as a container's, or 0 if there is none.
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

// limitIn returns the smallest limit of a group and its parents, which all apply.
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

// readLimit returns 0 where there is none: "max", or a number larger than any machine's memory.
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

// smaller returns the smaller limit, where 0 means none.
func smaller(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
