#!/usr/bin/env bash
# Certificates, service-account keys and kubeconfigs of one local cluster. Usage: pki.sh DIR NODE_IP NODE_NAME
# Kept for as long as the address stays the same; it is part of the certificates.
set -euo pipefail
dir=$1 node_ip=$2 node=$3
mkdir -p "$dir"; cd "$dir"; umask 077
[ "$(cat made-for 2> /dev/null)" != "$node_ip" ] || exit 0
rm -rf ./*
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=capi-rollout-cluster-ca" \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign,digitalSignature" \
  -keyout ca.key -out ca.crt 2> /dev/null
cert() { # NAME SUBJECT USAGE [SAN]
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2> /dev/null
  { echo "basicConstraints=CA:FALSE"; echo "keyUsage=critical,digitalSignature"; echo "extendedKeyUsage=$3"
    [ -z "${4:-}" ] || echo "subjectAltName=$4"; } > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt" 2> /dev/null
  rm -f "$1.csr" "$1.ext"
}
san="DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
cert apiserver "/CN=kube-apiserver" serverAuth "$san,IP:127.0.0.1,IP:10.96.0.1,IP:$node_ip"
cert apiserver-kubelet-client "/O=system:masters/CN=kube-apiserver-kubelet-client" clientAuth
cert kubelet-server "/CN=$node" serverAuth "DNS:$node,IP:127.0.0.1,IP:$node_ip"
mkdir webhook; cert webhook/tls "/CN=local-webhooks" serverAuth "DNS:localhost,IP:127.0.0.1"
cert nats "/CN=nats" serverAuth "DNS:localhost,IP:127.0.0.1,IP:$node_ip"
cert admin "/O=system:masters/CN=admin" clientAuth
cert controller-manager "/CN=system:kube-controller-manager" clientAuth
cert scheduler "/CN=system:kube-scheduler" clientAuth
cert kubelet "/O=system:nodes/CN=system:node:$node" clientAuth
openssl genrsa -out sa.key 2048 2> /dev/null; openssl rsa -in sa.key -pubout -out sa.pub 2> /dev/null
kubeconfig() { # NAME FILE SERVER
  cat > "$2.kubeconfig" << KC
apiVersion: v1
kind: Config
clusters: [{name: capi-rollout, cluster: {server: "$3", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: capi-rollout, context: {cluster: capi-rollout, user: $1}}]
current-context: capi-rollout
KC
}
for name in admin controller-manager scheduler kubelet; do kubeconfig $name $name https://127.0.0.1:6443; done
kubeconfig admin admin-nodeip "https://$node_ip:6443"        # for what runs in a network namespace of its own
printf %s "$node_ip" > made-for
