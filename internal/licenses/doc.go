// Package licenses keeps THIRD_PARTY_LICENSES.md up to date, which contains the licence of every module in vendor. Its test compares
// the file with the directory, and with -update writes it. Whoever distributes a binary has to distribute that file as well.
package licenses
