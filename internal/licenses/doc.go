// Package licenses keeps THIRD_PARTY_LICENSES.md up to date, which contains the licence of every module in vendor. Its test
// compares the file with the directory, and with -update writes it. A binary has to be distributed with that file.
package licenses
