package main

import (
	"context"
	"fmt"
	"time"

	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"go.yaml.in/yaml/v4"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// createSecrets writes what the Talos bootstrap provider would generate itself, except that the Kubernetes and etcd
// authorities are RSA: the in-memory backend signs with RSA keys only. The provider takes an existing bundle as it is
// and writes <cluster>-ca from it. Nobody writes <cluster>-etcd (Talos machines read it from their configuration),
// but the backend wants it. An existing bundle is kept.
func createSecrets(ctx context.Context, kube kubernetes.Interface, namespace, cluster string) error {
	bundle, err := loadBundle(ctx, kube, namespace, cluster)
	if apierrors.IsNotFound(err) {
		if bundle, err = secrets.NewBundle(secrets.NewClock(), config.TalosVersionCurrent); err != nil {
			return err
		}
		for org, ca := range map[string]**x509.PEMEncodedCertificateAndKey{"kubernetes": &bundle.Certs.K8s, "etcd": &bundle.Certs.Etcd} {
			rsa, err := x509.NewSelfSignedCertificateAuthority(x509.RSA(true), x509.Bits(2048), x509.Organization(org),
				x509.CommonName(org), x509.NotAfter(time.Now().Add(secrets.CAValidityTime)))
			if err != nil {
				return err
			}
			*ca = x509.NewCertificateAndKeyFromCertificateAuthority(rsa)
		}
		raw, err := yaml.Marshal(bundle)
		if err != nil {
			return err
		}
		if err := putSecret(ctx, kube, namespace, cluster, "talos", corev1.SecretTypeOpaque, map[string][]byte{"bundle": raw}); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	for _, ca := range []*x509.PEMEncodedCertificateAndKey{bundle.Certs.K8s, bundle.Certs.Etcd} {
		if _, err := ca.GetRSAKey(); err != nil {
			return fmt.Errorf("secret %s-talos exists with a certificate authority that is not RSA: delete the cluster and this secret first", cluster)
		}
	}
	return putSecret(ctx, kube, namespace, cluster, "etcd", "cluster.x-k8s.io/secret",
		map[string][]byte{corev1.TLSCertKey: bundle.Certs.Etcd.Crt, corev1.TLSPrivateKeyKey: bundle.Certs.Etcd.Key})
}

func putSecret(ctx context.Context, kube kubernetes.Interface, namespace, cluster, suffix string, kind corev1.SecretType, data map[string][]byte) error {
	_, err := kube.CoreV1().Secrets(namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: cluster + "-" + suffix, Labels: map[string]string{clusterLabel: cluster}},
		Type:       kind, Data: data,
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func loadBundle(ctx context.Context, kube kubernetes.Interface, namespace, cluster string) (*secrets.Bundle, error) {
	s, err := kube.CoreV1().Secrets(namespace).Get(ctx, cluster+"-talos", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	b := &secrets.Bundle{Clock: secrets.NewClock()}
	return b, yaml.Unmarshal(s.Data["bundle"], b)
}
