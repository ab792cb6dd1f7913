package kubernetes

import (
	"fmt"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/immichaccess/immichaccess/integration/harness"
	"github.com/immichaccess/immichaccess/integration/traefik"
	"github.com/immichaccess/immichaccess/integration/traefikconfig"
	"github.com/traefik/traefik/v3/pkg/config/static"
	"go.yaml.in/yaml/v3"
)

// chartValues are those values of Traefik's chart that helm-values.yml uses. Their names, and what flags makes of them, are from version
// 41.3.0 of the chart; TestHelmValuesInTheChart compares this with the chart itself.
type chartValues struct {
	Image                     struct{ Tag string }
	Deployment                chartDeployment
	AdditionalVolumeMounts    []volumeMount `yaml:"additionalVolumeMounts"`
	TopologySpreadConstraints []any         `yaml:"topologySpreadConstraints"`
	PodDisruptionBudget       struct {
		Enabled      bool
		MinAvailable int `yaml:"minAvailable"`
	} `yaml:"podDisruptionBudget"`
	Ports   map[string]chartPort
	Service struct {
		Spec               map[string]string
		AdditionalServices map[string]struct {
			Single bool
			Spec   map[string]string
		} `yaml:"additionalServices"`
	}
	Log          map[string]any
	AccessLog    map[string]any `yaml:"accessLog"`
	Experimental map[string]any
}

type chartDeployment struct {
	Replicas          int
	Grace             int `yaml:"terminationGracePeriodSeconds"`
	AdditionalVolumes []struct {
		Name   string
		Secret struct {
			Name     string `yaml:"secretName"`
			Optional bool
		}
	} `yaml:"additionalVolumes"`
}

type volumeMount struct {
	Name      string
	MountPath string `yaml:"mountPath"`
	ReadOnly  bool   `yaml:"readOnly"`
}

type chartPort struct {
	Port        int
	ExposedPort int `yaml:"exposedPort"`
	Expose      map[string]bool
	HTTP        struct{ TLS struct{ Enabled bool } }
	HTTP3       struct {
		Enabled        bool
		AdvertisedPort int `yaml:"advertisedPort"`
	}
	Transport map[string]any
}

// defaultPorts are the chart's own.
var defaultPorts = map[string]int{"traefik": 8080, "web": 8000, "websecure": 8443, "metrics": 9100}

func helmValuesFile() string {
	return filepath.Join(traefik.ExampleDir(), "helm-values.yml")
}

// loadChartValues refuses values that it does not know.
func loadChartValues(t *testing.T) chartValues {
	t.Helper()
	var values chartValues
	decoder := yaml.NewDecoder(strings.NewReader(harness.ReadFile(t, helmValuesFile())))
	decoder.KnownFields(true)
	if err := decoder.Decode(&values); err != nil {
		t.Fatal(err)
	}
	for name, number := range defaultPorts {
		port := values.Ports[name]
		port.Port = number
		port.HTTP.TLS.Enabled = name == "websecure"
		values.Ports[name] = port
	}
	return values
}

// flags are Traefik's options, as the chart gives them.
func (v chartValues) flags() []string {
	flags := []string{"--ping=true", "--api.dashboard=true", "--providers.kubernetescrd=true", "--providers.kubernetescrd.allowEmptyServices=true"}
	for name, port := range v.Ports {
		entryPoint := "--entryPoints." + name
		flags = append(flags, fmt.Sprintf("%s.address=:%d/tcp", entryPoint, port.Port))
		if port.HTTP.TLS.Enabled {
			flags = append(flags, entryPoint+".http.tls=true")
		}
		if port.HTTP3.Enabled {
			flags = append(flags, entryPoint+".http3=true")
		}
		if port.HTTP3.AdvertisedPort != 0 {
			flags = append(flags, fmt.Sprintf("%s.http3.advertisedPort=%d", entryPoint, port.HTTP3.AdvertisedPort))
		}
		flags = append(flags, flatten(entryPoint+".transport", port.Transport)...)
	}
	flags = append(flags, "--accesslog=true")
	flags = append(flags, flatten("--log", v.Log)...)
	accessLog := maps.Clone(v.AccessLog)
	delete(accessLog, "enabled")
	flags = append(flags, flatten("--accesslog", accessLog)...)
	experimental := maps.Clone(v.Experimental)
	delete(experimental, "localPlugins")
	flags = append(flags, flatten("--experimental", experimental)...)
	return append(flags, v.localPluginFlags()...)
}

// localPluginFlags leaves out where the plugins are mounted from, which concerns only the pod.
func (v chartValues) localPluginFlags() []string {
	var flags []string
	plugins, _ := v.Experimental["localPlugins"].(map[string]any)
	for name, plugin := range plugins {
		settings, _ := plugin.(map[string]any)
		flags = append(flags, fmt.Sprintf("--experimental.localPlugins.%s.moduleName=%v", name, settings["moduleName"]))
	}
	return flags
}

// flatten makes a flag of each value in the sections, which are named in the chart as in Traefik.
func flatten(prefix string, sections map[string]any) []string {
	var flags []string
	for name, value := range sections {
		if section, ok := value.(map[string]any); ok {
			flags = append(flags, flatten(prefix+"."+name, section)...)
		} else {
			flags = append(flags, fmt.Sprintf("%s.%s=%v", prefix, name, value))
		}
	}
	return flags
}

func TestHelmValues(t *testing.T) {
	t.Parallel()
	values := loadChartValues(t)
	config := traefikconfig.DecodeFlags(t, values.flags())
	traefikconfig.CheckStatic(t, config)
	if values.Deployment.Replicas != 2 || !values.PodDisruptionBudget.Enabled || values.PodDisruptionBudget.MinAvailable != 1 {
		t.Errorf("%d replicas, of which %d stay available", values.Deployment.Replicas, values.PodDisruptionBudget.MinAvailable)
	}
	if !strings.HasPrefix(traefikModule(t), values.Image.Tag) {
		t.Errorf("the image is %s, and tested is %s", values.Image.Tag, traefikModule(t))
	}
	for name, keyed := range map[string]bool{"websecure": false, "immich-key": true} {
		checkGrace(t, values, config.EntryPoints[name])
		if port := values.Ports[name]; port.HTTP3.Enabled && !port.HTTP.TLS.Enabled {
			t.Errorf("%s: the chart refuses HTTP/3 without TLS", name)
		}
		if values.Ports[name].Expose["default"] != keyed {
			t.Errorf("the Internet reaches %s: %t", name, !keyed)
		}
		for service := range values.Ports[name].Expose {
			if _, found := values.Service.AdditionalServices[service]; !found && service != "default" {
				t.Errorf("%s: there is no Service %s", name, service)
			}
		}
	}
	if policy := values.Service.Spec["externalTrafficPolicy"]; policy != "Local" {
		t.Errorf("with externalTrafficPolicy %q, the addresses of clients are lost", policy)
	}
	checkSessionSecret(t, values)
}

// checkGrace requires that Kubernetes does not kill a replica before its uploads have had their time.
func checkGrace(t *testing.T, values chartValues, entryPoint *static.EntryPoint) {
	t.Helper()
	lifeCycle := entryPoint.Transport.LifeCycle
	needed := time.Duration(lifeCycle.RequestAcceptGraceTimeout + lifeCycle.GraceTimeOut)
	if lifeCycle.RequestAcceptGraceTimeout == 0 || needed >= time.Duration(values.Deployment.Grace)*time.Second {
		t.Errorf("terminationGracePeriodSeconds is %d, and Traefik needs %s", values.Deployment.Grace, needed)
	}
}

// checkSessionSecret requires that the file of kubernetes.yml is in the volume.
func checkSessionSecret(t *testing.T, values chartValues) {
	t.Helper()
	mounts, volumes := values.AdditionalVolumeMounts, values.Deployment.AdditionalVolumes
	if len(mounts) != 1 || len(volumes) != 1 || mounts[0].Name != volumes[0].Name {
		t.Fatalf("volumes %+v are mounted as %+v", volumes, mounts)
	}
	file := sessionSecretFile(t)
	if path.Dir(file) != mounts[0].MountPath {
		t.Errorf("kubernetes.yml has %s, and the Secret is mounted at %s", file, mounts[0].MountPath)
	}
}

// sessionSecretFile is that of kubernetes.yml, where it is a comment.
func sessionSecretFile(t *testing.T) string {
	t.Helper()
	_, rest, found := strings.Cut(harness.ReadFile(t, filepath.Join(traefik.ExampleDir(), "kubernetes.yml")), "# sessionSecretFile: ")
	if !found {
		t.Fatal("kubernetes.yml has no sessionSecretFile")
	}
	name, _, _ := strings.Cut(rest, "\n")
	return name
}

// traefikModule is the version of the Traefik that the tests run.
func traefikModule(t *testing.T) string {
	t.Helper()
	version, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}}", "github.com/traefik/traefik/v3").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(version))
}
