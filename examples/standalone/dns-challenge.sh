#!/bin/sh
# Sets and removes the TXT record of an ACME challenge, for acme.dns.provider: exec. This one sends dynamic updates to a nameserver, with
# nsupdate; replace that by what your DNS server supports. It is called as: dns-challenge.sh present|cleanup _acme-challenge.example.com. VALUE
set -eu
case $1 in
present) update="update add $2 60 TXT $3" ;;
cleanup) update="update delete $2 TXT $3" ;;
*) exit 2 ;;
esac
printf 'server %s\n%s\nsend\n' "$DNS_SERVER" "$update" | nsupdate -k "$DNS_KEY"
