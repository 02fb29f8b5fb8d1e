#!/usr/bin/env bash
# Makes the certificates of the TLS tests in the folder given: an authority, a server's and a client's certificate by
# it, and an authority that nobody trusts. They are good for ten days and made again before that is over.
set -euo pipefail
folder=$1
if [ -f "$folder/done" ] && [ -z "$(find "$folder/done" -mtime +7)" ]; then exit; fi
mkdir -p "$folder"
cd "$folder"

key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
authority() {
  openssl req -x509 "${key[@]}" -keyout "$1.key" -out "$1.pem" -days 10 -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}
# by the authority `ca`: name, extended use, names of the host
certificate() {
  openssl req "${key[@]}" -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"
  printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=%s\nsubjectAltName=%s\n' "$2" "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -out "$1.pem" -days 10 -extfile "$1.ext"
}
{
  authority ca
  authority other
  certificate server serverAuth DNS:localhost,IP:127.0.0.1
  certificate named serverAuth DNS:shop.example
  certificate client clientAuth DNS:client.example
} >openssl.log 2>&1 || { cat openssl.log >&2; exit 1; }
touch done
