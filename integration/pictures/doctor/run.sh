# Runs the doctor against nginx in a terminal of its own. It needs namespaces of its own for the address, the ports and the host name.
set -eu
ip link set lo up
ip address add 203.0.113.7/32 dev lo
echo 203.0.113.7 photos.example.com >hosts
mount --bind hosts /etc/hosts

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 63 \
	-subj '/CN=Example CA' -addext subjectAltName=DNS:photos.example.com 2>/dev/null
echo correct-horse-battery-staple >key.txt
PATH=$PWD:$PATH:/usr/sbin
nginx -p "$PWD/" -c nginx.conf -e stderr >&2 &
until (: >/dev/tcp/203.0.113.7/443) 2>/dev/null; do
	kill -0 $! # it still runs
	sleep 0.1
done
export SSL_CERT_FILE=cert.pem TERM=xterm NO_COLOR=
script -qec "stty cols $COLUMNS; $COMMAND 2>/dev/null" /dev/null </dev/null || true # it finds a problem
