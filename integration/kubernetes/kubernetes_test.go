// Package kubernetes checks examples/traefik/kubernetes.yml with Traefik's provider and its published resource definitions, and
// helm-values.yml with what the chart makes of it. With the build tag slow, two Traefiks run with both, beside a real API server.
package kubernetes

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/integration/traefikconfig"
	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd"
	"github.com/traefik/traefik/v3/pkg/provider/kubernetes/crd/traefikio/v1alpha1"
	"github.com/traefik/traefik/v3/pkg/safe"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	kyaml "sigs.k8s.io/yaml"
)

// TestMain keeps what the plugin and Traefik's provider log in this process out of the output of a failed test.
func TestMain(m *testing.M) {
	harness.DiscardLogs()
	os.Exit(m.Run())
}

func TestExampleKubernetes(t *testing.T) {
	t.Setenv("KUBECONFIG", "") // or Traefik would connect there, and not to this test
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	objects := decodeKubernetes(t, harness.ReadFile(t, filepath.Join(traefik.ExampleDir(), "kubernetes.yml")))
	objects = append(objects, immichsService(), certificatesSecret(t))
	config := traefikconfig.DecodeFlags(t, loadChartValues(t).flags())
	traefikconfig.CheckDynamic(t, config, loadFromKubernetes(t, objects), traefikconfig.ImmichRoutes)
}

func TestExampleKubernetesFollowsTraefiksDefinitions(t *testing.T) {
	t.Parallel()
	validators := definitions(t)
	for _, doc := range documents(harness.ReadFile(t, filepath.Join(traefik.ExampleDir(), "kubernetes.yml"))) {
		var object map[string]any
		if err := kyaml.Unmarshal([]byte(doc), &object); err != nil {
			t.Fatal(err)
		}
		validator := validators[object["apiVersion"].(string)+" "+object["kind"].(string)]
		if validator == nil {
			continue // not Traefik's; decoded strictly in TestExampleKubernetes
		}
		if result := validator.Validate(object); !result.IsValid() {
			t.Errorf("%v\n%s", result.AsError(), doc)
		}
	}
}

func documents(text string) []string {
	return strings.Split(text, "\n---\n")
}

// decodeKubernetes refuses unknown fields.
func decodeKubernetes(t *testing.T, text string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for _, doc := range documents(text) {
		object, _, err := decoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		if secret, ok := object.(*corev1.Secret); ok {
			secret.Data = asStored(secret.StringData)
		}
		objects = append(objects, object)
	}
	return objects
}

// asStored converts stringData as the API server does.
func asStored(texts map[string]string) map[string][]byte {
	data := map[string][]byte{}
	for name, text := range texts {
		data[name] = []byte(text)
	}
	return data
}

// immichsService is the Service that kubernetes.yml refers to.
func immichsService() *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Name: "immich-server", Namespace: "immich"},
		Spec:       corev1.ServiceSpec{ClusterIP: "192.0.2.1", Ports: []corev1.ServicePort{{Port: 2283}}},
	}
}

// certificatesSecret is what cert-manager is expected to have made.
func certificatesSecret(t *testing.T) *corev1.Secret {
	t.Helper()
	folder := t.TempDir()
	certFile, keyFile := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	harness.WriteCertificate(t, certFile, keyFile, harness.Domain)
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "photos-tls", Namespace: "immich"},
		Type:       corev1.SecretTypeTLS,
		Data:       asStored(map[string]string{"tls.crt": harness.ReadFile(t, certFile), "tls.key": harness.ReadFile(t, keyFile)}),
	}
}

// loadFromKubernetes makes Traefik's provider translate the objects, including references to Secrets.
func loadFromKubernetes(t *testing.T, objects []runtime.Object) *dynamic.Configuration {
	t.Helper()
	server := httptest.NewServer(kubernetesAPI(objects))
	t.Cleanup(server.Close)
	pool := safe.NewPool(context.Background())
	t.Cleanup(pool.Stop)
	provider := &crd.Provider{Endpoint: server.URL, AllowEmptyServices: true}
	messages := make(chan dynamic.Message, 1)
	if err := provider.Provide(messages, pool); err != nil {
		t.Fatal(err)
	}
	select {
	case message := <-messages:
		return message.Configuration
	case <-time.After(time.Minute):
		t.Fatal("Traefik made no configuration of it")
		return nil
	}
}

// kubernetesAPI lists the objects. A watch reports no change.
func kubernetesAPI(objects []runtime.Object) http.Handler {
	lists := map[string][]runtime.Object{}
	for _, object := range objects {
		resource, _ := meta.UnsafeGuessKindToResource(object.GetObjectKind().GroupVersionKind())
		lists[resource.Resource] = append(lists[resource.Resource], object)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Query().Has("watch") {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"metadata": metav1.ListMeta{ResourceVersion: "1"},
			"items":    lists[path.Base(r.URL.Path)],
		})
	})
}

// definitions are the schemas that Traefik publishes for its resources, by apiVersion and kind.
func definitions(t *testing.T) map[string]*validate.SchemaValidator {
	t.Helper()
	validators := map[string]*validate.SchemaValidator{}
	for _, doc := range documents(published(t, "definition-v1")) {
		var definition apiextensionsv1.CustomResourceDefinition
		if err := kyaml.Unmarshal([]byte(doc), &definition); err != nil {
			t.Fatal(err)
		}
		for _, version := range definition.Spec.Versions {
			name := definition.Spec.Group + "/" + version.Name + " " + definition.Spec.Names.Kind
			validators[name] = validator(t, version.Schema.OpenAPIV3Schema)
		}
	}
	return validators
}

// published is a file of Traefik's documentation for the provider.
func published(t *testing.T, what string) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/traefik/traefik/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	return harness.ReadFile(t, filepath.Join(strings.TrimSpace(string(dir)), "docs/content/reference/dynamic-configuration", "kubernetes-crd-"+what+".yml"))
}

func validator(t *testing.T, published *apiextensionsv1.JSONSchemaProps) *validate.SchemaValidator {
	t.Helper()
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(published, &internal, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := schema.NewStructural(&internal)
	if err != nil {
		t.Fatal(err)
	}
	return validate.NewSchemaValidator(structural.ToKubeOpenAPI(), nil, "", strfmt.Default)
}
