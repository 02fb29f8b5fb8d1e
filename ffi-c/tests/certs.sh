#!/usr/bin/env bash
# Makes the certificates of the TLS tests in the folder given: an authority, a server's and a client's certificate by
# it, and an authority that nobody trusts; and the keys of an issuer with a token by it. They are good for ten days and
# made again before that is over.
set -euo pipefail
folder=$1
if [ -f "$folder/token" ] && [ -f "$folder/done" ] && [ -z "$(find "$folder/done" -mtime +7)" ]; then exit; fi
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
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
# keys.json, and a token of ada for the audience `orders`
token() {
  openssl genpkey -algorithm ed25519 -out issuer.key
  printf '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"%s"}]}' \
    "$(openssl pkey -in issuer.key -pubout -outform DER | tail -c 32 | base64url)" >keys.json
  local claims='{"iss":"https://login.example.com","aud":"orders","sub":"ada","scope":"orders.read","exp":%s}'
  printf '%s.%s' "$(printf '{"alg":"EdDSA","kid":"1"}' | base64url)" \
    "$(printf "$claims" $(($(date +%s) + 864000)) | base64url)" >signed
  openssl pkeyutl -sign -inkey issuer.key -rawin -in signed -out signature
  printf '%s.%s' "$(cat signed)" "$(base64url <signature)" >token
}
{
  authority ca
  authority other
  certificate server serverAuth DNS:localhost,IP:127.0.0.1
  certificate named serverAuth DNS:shop.example
  certificate client clientAuth DNS:client.example,URI:spiffe://example/client,IP:192.0.2.1,email:client@example
  token
} >openssl.log 2>&1 || { cat openssl.log >&2; exit 1; }
touch done
