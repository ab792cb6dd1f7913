// Package licenses keeps THIRD_PARTY_LICENSES.md, which has the licence of every module in vendor, up to date: its test compares
// the file with what is there, and with -update writes it anew. Whoever passes on a binary has to pass on that file as well.
package licenses
