//go:build chart

package kubernetes

import (
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefikconfig"
	"go.yaml.in/yaml/v3"
)

// TestHelmValuesInTheChart renders the chart that HELM_CHART names, such as traefik/traefik or a directory. Helm checks the values against
// the chart's schema.
func TestHelmValuesInTheChart(t *testing.T) {
	t.Parallel()
	chart := os.Getenv("HELM_CHART")
	if chart == "" {
		t.Fatal("HELM_CHART is not set; it names Traefik's chart, such as traefik/traefik or a directory")
	}
	rendered, err := exec.CommandContext(t.Context(), harness.Tool(t, "helm"), "template", "traefik", chart, "--values", helmValuesFile()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, rendered)
	}
	objects := renderedObjects(t, string(rendered))
	got := traefikconfig.DecodeFlags(t, objects.arguments(t))
	want := traefikconfig.DecodeFlags(t, loadChartValues(t).flags())
	traefikconfig.CheckStatic(t, got)
	want.SetEffectiveConfiguration()
	for part, pair := range map[string][2]any{
		"entryPoints":             {got.EntryPoints, want.EntryPoints},
		"log":                     {got.Log, want.Log},
		"accessLog":               {got.AccessLog, want.AccessLog},
		"experimental":            {got.Experimental, want.Experimental},
		"providers.kubernetesCRD": {got.Providers.KubernetesCRD, want.Providers.KubernetesCRD},
	} {
		if made, expected := asJSON(t, pair[0]), asJSON(t, pair[1]); made != expected {
			t.Errorf("%s: the chart makes\n%s\nand this test\n%s", part, made, expected)
		}
	}
	objects.checkServices(t)
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

type kubernetesObject struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		Ports    []struct{ Port int }
		Template struct {
			Spec struct{ Containers []struct{ Args []string } }
		}
	}
}

type kubernetesObjects []kubernetesObject

func renderedObjects(t *testing.T, text string) kubernetesObjects {
	t.Helper()
	var objects kubernetesObjects
	for _, doc := range documents(text) {
		var object kubernetesObject
		if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		objects = append(objects, object)
	}
	return objects
}

func (k kubernetesObjects) arguments(t *testing.T) []string {
	t.Helper()
	for _, object := range k {
		if object.Kind == "Deployment" {
			return object.Spec.Template.Spec.Containers[0].Args
		}
	}
	t.Fatal("there is no Deployment")
	return nil
}

// checkServices requires that the entry point without a key has a Service of its own.
func (k kubernetesObjects) checkServices(t *testing.T) {
	t.Helper()
	got := map[string][]int{}
	for _, object := range k {
		if object.Kind != "Service" {
			continue
		}
		for _, port := range object.Spec.Ports {
			if !slices.Contains(got[object.Metadata.Name], port.Port) { // TCP and UDP
				got[object.Metadata.Name] = append(got[object.Metadata.Name], port.Port)
			}
		}
	}
	if want := map[string][]int{"traefik": {4000, 80}, "traefik-internal": {443}}; !reflect.DeepEqual(got, want) {
		t.Errorf("the Services have the ports %v, want %v", got, want)
	}
}
